"""BVH reading and writing against upc-pymotion, bvhsdk and pybvh: ``python -m tools.bench.bvh_files --corpus DIR``.

All readers take turns on tenths of the same files, each the first in its turn, and the ratio is the median over the
tenths, so that a busy processor slows all of them alike. Files are written in memory where there is /dev/shm: ours
flushes to the disk before it renames, the peers do neither, and a disk's flush is no measure of a writer. A peer that
is not installed, or that refuses the files, is named and skipped. Without ``--corpus`` an embedded random corpus of the
same shape as Bandai Namco's (22 joints of 6 channels) is written.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.portable import to_portable
from motionsynth.motion.skeleton import Skeleton
from motionsynth.processes import child_environment

__all__ = ["main"]

OURS = "motionsynth"
Task = Callable[[Path], object]
Timings = dict[str, list[float]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of reading, writing and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="a folder of BVH files")
    parser.add_argument("--files", type=int, default=None, help="take that many, evenly spread")
    parser.add_argument("--long-frames", type=int, default=100_000, help="frames of the one long file; 0: none")
    options = parser.parse_args(arguments)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch:
        folder = Path(scratch)
        files = _pick(options.corpus, options.files) if options.corpus else _make_corpus(folder / "made")
        _report("reading, as recorded", files, _time_in_turns(_readers(), _batches(files)))
        portable = _portable_copies(files, folder / "portable")
        _report("reading, portable (3 channels)", portable, _time_in_turns(_readers(), _batches(portable)))
        if options.long_frames:
            long_file = _long_copy(files[0], folder / "long.bvh", options.long_frames)
            _report(
                f"reading, {options.long_frames} frames", [long_file], _time_in_turns(_readers(), [[long_file]] * 3)
            )
            _report_memory(long_file)
            long_file.unlink()
        _report(
            "writing, six decimals", portable, _time_in_turns(_writers(portable, folder / "out"), _batches(portable))
        )


def _pick(folder: Path, count: int | None) -> list[Path]:
    files = sorted(folder.rglob("*.bvh"))
    if not files:
        raise SystemExit(f"no BVH file under {folder}")
    return files if count is None else files[:: max(1, len(files) // count)][:count]


def _batches(files: list[Path]) -> list[list[Path]]:
    size = max(1, len(files) // 10)  # a corpus is read file after file: long enough turns to warm up
    return [files[start : start + size] for start in range(0, len(files), size)]


def _time_in_turns(tasks: dict[str, Task], batches: list[list[Path]]) -> Timings:
    """Seconds of each task on each batch; a task that fails on the first file is dropped with its reason."""
    for name in list(tasks):
        try:
            with _quiet():
                tasks[name](batches[0][0])
        except Exception as error:
            print(f"  {name} skipped: {type(error).__name__}: {str(error).splitlines()[0][:90]}")
            del tasks[name]
    timings: Timings = {name: [] for name in tasks}
    for turn, batch in enumerate(batches):
        names = list(tasks)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:  # nobody always finds cold caches
            task = tasks[name]
            with _quiet():
                start = time.perf_counter()
                for file in batch:
                    task(file)
                timings[name].append(time.perf_counter() - start)
    return timings


@contextlib.contextmanager
def _quiet() -> Any:
    with open(os.devnull, "w") as void, contextlib.redirect_stdout(void), warnings.catch_warnings():  # noqa: PTH123
        warnings.simplefilter("ignore")
        yield


def _report(title: str, files: list[Path], timings: Timings) -> None:
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    print(f"{title}: {len(files)} files, {megabytes:.1f} MB")
    print(f"  {'':16}{'MB/s':>8}{'ms a file':>11}{'motionsynth is':>16}")
    for name, seconds in timings.items():
        ratio = statistics.median(s / own for s, own in zip(seconds, timings[OURS], strict=True))
        total = statistics.median(seconds) if len(files) == 1 else sum(seconds)
        times = "" if name == OURS else f"{ratio:.1f}x as fast"
        print(f"  {name:16}{megabytes / total:8.1f}{1e3 * total / len(files):11.2f}{times:>16}")


def _readers() -> dict[str, Task]:
    tasks: dict[str, Task] = {OURS: read_bvh}
    pymotion, bvhsdk, pybvh = (_peer(name) for name in ("pymotion.io.bvh", "bvhsdk", "pybvh"))
    if pymotion:
        tasks["upc-pymotion"] = lambda path: pymotion.BVH().load(str(path))
    if bvhsdk:
        tasks["bvhsdk"] = lambda path: bvhsdk.ReadFile(str(path))
    if pybvh:
        tasks["pybvh"] = pybvh.read_bvh_file
        tasks["pybvh, +y given"] = lambda path: pybvh.read_bvh_file(path, world_up="+y")  # skips its axis detection
    return tasks


def _writers(files: list[Path], folder: Path) -> dict[str, Task]:
    """Writers of what each package has read before: only writing is timed."""
    folder.mkdir()
    clips = {path: read_bvh(path) for path in files}
    tasks: dict[str, Task] = {OURS: lambda path: write_bvh(clips[path], folder / "own.bvh")}
    pymotion, pybvh = _peer("pymotion.io.bvh"), _peer("pybvh")
    if pybvh:
        with _quiet():
            theirs = {path: pybvh.read_bvh_file(path, world_up="+y") for path in files}
        tasks["pybvh"] = lambda path: pybvh.write_bvh_file(theirs[path], folder / "pybvh.bvh")
    if pymotion:
        loaded = {path: pymotion.BVH() for path in files}
        for path, reader in loaded.items():
            reader.load(str(path))
        tasks["upc-pymotion"] = lambda path: loaded[path].save(str(folder / "pymotion.bvh"))
    return tasks


def _peer(module: str) -> Any:
    try:
        with _quiet():
            return import_module(module)
    except ImportError as error:
        print(f"  {module} skipped: not installed ({error})")
        return None


def _portable_copies(files: list[Path], folder: Path) -> list[Path]:
    folder.mkdir()
    copies = [folder / file.name for file in files]
    for file, copy in zip(files, copies, strict=True):
        write_bvh(to_portable(read_bvh(file)), copy)
    return copies


def _long_copy(source: Path, target: Path, frames: int) -> Path:
    clip = read_bvh(source)
    repeats = (-(-frames // len(clip)), 1, 1)
    angles, translations = (np.tile(a, repeats)[:frames] for a in (clip.angles, clip.translations))
    write_bvh(Clip(clip.skeleton, clip.frame_time, angles, translations), target)
    return target


_MEMORY_PROBE = """
import sys
from pathlib import Path
from motionsynth.motion.bvh import read_bvh
path = Path(sys.argv[1])
status = lambda: dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = lambda: int(status()["VmHWM"].split()[0]) * 1024  # getrusage would count what the parent had at the fork
read_bvh(sys.argv[2])
before = peak()
clip = read_bvh(path)
print(peak() - before, len(clip) * clip.skeleton.channel_count * 8, path.stat().st_size)
"""


def _report_memory(long_file: Path) -> None:
    """Peak resident memory of reading one file in a fresh process, above what a small file takes."""
    small = _long_copy(long_file, long_file.with_name("small.bvh"), 10)
    command = [sys.executable, "-P", "-c", _MEMORY_PROBE, str(long_file), str(small)]
    answer = subprocess.run(command, env=child_environment(), check=True, capture_output=True, text=True).stdout
    peak, array, text = map(int, answer.split())
    print(f"memory: peak {peak / 1e6:.0f} MB; text {text / 1e6:.0f} MB, float array {array / 1e6:.0f} MB")
    print(f"  peak = text + {(peak - text) / array:.2f} x array (bound: 3)")


def _make_corpus(folder: Path) -> list[Path]:
    """Random walks on a 22-joint chain tree with 6 channels a joint, six digits a value."""
    folder.mkdir()
    print(f"no --corpus: a made one, as large as Bandai Namco's clips, in {folder}")
    generator = np.random.default_rng(0)
    channels = tuple(f"{axis}{kind}" for kind, axes in (("position", "XYZ"), ("rotation", "ZXY")) for axis in axes)
    parents = (-1, 0, 1, 2, 3, 4, 3, 6, 7, 8, 3, 10, 11, 12, 1, 14, 15, 16, 1, 18, 19, 20)
    names = tuple(f"joint_{number}" for number in range(22))
    files = []
    for number in range(60):
        offsets = np.round(generator.normal(0, 10, (22, 3)), 4)
        skeleton = Skeleton(names, parents, offsets, (channels,) * 22)
        frames = int(generator.integers(100, 250))
        angles = np.cumsum(generator.normal(0, 1, (frames, 22, 3)), axis=0)
        translations = np.tile(offsets, (frames, 1, 1))
        translations[:, 0] = 0.0
        translations[:, 1] += np.cumsum(generator.normal(0, 1, (frames, 3)), axis=0)
        files.append(folder / f"clip_{number:03}.bvh")
        write_bvh(Clip(skeleton, 0.0333333, angles, translations), files[-1])
    return files


if __name__ == "__main__":
    main()
