"""Joint positions straight from features are those of the decoded clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionsynth.features.encode import decode_batch, encode
from motionsynth.features.geometry import joint_positions_m, joint_rotations
from motionsynth.features.spec import FeatureSpec
from motionsynth.walkers.corpus import plan_walkers, walker_clip


@pytest.fixture(scope="module")
def walk() -> tuple[torch.Tensor, FeatureSpec]:
    clip = walker_clip(plan_walkers(12, 0)[0][0].parameters)
    spec = FeatureSpec.for_clip(clip, frame_rate=clip.frame_rate, metres_per_unit=0.01)
    return encode(clip, spec)[:40].reshape(2, 20, -1), spec


def test_positions_are_those_of_decoded_clips(walk: tuple[torch.Tensor, FeatureSpec]) -> None:
    features_NTD, spec = walk
    decoded = np.stack([clip.positions() for clip in decode_batch(features_NTD, spec)]) * spec.metres_per_unit
    np.testing.assert_allclose(joint_positions_m(features_NTD.double(), spec).numpy(), decoded, atol=1e-9)
    np.testing.assert_allclose(joint_positions_m(features_NTD, spec).numpy(), decoded, atol=2e-6)


def test_rotations_are_orthonormal(walk: tuple[torch.Tensor, FeatureSpec]) -> None:
    features_NTD, spec = walk
    rotations = joint_rotations(features_NTD.double(), spec)
    assert rotations.shape == (2, 20, 1 + len(spec.joints_below), 3, 3)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).double().expand_as(rotations))


def test_features_of_another_width_are_refused(walk: tuple[torch.Tensor, FeatureSpec]) -> None:
    features_NTD, spec = walk
    with pytest.raises(ValueError, match="features must have shape"):
        joint_positions_m(features_NTD[..., :-1], spec)
