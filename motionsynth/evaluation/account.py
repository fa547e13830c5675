"""Facts about an evaluation: which sets were compared, by which judge, where, and with what reservations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from motionsynth import __version__
from motionsynth.comparison.compared import Compared, Described
from motionsynth.comparison.reference import readable_name
from motionsynth.corpus.motions import MotionSet
from motionsynth.evaluation.scores import Scores, SetRecord
from motionsynth.extractors.extractor import Extractor
from motionsynth.metrics.suite import Figure
from motionsynth.runs.run import Run

__all__ = ["scores_of"]


def scores_of(
    source: Path,
    run: Run | None,
    compared: Compared,
    described: Described,
    judge: Extractor,
    figures: Mapping[str, Figure],
    real: Mapping[str, Figure],
    seed: int,
    resamples: int,
) -> Scores:
    """The outcome of an evaluation, with all that is to be said of its sets, its judge and this machine.

    Args:
        source: what was named as generated motion.
        run: the same as a run, if it is one.
        compared: the sets.
        described: the same as metrics saw them.
        judge: the extractor.
        figures: of the generated set.
        real: of real motion in its place.
        seed: what samples, subsets and resamples were drawn by.
        resamples: for each interval.
    """
    corpus, split, name = compared.source.corpus, compared.source.split, compared.source.name
    place = {"path": str(corpus.config.path.absolute()), "fingerprint": corpus.fingerprint}
    train = described.sets.train
    return Scores(
        generated=_record(
            run.path.resolve().name if run else readable_name(source),
            compared.generated,
            compared.available["generated"],
            _about_run(run, seed) if run else {"kind": "folder", "path": str(source.absolute())},
        ),
        reference=_record(
            f"{name}:{split}",
            compared.reference,
            compared.available["reference"],
            {"kind": "split", **place, "split": split},
        ),
        real=_record(
            f"{name}:train", compared.real, compared.available["real"], {"kind": "split", **place, "split": "train"}
        ),
        train=None if train is None else len(train),
        figures=figures,
        real_figures=real,
        facts=_facts(compared),
        extractor={
            "fingerprint": judge.fingerprint,
            "accuracy": judge.accuracy,
            "spaces": list(judge.spaces),
            "cells": len(judge.cell_names),
            "cell_source": judge.cell_source,
            "version": judge.version,
        },
        seed=seed,
        resamples=resamples,
        notes=(*_own_clips_notes(run, source, compared), *compared.notes, *_extractor_notes(judge, corpus.fingerprint)),
    )


def _own_clips_notes(run: Run | None, source: Path, compared: Compared) -> list[str]:
    """Note that real motion is compared with itself, which makes figures look better than any model can be."""
    notes = []
    if run is None and source.resolve().is_relative_to(compared.source.corpus.config.path.resolve()):
        notes.append("the generated files lie in the folder of the real motion: clips are compared with themselves")
    if compared.source.split == "train":
        notes.append(
            "the reference is the training split: nothing is held out, and the row of real motion shares its windows"
        )
    return notes


def _extractor_notes(judge: Extractor, fingerprint: str) -> list[str]:
    notes = []
    if judge.fingerprint != fingerprint:
        notes.append("the extractor was fitted on another corpus than the reference's")
    if judge.cell_source == "k-means":
        notes.append("the extractor knows no content and style: cells are those of k-means in the space pca")
    return notes


def _record(name: str, motions: MotionSet, available: int, about: Mapping[str, Any]) -> SetRecord:
    return SetRecord(name, len(motions), len(set(motions.takes)), available, about)


def _about_run(run: Run, seed: int) -> dict[str, Any]:
    record = run.record
    return {
        "kind": "run",
        "family": record.family,
        "step": record.step,
        "tracking_id": record.tracking_id,
        "config_hash": record.config_hash,
        "seed": seed,
    }


def _facts(compared: Compared) -> dict[str, Any]:
    generated, reference = compared.generated, compared.reference
    return {
        "motionsynth": __version__,
        "torch": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "frames": generated.features_NTD.shape[1],
        "frame_rate": generated.spec.frame_rate,
        "nyquist_hz": min(generated.nyquist_hz, reference.nyquist_hz),
    }
