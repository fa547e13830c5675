"""Forward kinematics against plain Python, its gradients against finite differences, its plan against odd trees."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionsynth.motion._fused_kinematics import joint_groups, level_by_level
from motionsynth.motion.clip import Clip
from motionsynth.motion.kinematics import (
    forward_kinematics,
    forward_transforms,
    joint_positions,
    joint_transforms,
    world_transforms,
)
from motionsynth.motion.skeleton import Skeleton
from tests.motion.clips import plain_positions, random_tree, walk

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")


def random_clip(seed: int, joints: int, frames: int) -> Clip:
    generator = np.random.default_rng(seed)
    channels = tuple(
        tuple(f"{axis}rotation" for axis in ORDERS[generator.integers(6)])[: int(generator.choice([0, 1, 3, 3]))]
        for _ in range(joints)
    )
    skeleton = Skeleton(
        tuple(map(str, range(joints))), random_tree(generator, joints), generator.normal(size=(joints, 3)), channels
    )
    angles, translations = generator.uniform(-180, 180, (frames, joints, 3)), generator.normal(size=(frames, joints, 3))
    return Clip(skeleton, 0.01, angles, translations)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 4))
def test_both_implementations_equal_plain_python_on_any_tree(seed: int, joints: int, frames: int) -> None:
    clip = random_clip(seed, joints, frames)
    expected = plain_positions(clip)
    np.testing.assert_allclose(clip.positions(), expected, atol=1e-12)
    rotations, translations = torch.tensor(clip.rotations()), torch.tensor(clip.translations)
    positions, globals_ = joint_transforms(rotations, translations, clip.skeleton.parents)
    np.testing.assert_allclose(positions.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(
        globals_.numpy(),
        world_transforms(clip.rotations(), clip.translations, clip.skeleton.parents)[1],
        atol=1e-12,
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_the_plan_holds_every_joint_once_after_its_parent(seed: int, joints: int) -> None:
    parents = random_tree(np.random.default_rng(seed), joints)
    done = [0]
    for group in joint_groups(parents):
        members = list(range(joints))[group.joints]
        above = list(range(joints))[group.parents]
        assert [parents[joint] for joint in members] == (above * len(members) if len(above) == 1 else above)
        assert set(above) <= set(done)
        assert group.leaves == (not set(members) & set(parents))
        done += members
    assert sorted(done) == list(range(joints))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frames_last_equals_joints_last_and_offsets_broadcast(dtype: torch.dtype) -> None:
    clip = walk(12)
    parents = clip.skeleton.parents
    rotations, offsets = torch.tensor(clip.rotations(), dtype=dtype), torch.tensor(clip.skeleton.offsets, dtype=dtype)
    positions = joint_positions(rotations.view(3, 4, 20, 3, 3), offsets, parents)
    assert positions.shape == (3, 4, 20, 3)
    assert positions.dtype == dtype
    last = forward_kinematics(rotations.permute(1, 2, 3, 0), offsets[..., None], parents)
    torch.testing.assert_close(last.permute(2, 0, 1).reshape(3, 4, 20, 3), positions)


@pytest.mark.parametrize("seed", range(2))
def test_first_and_second_derivatives_equal_finite_differences(seed: int) -> None:
    parents = random_tree(np.random.default_rng(seed), 5)
    generator = torch.Generator().manual_seed(seed)
    rotations = torch.randn(5, 3, 3, 1, dtype=torch.float64, generator=generator, requires_grad=True)
    translations = torch.randn(5, 3, 1, dtype=torch.float64, generator=generator, requires_grad=True)

    def both(R: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return forward_transforms(R, t, parents)

    def positions(R: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return forward_kinematics(R, t, parents)

    for function in (both, positions, lambda R, t: both(R, t)[1]):
        assert torch.autograd.gradcheck(function, (rotations, translations))
        assert torch.autograd.gradgradcheck(function, (rotations, translations))
    offsets = translations[..., :1].detach().requires_grad_()
    assert torch.autograd.gradcheck(positions, (rotations, offsets))
    assert torch.autograd.gradcheck(positions, (rotations.detach(), offsets))
    assert torch.autograd.gradcheck(positions, (rotations, offsets.detach()))


def test_the_callers_tensors_and_gradients_are_left_alone() -> None:
    clip = walk(5)
    rotations = torch.tensor(clip.rotations()).permute(1, 2, 3, 0).contiguous().requires_grad_()
    translations = torch.tensor(clip.translations).permute(1, 2, 0).contiguous()
    before, weights = rotations.detach().clone(), torch.ones(20, 3, 5, dtype=torch.float64)
    forward_kinematics(rotations, translations, clip.skeleton.parents).backward(weights)
    assert torch.equal(rotations.detach(), before)
    assert (weights == 1).all()


def test_the_form_that_is_compiled_gives_the_same() -> None:
    clip = walk(6)
    rotations = torch.tensor(clip.rotations()).permute(1, 2, 3, 0)
    translations = torch.tensor(clip.translations).permute(1, 2, 0)
    plain = level_by_level(rotations, translations, joint_groups(clip.skeleton.parents))
    fused = forward_transforms(rotations, translations, clip.skeleton.parents)
    torch.testing.assert_close(plain[0], fused[0])
    torch.testing.assert_close(plain[1], fused[1])


def test_it_compiles_as_one_graph() -> None:
    clip = walk(6)
    compiled = torch.compile(
        lambda R, t: forward_transforms(R, t, clip.skeleton.parents), backend="eager", fullgraph=True
    )
    rotations = torch.tensor(clip.rotations()).permute(1, 2, 3, 0)
    translations = torch.tensor(clip.translations).permute(1, 2, 0)
    torch.testing.assert_close(compiled(rotations, translations)[0].permute(2, 0, 1), torch.tensor(clip.positions()))


def test_deep_chains_and_wide_stars_work() -> None:
    chain, star = (-1, *range(199)), (-1, *[0] * 199)
    eye, along_x = torch.eye(3).view(1, 3, 3, 1), torch.tensor([1.0, 0, 0]).view(1, 3, 1)
    for parents, expected in ((chain, torch.arange(1.0, 201)), (star, torch.tensor([1.0] + [2.0] * 199))):
        found = forward_kinematics(eye.expand(200, 3, 3, 4), along_x.expand(200, 3, 1), parents)
        torch.testing.assert_close(found[:, 0, 2], expected)


def test_what_does_not_fit_is_refused() -> None:
    R, t = torch.zeros(3, 3, 3, 5), torch.zeros(3, 3, 5)
    for rotations, translations, parents in (
        (R, t, (-1, 0)),
        (R, t[..., :4], (-1, 0, 1)),
        (R, t.double(), (-1, 0, 1)),
        (R.half(), t.half(), (-1, 0, 1)),
        (R, t, (-1, 2, 0)),
        (R, t, (-1, -1, 0)),
        (R.permute(3, 0, 1, 2), t.permute(2, 0, 1), (-1, 0, 1)),
    ):
        with pytest.raises(ValueError, match=r"expected|float32|root"):
            forward_kinematics(rotations, translations, parents)
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 2, 3, 3\)"):
        joint_positions(torch.zeros(4, 3, 3, 3), torch.zeros(4, 3, 3), (-1, 0))


def test_a_clip_is_placed_within_milliseconds() -> None:
    clip = walk(400)
    clip.positions()
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        clip.positions()
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.02  # 2 ms on an idle core
