"""Figures of cleaned motion: nothing changes where feet stand, and those that slide are held."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from motionsynth.extractors.spaces import Standard, kinetics
from motionsynth.features.encode import decode_batch
from motionsynth.metrics.cleaned import MEASURES, cleaned_positions
from motionsynth.metrics.descriptors import Descriptors
from motionsynth.metrics.feet import MEASURES as RAW
from motionsynth.metrics.manifold import manifold
from motionsynth.metrics.record import Sets, UndefinedError
from motionsynth.motion.feet import clean_feet
from tests.metrics.sets import walkers

SKATE, PRECISION = (measure.compute for measure in MEASURES)


def judged(windows: Descriptors) -> Descriptors:
    """The same windows with the space kinetic, standardised by the reference."""
    real = few(0)
    standard = Standard.fit(kinetics(real.positions_NTJ3, real.spec))

    def to_kinetic(positions_NTJ3: torch.Tensor) -> torch.Tensor:
        return standard.apply(kinetics(positions_NTJ3, real.spec))

    space = {"kinetic": to_kinetic(windows.positions_NTJ3)}
    return replace(windows, embeddings=space, to_kinetic=to_kinetic)


def few(half: int) -> Descriptors:
    """Every eighth window."""
    return walkers(half).subset(torch.arange(0, len(walkers(half)), 8)).to("cpu")


def slipping(speed: float) -> Descriptors:
    """Walkers that are carried along by so many metres a second more than their feet walk."""
    real = few(1)
    features = real.features_NTD.clone()
    features[..., real.spec.slices["root_velocity_m_s"]] += speed
    return judged(Descriptors(features, real.spec, real.take_N))


def test_real_motion_is_as_it_was() -> None:
    sets = Sets(judged(few(1)), judged(few(0)))
    raw = RAW[0].compute(sets, None)["foot_skate"]
    assert SKATE(sets, None)["foot_skate_cleaned"] == pytest.approx(raw, abs=0.01)
    one, other = sets.generated, sets.reference
    spaces = (one.embeddings["kinetic"], other.embeddings["kinetic"])
    plain = manifold(*spaces, groups=(one.take_N, other.take_N)).precision
    assert PRECISION(sets, None)["precision_kinetic_cleaned"] == pytest.approx(plain, abs=0.05)


def test_feet_that_slide_are_held() -> None:
    sets = Sets(slipping(0.1), judged(few(0)))
    raw = RAW[0].compute(sets, None)["foot_skate"]
    real = RAW[0].compute(Sets(few(1), few(0)), None)["foot_skate"]
    assert raw > real + 0.06, "the control: they slide"
    assert SKATE(sets, None)["foot_skate_cleaned"] < real + 0.02


def test_they_are_the_clips_that_are_exported() -> None:
    windows = slipping(0.1).subset(torch.arange(0, len(few(1)), 12))
    clips = [clean_feet(clip) for clip in decode_batch(windows.features_NTD, windows.spec)]
    exported = torch.stack([torch.from_numpy(clip.positions()) for clip in clips]).float() * 0.01
    torch.testing.assert_close(cleaned_positions(windows), exported, rtol=0, atol=1e-4)
    assert (exported - windows.positions_NTJ3).abs().max() > 0.02, "the control: they are changed"


def test_there_is_no_figure_where_no_leg_is_found_or_the_space_is_missing() -> None:
    plain = few(1)
    with pytest.raises(UndefinedError, match="needs the feature space kinetic"):
        PRECISION(Sets(plain, judged(few(0))), None)
    pawed = replace(plain.spec, names=tuple(name.replace("Foot", "Paw") for name in plain.spec.names))
    with pytest.raises(UndefinedError, match="no leg is found"):
        SKATE(Sets(replace(plain, spec=pawed), few(0)), None)


def test_no_calibration_is_made_of_them() -> None:
    assert not any(measure.calibrated for measure in MEASURES)
    assert all(measure.calibrated for measure in RAW)
