"""Train families by their shipped settings on a corpus, and print how good the motion is that they make.

    python tools/accept/motion.py DATA [--families vae,gan,flow] [--seeds 0,1,2] [--set KEY=VALUE]
                                  [--reference test] [--out accept/motion]

DATA is a folder of BVH files or a YAML of the data section. Prints the tables of docs/tuning.md as Markdown: a row for
each family and prior, the mean over seeds with the least and the greatest, below real training motion and held-out
motion projected on the basis, which nothing that is written in the basis can pass by. The figures are those of
``motionsynth evaluate``; all sets are compared with the same held-out windows. A second call goes on where the first
stopped, and a finished run is measured once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from motionsynth.comparison.compared import Compared
from motionsynth.comparison.reference import Reference, open_reference
from motionsynth.config import resolve_config
from motionsynth.corpus.motions import MotionSet, drawn_motions
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.store import extractor_for
from motionsynth.families.capabilities import SampleOptions
from motionsynth.files import write_bytes
from motionsynth.metrics.registry import choose
from motionsynth.runs.run import Run
from motionsynth.runs.sampling import draw_samples
from motionsynth.runs.train import train_once
from motionsynth.training.journal import read_journal

COUNT: Final = 1024
"""Windows a set."""
FIGURES: Final = {
    "P": "modes/precision.pca",
    "R": "modes/recall.pca",
    "C": "modes/coverage.pca",
    "cells": "modes/cells_covered",
    "FD": "fidelity/frechet.pca",
    "energy": "smoothness/energy_above_5hz_within",
    "jerk": "smoothness/jerk_ratio_within",
    "skating": "fidelity/foot_skate",
    "held": "fidelity/foot_skate_cleaned",
    "kinetic P": "modes/precision.kinetic",
    "kinetic R": "modes/recall.kinetic",
    "kinetic P, held": "modes/precision_kinetic_cleaned",
}
JOURNALLED: Final = {"close": "validation/close_to_train", "minutes": "budget/minutes"}
"""Last values of the journal."""
ENDS: Final = 3
"""Frames at either end of a window whose squared acceleration is held against that of its middle."""
REAL: Final = {"*real training motion*": "train", "*held-out motion on the basis*": "projected"}


def main() -> None:
    """Train what is missing, measure, and print after every run."""
    arguments = _arguments()
    torch.set_num_threads(1)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in map(int, arguments.seeds.split(",")):
        for name in arguments.families.split(","):
            overrides = [*arguments.overrides, f"train.seed={seed}"]
            config = resolve_config(name, data=arguments.data, overrides=overrides)
            run = train_once(config, run_dir=arguments.out / f"{name}-{seed}", track=False).run
            for title, figures in measured(run, arguments.reference).items():
                if title not in REAL or title not in rows:
                    rows.setdefault(title, []).append(figures)
            print(table(rows), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--families", default="vae,gan,flow", metavar="NAME,...")
    parser.add_argument("--seeds", default="0,1,2", metavar="SEED,...")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--reference", choices=("validation", "test"), default="test")
    parser.add_argument("--out", type=Path, default=Path("accept/motion"))
    return parser.parse_args()


def measured(run: Run, split: str) -> dict[str, dict[str, float]]:
    """Title of a row -> its figures, of every prior of the family and of both kinds of real motion; kept in the run."""
    kept = run.path / f"motion-{split}.json"
    if kept.exists():
        found: dict[str, dict[str, float]] = json.loads(kept.read_text())
        return found
    held = open_reference(split, run)
    judge = extractor_for(held.corpus)
    rows = {title: figures(motions, held, judge) for title, motions in real_motions(run, held).items()}
    journal = read_journal(run.journal_path)
    journalled = {
        name: [row.metrics[key] for row in journal if key in row.metrics][-1]
        for name, key in JOURNALLED.items()
        if any(key in row.metrics for row in journal)
    }
    family, name = run.load_family(), run.config.family.name
    for prior in family.priors:
        drawn_NTD = draw_samples(run, COUNT, 0, how=SampleOptions(prior=prior)).motion_NTD
        motions = drawn_motions(run.normaliser().denormalise(drawn_NTD), run.spec(), "window")
        title = name if len(family.priors) == 1 else f"{name}, {prior}"
        rows[title] = {**figures(motions, held, judge), "ends": ends(drawn_NTD), **journalled}
    write_bytes(kept, json.dumps(rows, indent=1).encode() + b"\n")
    return rows


def real_motions(run: Run, held: Reference) -> dict[str, MotionSet]:
    """Training windows, and windows of the other held-out split as the basis of the run writes them."""
    real, projected = REAL
    rows = {real: held.motions("train").draw(COUNT, 0)}
    family = run.load_family()
    if family.basis is None:
        return rows
    other = held.motions("validation" if held.split == "test" else "test").draw(COUNT, 0)
    motion_NTD = run.normaliser().normalise(other.features_NTD)
    coefficients_NTD = family.basis.encode(motion_NTD, torch.ones(motion_NTD.shape[:2], dtype=torch.bool))
    features_NTD = run.normaliser().denormalise(family.basis.decode(coefficients_NTD))
    return {**rows, projected: drawn_motions(features_NTD, run.spec(), "window")}


def figures(motions: MotionSet, held: Reference, judge: Extractor) -> dict[str, float]:
    """All of ``FIGURES`` that have a value."""
    chosen = choose(list(FIGURES.values()), None, judge.spaces)
    compared = Compared.of(motions, held, count=COUNT, seed=0)
    described = compared.described(judge, chosen, "cpu", _silent)
    found, _ = described.score(chosen, 0, 0, _silent)
    return {name: value for name, key in FIGURES.items() if key in found and (value := found[key].value) is not None}


def ends(motion_NTD: Tensor) -> float:
    """Largest mean squared acceleration of features within ``ENDS`` frames of either end, over that of the middle."""
    energy_T = motion_NTD.diff(n=2, dim=1).square().mean((0, 2))
    third = len(energy_T) // 3
    return float(torch.cat((energy_T[:ENDS], energy_T[-ENDS:])).max() / energy_T[third:-third].mean())


def table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown: the mean over seeds, and the range in brackets where there are several."""
    columns = [*FIGURES, "ends", *JOURNALLED]
    lines = [f"| | seeds | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 2)}"]
    for title, seeds in rows.items():
        cells = (_cell([one[name] for one in seeds if name in one]) for name in columns)
        lines.append(f"| {title} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    digits = 0 if max(values) >= 100 else 1 if max(values) >= 10 else 2 if max(values) >= 0.2 else 3
    mean = f"{sum(values) / len(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _silent(*_: object) -> None:
    """Progress that is not shown."""


if __name__ == "__main__":
    main()
