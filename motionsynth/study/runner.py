"""A whole study: calibrate, train what is missing, measure, and write the report; stopped at any moment it goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from motionsynth.calibration.record import Calibration, calibration_bytes, load_calibration
from motionsynth.corpus.offers import OFFERS
from motionsynth.errors import ConfigError, MotionSynthError, StudyError, unknown_word
from motionsynth.hashes import hash_bytes
from motionsynth.progress import Announce, Stage
from motionsynth.study.calibrated import calibration_of
from motionsynth.study.cells import CellJob, CellOutcome, run_cells
from motionsynth.study.check import check_plan, suite_keys
from motionsynth.study.engines import Engine, as_ended
from motionsynth.study.load import plan_cells, read_study
from motionsynth.study.plan import Cell, EndpointConfig, StudyConfig
from motionsynth.study.results import CellResult, read_results
from motionsynth.study.verdicts import statements
from motionsynth.yaml_files import YamlFile

__all__ = ["Places", "Plan", "StudyOutcome", "batched", "make_plan", "prepare", "read_on", "run_study"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where a study reads and writes.

    Args:
        yaml: the study.
        runs: folder of runs, and of calibrations that are made.
        results: folder of results and report.
        data: corpus -> folder of its clips, where that is another than the YAML says.
    """

    yaml: Path
    runs: Path
    results: Path
    data: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        yaml: Path,
        study: StudyConfig,
        *,
        runs: Path | None = None,
        results: Path | None = None,
        data: Mapping[str, Path] | None = None,
    ) -> Places:
        """``runs/study-NAME`` and the results folder of the YAML, or ``docs/results/NAME``, where none is named."""
        return cls(
            yaml,
            runs or Path("runs") / f"study-{study.name}",
            results or study.results or Path("docs/results") / study.name,
            dict(data or {}),
        )


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what is done already.

    Args:
        study: the plan.
        cells: all of them, in the order in which they are done.
        done: results by key, of cells of the plan, measured as the study asks.
    """

    study: StudyConfig
    cells: Sequence[Cell]
    done: Mapping[str, CellResult]

    @property
    def left(self) -> list[Cell]:
        """Cells without a result."""
        return [cell for cell in self.cells if cell.key not in self.done]


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended.

    Args:
        plan: with all results that there are now.
        failed: a line for each cell that failed and will be done again.
        warnings: what went wrong beside the results.
        exit_code: 0; 1 where cells failed; 130 or 143 where a signal stopped it.
    """

    plan: Plan
    failed: Sequence[str] = ()
    warnings: Sequence[str] = ()
    exit_code: int = 0


def make_plan(study: StudyConfig, places: Places, *, only: Iterable[str] = ()) -> Plan:
    """The cells of a study, or of some arms, and the results that there are.

    Raises:
        ConfigError: ``only`` names no arm, or ``data`` no corpus.
        StudyError: a result is damaged, or was made on other clips than its neighbours.
    """
    only = list(only)
    if stranger := next((arm for arm in only if arm not in study.arms), None):
        raise ConfigError("--only", stranger, unknown_word("arm", stranger, study.arms))
    cells = [cell for cell in plan_cells(study, places.yaml, data=places.data) if not only or cell.arm in only]
    found = read_results(places.results)
    done = {
        cell.key: found[cell.key]
        for cell in cells
        if cell.key in found and found[cell.key].measure_sha256 == study.measure_sha256(cell.arm)
    }
    for corpus in study.corpora:
        prints = {result.fingerprint for result in done.values() if result.corpus == corpus and result.fingerprint}
        if len(prints) > 1:
            raise StudyError(places.results, f"holds results of two different corpora called {corpus}; part them")
    return Plan(study, cells, done)


def prepare(
    plan: Plan,
    places: Places,
    *,
    jobs: int = 1,
    told: Stage = lambda *_: None,
    announce: Announce = lambda _: None,
) -> dict[str, Path]:
    """Open every corpus that cells are left of, calibrate it where that is missing, and check the hypotheses on it.

    Hypotheses are checked on corpora too whose cells are done, where their calibration is at hand.

    Args:
        plan: of :func:`make_plan`.
        places: where it reads and writes.
        jobs: processes that calibrate.
        told: what is done, how much of it, of how much.
        announce: told why a calibration does not fit.

    Returns:
        Corpus -> its ``calibration.json``; corpora whose hypotheses need none, and grids, are not there.

    Raises:
        ConfigError: a hypothesis is about a figure that the calibration calls blind or invalid, or about a dose that is
            read from a figure that is not computed; names file and line.
        StudyError: the clips of a corpus are missing.
    """
    study, document = plan.study, read_study(places.yaml)
    found: dict[str, Path] = {}
    for corpus, path in read_on(plan, places).items():
        _check_endpoints(study, corpus, path, document)
    for corpus in dict.fromkeys(cell.corpus for cell in plan.left):
        data = next((cell.data for cell in plan.left if cell.corpus == corpus), None)
        if data is None:
            continue
        if absent := next((path for path in (data.path, data.second) if path and not path.exists()), None):
            raise document.wrong(["corpora", corpus], f"{absent} is not there: {how_to_get(corpus, absent)}")
        if "suite" in study.measure.instruments:
            check_plan(study, document)
            kept = places.runs / "calibration" / corpus
            found[corpus] = calibration_of(study, corpus, data, kept, jobs=jobs, told=told, announce=announce)
            _check_endpoints(study, corpus, found[corpus], document)
    return found


def read_on(plan: Plan, places: Places) -> dict[str, Path]:
    """Corpus -> the calibration that its finished cells were read on, where that very file is at hand."""
    found: dict[str, Path] = {}
    for corpus, entry in plan.study.corpora.items():
        used = {result.calibration for result in plan.done.values() if result.corpus == corpus and result.calibration}
        for path in (entry.calibration, places.runs / "calibration" / corpus / "calibration.json"):
            if used and path is not None and path.is_file() and hash_bytes(calibration_bytes(path)) in used:
                found.setdefault(corpus, path)
    return found


def how_to_get(corpus: str, path: Path) -> str:
    """What a person does to have the clips of a corpus."""
    if corpus.startswith("walkers"):
        size = " --clips 120" if corpus == "walkers-small" else ""
        return f"`motionsynth data make walkers{size} --out {path}` makes it"
    named = next((name for name in OFFERS if corpus.startswith(name)), None)
    first = f"`motionsynth data download {named}` fetches it; " if named else ""
    return f"{first}--data {corpus}=FOLDER says where it is"


def _check_endpoints(study: StudyConfig, corpus: str, path: Path, document: YamlFile) -> None:
    calibration, computed = load_calibration(path), suite_keys(study.measure)
    for name, hypothesis, where in statements(study):
        if where == corpus and (reason := _unfit(calibration, hypothesis.endpoint, computed)):
            raise document.wrong(["hypotheses", name, "endpoint"], f"{reason} on {corpus}, says {path}")


def _unfit(calibration: Calibration, endpoint: EndpointConfig, computed: Container[str]) -> str | None:
    """Why an endpoint can carry no verdict on a corpus; None where it can."""
    axes, axis, metric = calibration.config.axes, endpoint.axis, endpoint.metric
    if (dose := endpoint.dose) is not None:
        if dose not in axes:
            return unknown_word(f"axis {dose!r}", dose, axes)
        if dose not in calibration.headlines:
            return f"no figure is valid on the axis {dose}"
        key = calibration.headlines[dose].key
        return None if key in computed else f"the axis {dose} is read from {key}, which measure leaves out,"
    if axis is None:
        return None
    if axis not in axes:
        return unknown_word(f"axis {axis!r}", axis, axes)
    assert metric is not None
    verdict = calibration.verdict(metric, axis)
    if verdict is None:
        return f"{metric} was not calibrated"
    return None if verdict.kind in ("valid", "range") else f"{metric} is {verdict.kind} for {axis} ({verdict.reason})"


def run_study(
    plan: Plan,
    places: Places,
    calibrations: Mapping[str, Path],
    engine: Engine,
    *,
    device: str = "auto",
    track: bool = True,
    together: int = 1,
    told: Callable[[Plan, Sequence[str]], None] = lambda *_: None,
) -> StudyOutcome:
    """Do every cell that has no result.

    Args:
        plan: of :func:`make_plan`.
        places: where it reads and writes.
        calibrations: of :func:`prepare`.
        engine: what runs the cells.
        device: where they train.
        track: whether runs are delivered to MLflow.
        together: seeds of one arm that are trained as one batch, at most.
        told: called with the plan and what has failed whenever a cell has ended, and once before.
    """
    jobs = [
        CellJob(plan.study, cell, places.runs, places.results, calibrations.get(cell.corpus), device, track)
        for cell in plan.left
    ]
    done, failed, warnings, code = dict(plan.done), list[str](), list[str](), 0
    told(plan, failed)
    for batch, future in as_ended(engine, run_cells, batched(jobs, together)):
        outcomes = _outcomes(batch, future)
        done |= {outcome.result.key: outcome.result for outcome in outcomes if outcome.result is not None}
        failed += [outcome.error for outcome in outcomes if outcome.error]
        warnings += [outcome.warning for outcome in outcomes if outcome.warning]
        plan = Plan(plan.study, plan.cells, dict(done))
        told(plan, failed)
        if code := next((outcome.exit_code for outcome in outcomes if outcome.exit_code), 0):
            break
    return StudyOutcome(plan, failed, list(dict.fromkeys(warnings)), code or int(bool(failed)))


def batched(jobs: Iterable[CellJob], size: int) -> list[list[CellJob]]:
    """Seeds of one arm on one corpus, so many at most; what is not trained is by itself. In order of the first."""
    batches: list[list[CellJob]] = []
    open_ones: dict[tuple[str, str], list[CellJob]] = {}
    for job in jobs:
        key = (job.cell.arm, job.cell.corpus)
        if job.cell.config is None or len(batch := open_ones.get(key, [])) in (0, size):
            batches.append(batch := [])
            open_ones[key] = batch
        batch.append(job)
    return batches


def _outcomes(batch: Sequence[CellJob], future: Future[list[CellOutcome]]) -> list[CellOutcome]:
    """Outcomes of cells, whatever became of the process that they ran in."""
    name = batch[0].cell.name + (f" and {len(batch) - 1} seeds more" if len(batch) > 1 else "")
    try:
        return future.result()
    except (MotionSynthError, OSError) as error:
        return [CellOutcome(None, error=f"{name}: {error}")]
    except Exception as error:  # hours of other cells do not end with one
        _log.warning("%s failed", name, exc_info=error)
        return [CellOutcome(None, error=f"{name}: {type(error).__name__}: {error}")]
