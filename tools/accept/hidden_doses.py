"""How well are doses recovered that the calibration has not seen, on takes that it has not seen?

    python tools/accept/hidden_doses.py CORPUS CALIBRATION [--repeats 5] [--out hidden.json]

Dose the validation takes by cut-offs and by shares of cells that are no doses of the calibration, hold them against the
test takes, read each valid figure backwards on its curve (which training takes made), and print what was recovered,
figure by figure. Exits with 1 where a headline is off, in the mean over the doses, by more than a quarter of an octave
or ten points of a hundred.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motionsynth.calibration.bench import Bench, one_thread, open_bench
from motionsynth.calibration.plan import Dose
from motionsynth.calibration.reading import load_calibration, read_figure, refuse_unfit
from motionsynth.calibration.record import Calibration
from motionsynth.corpus.corpus import open_corpus
from motionsynth.extractors.store import extractor_for
from motionsynth.files import write_bytes
from motionsynth.metrics.registry import choose
from motionsynth.runs.begin import resolve_data

CUT_OFFS_HZ = (8.0, 5.0, 3.2, 2.0, 1.1)
SHARES_DROPPED = (0.2, 0.4, 0.65, 0.85, 0.93)
MOST_OCTAVES = 0.25
MOST_SHARE = 0.10


@dataclass(frozen=True)
class Recovered:
    """One figure at one hidden dose.

    Args:
        axis: ``blur`` or ``drop``.
        key: of the figure.
        true: cut-off in Hz, or share dropped.
        doses: what each repeat was read as; None where it was off the curve.
        sentence: of the first repeat.
        covered: share of the repeats whose interval holds the truth.
    """

    axis: str
    key: str
    true: float
    doses: list[float | None]
    sentence: str
    covered: float

    @property
    def error(self) -> float | None:
        """Mean |error| over the repeats: in octaves, or in shares; None where a repeat has no dose."""
        if any(dose is None for dose in self.doses):
            return None
        return float(np.mean([self.distance(dose) for dose in self.doses if dose is not None]))

    def distance(self, dose: float) -> float:
        """Of a dose to the truth."""
        return abs(math.log2(dose / self.true)) if self.axis == "blur" else abs(dose - self.true)


def main() -> int:
    """Measure, print, and judge the headlines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder, YAML of a data section, or run directory")
    parser.add_argument("calibration", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--extractor", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="file to write as JSON")
    arguments = parser.parse_args()
    calibration = load_calibration(arguments.calibration)
    bench = open_hidden(calibration, arguments.corpus, arguments.overrides, arguments.extractor, arguments.repeats)
    found: list[Recovered] = []
    with one_thread():
        for axis, dose, true in hidden_doses(calibration, bench):
            found += recover(calibration, bench, axis, dose, true)
            print_headline(calibration, axis, found)
    print_summary(calibration, found)
    if arguments.out:
        write_bytes(arguments.out, (json.dumps([as_json(r) for r in found], indent=1) + "\n").encode())
    return 0 if all(headline_holds(calibration, axis, found) for axis in ("blur", "drop")) else 1


def open_hidden(
    calibration: Calibration, path: Path, overrides: Sequence[str], folder: Path | None, repeats: int
) -> Bench:
    """The validation takes against the test takes, by every figure that is valid on an axis."""
    corpus = open_corpus(resolve_data(path, overrides=overrides))
    extractor = extractor_for(corpus, folder=folder)
    config = calibration.config.model_copy(update={"repeats": repeats, "seed": calibration.config.seed + 1})
    keys = {v.key for v in calibration.verdicts if v.axis in ("blur", "drop") and v.kind in ("valid", "range")}
    bench = open_bench(corpus, extractor, config, choose(sorted(keys), None, extractor.spaces), pool="validation")
    note = refuse_unfit(calibration, corpus=corpus.fingerprint, extractor=extractor.identity, count=bench.count)
    if note:
        print(note)
    return bench


def hidden_doses(calibration: Calibration, bench: Bench) -> list[tuple[str, Dose, float]]:
    """Axis, dose and true amount; none that the calibration has."""
    known = {figures.dose for figures in calibration.doses}
    hidden = [("blur", Dose("low_pass", hz), hz) for hz in CUT_OFFS_HZ]
    for share in SHARES_DROPPED:
        kept = max(2, round(bench.cells * (1 - share)))
        hidden.append(("drop", Dose("cells", float(kept)), 1 - kept / bench.cells))
    return [entry for entry in dict.fromkeys(hidden) if entry[1] not in known]


def recover(calibration: Calibration, bench: Bench, axis: str, dose: Dose, true: float) -> list[Recovered]:
    """Read every valid figure at one hidden dose."""
    figures = bench.measure(dose)
    found = []
    for verdict in calibration.verdicts:
        if verdict.axis != axis or verdict.kind not in ("valid", "range"):
            continue
        values = [value for value in figures.values[verdict.key] if value is not None]
        readings = [read_figure(calibration, verdict, value) for value in values]
        if not readings:
            continue
        held = [r.low is not None and r.high is not None and r.low <= true <= r.high for r in readings]
        doses = [reading.dose for reading in readings]
        found.append(Recovered(axis, verdict.key, true, doses, readings[0].sentence, float(np.mean(held))))
    return found


def print_headline(calibration: Calibration, axis: str, found: Sequence[Recovered]) -> None:
    """What the headline of an axis says of the dose measured last."""
    headline = calibration.headlines.get(axis)
    for recovered in found[::-1]:
        if headline and recovered.axis == axis and recovered.key == headline.key:
            doses = ", ".join("-" if dose is None else f"{dose:.2f}" for dose in recovered.doses)
            print(f"{axis} {recovered.true:.3g}: {recovered.sentence}; repeats {doses}", flush=True)
            return


def print_summary(calibration: Calibration, found: Sequence[Recovered]) -> None:
    """Every figure: mean error over the doses on which it gave one, and how often its interval held the truth."""
    for axis, unit in (("blur", "octaves"), ("drop", "of the cells")):
        print(f"\n{axis}: figure, mean error ({unit}), doses read, intervals that hold the truth")
        headline = calibration.headlines.get(axis)
        keys = dict.fromkeys(r.key for r in found if r.axis == axis)
        for key in keys:
            mine = [r for r in found if r.axis == axis and r.key == key]
            errors = [r.error for r in mine if r.error is not None]
            mean = f"{np.mean(errors):.3f}" if errors else "-"
            covered = 100 * np.mean([r.covered for r in mine])
            mark = " *" if headline and headline.key == key else ""
            print(f"  {key}{mark}  {mean}  {len(errors)}/{len(mine)}  {covered:.0f} %")


def headline_holds(calibration: Calibration, axis: str, found: Sequence[Recovered]) -> bool:
    """Whether an axis has a headline, and it tells every hidden dose, in the mean within the limit."""
    headline = calibration.headlines.get(axis)
    errors = [r.error for r in found if headline and r.axis == axis and r.key == headline.key]
    limit = MOST_OCTAVES if axis == "blur" else MOST_SHARE
    told = [error for error in errors if error is not None]
    return bool(told) and len(told) == len(errors) and float(np.mean(told)) <= limit


def as_json(recovered: Recovered) -> dict[str, Any]:
    """For a file."""
    return {**vars(recovered), "error": recovered.error}


if __name__ == "__main__":
    sys.exit(main())
