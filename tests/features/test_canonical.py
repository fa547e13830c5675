"""Windows decoded and encoded at once are those that went through clips one by one."""

from __future__ import annotations

import pytest
import torch

from motionsynth.features.canonical import canonical
from motionsynth.features.encode import decode_batch, encode
from motionsynth.features.spec import FeatureSpec
from motionsynth.walkers.corpus import plan_walkers, walker_clip


def noisy_windows(velocities: bool) -> tuple[torch.Tensor, FeatureSpec]:
    """Real windows, and what a bad model would make of them: no rotations, a heading left over, soft contacts."""
    walkers, _ = plan_walkers(24, 1)
    clips = [walker_clip(walker.parameters) for walker in walkers[:6]]
    spec = FeatureSpec.for_clip(clips[0], frame_rate=30.0, metres_per_unit=0.01, velocities=velocities)
    real = torch.stack([encode(clip, spec)[:40] for clip in clips if len(clip) >= 40])
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([real, real + 0.05 * noise, real + 0.3 * noise]), spec


@pytest.mark.parametrize("velocities", [False, True])
def test_it_is_decode_then_encode(velocities: bool) -> None:
    motion, spec = noisy_windows(velocities)
    expected = torch.stack([encode(clip, spec) for clip in decode_batch(motion, spec)])
    found = canonical(motion, spec)
    contacts = torch.zeros(spec.width, dtype=torch.bool)
    contacts[spec.slices["foot_contacts"]] = True
    # positions pass through float32, and velocities are their differences times the frame rate
    torch.testing.assert_close(found[..., ~contacts], expected[..., ~contacts], atol=5e-4, rtol=1e-4)
    assert (found[..., contacts] != expected[..., contacts]).float().mean() < 0.01  # at the very threshold


def test_a_second_time_changes_nothing_and_real_windows_keep_their_motion() -> None:
    motion, spec = noisy_windows(False)
    once = canonical(motion, spec)
    soft = spec.slices["foot_contacts"].start
    torch.testing.assert_close(canonical(once, spec)[..., :soft], once[..., :soft], atol=5e-4, rtol=1e-4)
    real = motion[: len(motion) // 3]
    torch.testing.assert_close(canonical(real, spec)[:, :-1, :soft], real[:, :-1, :soft], atol=5e-4, rtol=1e-4)
    assert not torch.allclose(once[-1], motion[-1], atol=0.01)  # negative control: the noisy ones were no motion


def test_turning_by_more_than_half_a_turn_each_frame_is_what_a_pose_can_tell() -> None:
    motion, spec = noisy_windows(False)
    fast = motion[:1].clone()
    fast[..., spec.slices["root_yaw_velocity_rad_s"]] = 30.0 * 4.0
    turned = canonical(fast, spec)[..., spec.slices["root_yaw_velocity_rad_s"]]
    assert turned.abs().max() <= 30.0 * 3.1416


def test_shapes_are_checked() -> None:
    motion, spec = noisy_windows(False)
    with pytest.raises(ValueError, match="features must have shape"):
        canonical(motion[:, :1], spec)
    assert canonical(motion[:0], spec).shape == (0, *motion.shape[1:])
