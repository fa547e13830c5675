"""Forward kinematics against upc-pymotion's torch implementation, 256 x 64 frames x 23 joints, float32, one thread.

    python -m tools.bench.kinematics [--rounds 21] [--threads 1] [--no-compile]

Needs ``upc-pymotion`` (the ``bench`` extra). Both sides compute the positions *and* the global rotations of the same
random motion; positions are compared in the run before anything is timed. pymotion takes quaternions, its only input
here; ours takes the matrices that the 6-D decoder yields, frames last, and in rows of their own ours starts from the
same quaternions as pymotion's, the conversion timed and differentiated too. Rounds are interleaved, medians reported,
ratios are medians of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from motionsynth.motion.kinematics import forward_transforms
from motionsynth.motion.rotations import quaternions_to_matrices

CLIPS, FRAMES = 256, 64
PARENTS = (-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 2, 10, 11, 12, 0, 14, 15, 16, 0, 18, 19, 20, 17)
PEER = "pymotion fk_quat"
Timed = dict[str, Callable[[], object]]


def quaternions_last(quaternions_J4N: Tensor) -> Tensor:
    """Matrices from quaternions, real part first, of any length, frames last: (J, 4, N) -> (J, 3, 3, N)."""
    w, x, y, z = quaternions_J4N.unbind(1)
    scale = 2 / (w * w + x * x + y * y + z * z)
    xs, ys, zs = scale * x, scale * y, scale * z
    xx, yy, zz = x * xs, y * ys, z * zs
    xy, xz, yz, wx, wy, wz = x * ys, x * zs, y * zs, w * xs, w * ys, w * zs
    entries = [1 - yy - zz, xy - wz, xz + wy, xy + wz, 1 - xx - zz, yz - wx, xz - wy, yz + wx, 1 - xx - yy]
    return torch.stack(entries, dim=1).view(-1, 3, 3, quaternions_J4N.shape[-1])


class Motion:
    """The same random motion in both layouts, and the gradient that flows back into its positions."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        joints, count = len(PARENTS), CLIPS * FRAMES
        quaternions = torch.randn(CLIPS, FRAMES, joints, 4, generator=generator)
        self.quaternions = torch.nn.functional.normalize(quaternions, dim=-1).requires_grad_()
        self.offsets = 20 * torch.randn(joints, 3, generator=generator)
        self.root = 100 * torch.randn(CLIPS, FRAMES, 3, generator=generator)
        self.parents = torch.tensor(PARENTS)
        flat = self.quaternions.detach().reshape(count, joints, 4)
        self.quaternions_J4N = flat.permute(1, 2, 0).contiguous().requires_grad_()
        matrices = quaternions_to_matrices(flat)
        self.rotations_J33N = matrices.permute(1, 2, 3, 0).contiguous().requires_grad_()
        self.translations_J3N = self.offsets[:, :, None].repeat(1, 1, count)
        self.translations_J3N[0] = self.root.reshape(count, 3).T
        self.gradient = torch.randn(CLIPS, FRAMES, joints, 3, generator=generator)
        self.gradient_J3N = self.gradient.reshape(count, joints, 3).permute(1, 2, 0).contiguous()


def starts(motion: Motion, with_compile: bool) -> dict[str, tuple[Callable[[], tuple[Tensor, Tensor]], Tensor, Tensor]]:
    """Each way to compute: (positions and globals), what is differentiated, and the gradient of its positions."""
    from pymotion.ops.skeleton_torch import fk_quat

    def forward(rotations_J33N: Tensor) -> tuple[Tensor, Tensor]:
        return forward_transforms(rotations_J33N, motion.translations_J3N, PARENTS)

    def from_quaternions(quaternions_J4N: Tensor) -> tuple[Tensor, Tensor]:
        return forward(quaternions_last(quaternions_J4N))

    R, q, back = motion.rotations_J33N, motion.quaternions_J4N, motion.gradient_J3N
    ways = {
        PEER: (
            lambda: fk_quat(motion.quaternions, motion.root, motion.offsets, motion.parents),
            motion.quaternions,
            motion.gradient,
        ),
        "ours": (lambda: forward(R), R, back),
        "ours from quaternions": (lambda: from_quaternions(q), q, back),
    }
    if with_compile:
        compiled, compiled_q = torch.compile(forward), torch.compile(from_quaternions)
        ways["ours, torch.compile"] = (lambda: compiled(R), R, back)
        ways["ours from quaternions, torch.compile"] = (lambda: compiled_q(q), q, back)
    return ways


def measure(runs: Timed, rounds: int) -> dict[str, list[float]]:
    """Seconds of every run in every round; each round runs all of them, one after the other."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number >= 2:
                spent[name].append(time.perf_counter() - start)
    return spent


def report(title: str, spent: dict[str, list[float]]) -> None:
    """Print medians, throughput and ratios to the peer."""
    print(f"\n{title}\n{'':38s}{'ms':>9s}{'M joints/s':>12s}{'x peer':>9s}")
    for name, seconds in spent.items():
        ratio = median(peer / own for peer, own in zip(spent[PEER], seconds, strict=True))
        rate = CLIPS * FRAMES * len(PARENTS) / median(seconds) / 1e6
        print(f"{name:38s}{1e3 * median(seconds):9.2f}{rate:12.1f}{ratio:9.2f}")


def main() -> None:
    """Check that all agree, then time forward, and forward with backward."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-compile", dest="with_compile", action="store_false")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    motion = Motion()
    ways = starts(motion, options.with_compile)

    expected = ways[PEER][0]()[0].detach()
    for name, (run, _, _) in ways.items():
        found = run()[0].detach()
        if name != PEER:
            found = found.permute(2, 0, 1).reshape(expected.shape)
        print(
            f"{name:38s} positions differ by at most {(found - expected).abs().max():.1e} of {expected.abs().max():.0f}"
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)

    def forward_only(run: Callable[[], tuple[Tensor, Tensor]]) -> Callable[[], object]:
        def timed() -> None:
            with torch.no_grad():
                run()

        return timed

    def both(run: Callable[[], tuple[Tensor, Tensor]], leaf: Tensor, gradient: Tensor) -> Callable[[], object]:
        def timed() -> None:
            leaf.grad = None
            torch.autograd.backward(run()[0], gradient)

        return timed

    where = f"{CLIPS} x {FRAMES} frames x {len(PARENTS)} joints, float32, {options.threads} thread(s)"
    print(f"torch {torch.__version__}")
    report(f"forward, {where}", measure({name: forward_only(way[0]) for name, way in ways.items()}, options.rounds))
    report(f"forward + backward, {where}", measure({name: both(*way) for name, way in ways.items()}, options.rounds))


if __name__ == "__main__":
    main()
