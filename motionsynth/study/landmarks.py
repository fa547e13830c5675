"""Rows that no training makes: what the figures of arms are read against.

Shapes: N windows, T frames, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from motionsynth.calibration.doses import apply_dose
from motionsynth.calibration.plan import Dose
from motionsynth.calibration.pool import open_pool
from motionsynth.comparison.reference import Reference
from motionsynth.config import RunConfig
from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.motions import MotionSet, drawn_motions
from motionsynth.errors import StudyError
from motionsynth.families.capabilities import SampleOptions
from motionsynth.runs.sampling import draw_from
from motionsynth.study.plan import ArmConfig
from motionsynth.training.determinism import build_family

__all__ = ["landmark"]


def landmark(arm: ArmConfig, corpus: Corpus, count: int, seed: int, like: RunConfig | None) -> MotionSet:
    """``count`` windows of a landmark, other ones for another seed.

    ``real``: training windows. ``memoriser``: ``windows`` training windows over and over. ``mean_clip``: the mean
    training window. ``low_pass``: training windows whose clips were low-passed at ``hz``. ``untrained``: what the
    network of the arm ``like`` draws before it learns. ``nearest_other``: test windows, for the instrument that
    answers each with its nearest training window of another class.

    Args:
        arm: the landmark and its amounts.
        corpus: the real motion.
        count: N.
        seed: what is chosen by.
        like: the run of the arm that ``untrained`` names; None for the others.
    """
    assert arm.landmark is not None
    if arm.landmark == "untrained":
        assert like is not None
        return _untrained(like, corpus, count, seed)
    if arm.landmark == "low_pass":
        return _low_passed(corpus, float(arm.set["hz"]), count, seed)
    return _MAKERS[arm.landmark](arm, corpus, count, seed)


def _train(corpus: Corpus) -> MotionSet:
    return Reference(corpus, "test").motions("train")


def _real(arm: ArmConfig, corpus: Corpus, count: int, seed: int) -> MotionSet:
    return _train(corpus).draw(count, seed)


def _held_out(arm: ArmConfig, corpus: Corpus, count: int, seed: int) -> MotionSet:
    return Reference(corpus, "test").motions("test").draw(count, seed)


def _memoriser(arm: ArmConfig, corpus: Corpus, count: int, seed: int) -> MotionSet:
    known = _train(corpus).draw(int(arm.set["windows"]), seed)
    chosen_N = np.resize(np.random.default_rng(seed).permutation(len(known)), count)
    return _own_takes(known.subset(torch.from_numpy(chosen_N)))


def _mean_clip(arm: ArmConfig, corpus: Corpus, count: int, seed: int) -> MotionSet:
    train = _train(corpus)
    windows = train.subset(torch.arange(count) % len(train))
    mean_TD = train.features_NTD.double().mean(0).float()
    return _own_takes(replace(windows, features_NTD=mean_TD.expand(count, -1, -1).contiguous()))


def _low_passed(corpus: Corpus, hz: float, count: int, seed: int) -> MotionSet:
    pool = open_pool(corpus, "train")
    if hz >= pool.motions.nyquist_hz:
        raise StudyError(
            None, f"low_pass at {hz:g} Hz changes nothing: the motion holds {pool.motions.nyquist_hz:g} Hz"
        )
    count = min(count, len(pool))
    wanted_N = np.sort(np.random.default_rng(seed).choice(len(pool), count, replace=False))
    return apply_dose(pool, Dose("low_pass", hz), corpus.normaliser, seed, wanted_N)


def _untrained(like: RunConfig, corpus: Corpus, count: int, seed: int) -> MotionSet:
    basis, windows = corpus.basis(like.family.basis), corpus.windows("train")
    family = build_family(like.family, replace(corpus.shape, basis=basis), seed)
    family.begin(basis.project(windows) if basis else windows)
    # nothing is fitted on the latents of an untrained network
    prior = next((prior for prior in family.priors if prior != "fitted"), None)
    drawn_NTD = corpus.normaliser.denormalise(draw_from(family, count, seed, SampleOptions(prior=prior)))
    return drawn_motions(drawn_NTD, corpus.spec, "untrained")


def _own_takes(motions: MotionSet) -> MotionSet:
    names = tuple(f"window:{number}" for number in range(len(motions)))
    return replace(motions, takes=names, names=names)


_Maker = Callable[[ArmConfig, Corpus, int, int], MotionSet]
_MAKERS: Final[dict[str, _Maker]] = {
    "real": _real,
    "nearest_other": _held_out,
    "memoriser": _memoriser,
    "mean_clip": _mean_clip,
}
