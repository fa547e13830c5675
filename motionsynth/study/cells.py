"""One cell from plan to result: train (or go on), show, measure, keep; in a process of its own or in this one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionsynth import __version__
from motionsynth.calibration.bench import one_thread
from motionsynth.corpus.motions import MotionSet, drawn_motions
from motionsynth.corpus.windows import Batch
from motionsynth.errors import DivergedError, MotionSynthError, RunError
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Reconstructs, SampleOptions
from motionsynth.provenance import git_commit
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sampling import draw_from
from motionsynth.runs.train import SeedCase, train_once, train_seeds
from motionsynth.study.clips import keep_clips
from motionsynth.study.grids import measure_grid
from motionsynth.study.landmarks import landmark
from motionsynth.study.load import run_of
from motionsynth.study.measure import measure_view, open_world
from motionsynth.study.plan import Cell, StudyConfig, ViewConfig, placeless
from motionsynth.study.results import CLIPS, CellResult, ViewResult, save_result
from motionsynth.study.translation import brought_clips
from motionsynth.study.world import Shown, World
from motionsynth.tracking.sync import sync_run
from motionsynth.training.determinism import torch_threads
from motionsynth.training.journal import read_journal
from motionsynth.training.machine import describe_machine

__all__ = ["CellJob", "CellOutcome", "run_cell", "run_cells"]


@dataclass(frozen=True)
class CellJob:
    """What a process needs to know to do a cell; small enough to be sent.

    Args:
        study: the plan.
        cell: which.
        runs: folder of the runs, each in a folder named by its cell's key.
        results: folder of the results.
        calibration: ``calibration.json`` of its corpus; None where the study reads no doses.
        device: where it trains.
        track: whether the run is delivered to MLflow when it is done.
    """

    study: StudyConfig
    cell: Cell
    runs: Path
    results: Path
    calibration: Path | None
    device: str = "auto"
    track: bool = True

    @property
    def run_dir(self) -> Path:
        """Where its run is."""
        return self.runs / self.cell.key

    @property
    def tags(self) -> dict[str, str]:
        """Tags of its run: study, arm, corpus and seed."""
        cell = self.cell
        tags = {"study": cell.study, "arm": cell.arm, "corpus": cell.corpus, "seed": str(cell.seed)}
        return tags | {"mlflow.runName": cell.name}


@dataclass(frozen=True)
class CellOutcome:
    """How a cell ended.

    Args:
        result: what is kept of it; None where a signal stopped it or it failed: it is then done again.
        exit_code: 130 or 143 where a signal stopped it.
        error: why it failed, in one line.
        warning: what went wrong beside the result, as an MLflow server that did not answer.
    """

    result: CellResult | None
    exit_code: int = 0
    error: str = ""
    warning: str = ""


def run_cells(jobs: Sequence[CellJob]) -> list[CellOutcome]:
    """Do cells; several are seeds of one arm on one corpus, which are trained as one batch before they are measured.

    Whatever goes wrong in the batch is left to each cell to meet again and to tell.
    """
    if len(jobs) > 1 and (code := _train_together(jobs)):
        return [CellOutcome(None, code) for _ in jobs]
    return [run_cell(job) for job in jobs]


def _train_together(jobs: Sequence[CellJob]) -> int:
    """Train the runs of cells as one batch; 130 or 143 where a signal stopped them, 0 otherwise."""
    cases = [SeedCase(job.cell.config, job.run_dir, job.tags) for job in jobs if job.cell.config is not None]
    try:
        ends = train_seeds(cases, device=jobs[0].device, track=False)
    except MotionSynthError:
        return 0
    return next((end.exit_code for end in ends if not isinstance(end, MotionSynthError) and end.exit_code), 0)


def run_cell(job: CellJob) -> CellOutcome:
    """Do a cell and keep its result; a run that diverges is a result, anything else that goes wrong is none.

    The result is written last: a cell that has one is whole.
    """
    cell = job.cell
    if cell.data is None:
        return _keep(job, _grid(job), "")
    try:
        return _run_motion(job)
    except MotionSynthError as error:
        return CellOutcome(None, error=f"{cell.name}: {error}")


def _grid(job: CellJob) -> CellResult:
    began, cell = time.monotonic(), job.cell
    figures = measure_grid(job.study.arms[cell.arm], job.study.corpora[cell.corpus], cell.seed)
    view = job.study.arms[cell.arm].main_view
    return _result(job, seconds={"measure": time.monotonic() - began}, views={view: ViewResult(figures)})


def _run_motion(job: CellJob) -> CellOutcome:
    cell, run, trained_s = job.cell, None, 0.0
    if cell.config is not None:
        try:
            outcome = train_once(cell.config, run_dir=job.run_dir, device=job.device, track=False, tags=job.tags)
        except DivergedError as error:
            return _diverged(job, str(error))
        if outcome.exit_code:
            return CellOutcome(None, outcome.exit_code)
        run = outcome.run
        trained_s = 60 * max((row[1] for row in _curve(run, "budget/minutes")), default=0.0)
    began = time.monotonic()
    world = _world(job)
    shown = _shown_views(job, world, run)
    wild = next((name for name, motions in shown.items() if not motions.features_NTD.isfinite().all()), None)
    if wild is not None:
        return _diverged(job, f"draws values that are not finite ({wild})")
    views = _measured(job, world, run, shown)
    if run is not None and cell.seed == 0 and job.study.measure.clips:
        _keep_clips(job, world, run, shown)
    seconds = {"train": trained_s, "measure": time.monotonic() - began}
    result = _result(job, run=run, world=world, seconds=seconds, views=views)
    return _keep(job, result, _deliver(job, run))


def _keep_clips(job: CellJob, world: World, run: Run, shown: Mapping[str, MotionSet]) -> None:
    """Clips for the report: what views draw, or what has become of held-out motion where that is measured."""
    count = job.study.measure.clips
    if "translation" in job.study.measure.instruments:
        shown = brought_clips(world, run, count)
    job.results.mkdir(parents=True, exist_ok=True)
    keep_clips(shown, job.results / f"{job.cell.key}{CLIPS}", count)


def _diverged(job: CellJob, error: str) -> CellOutcome:
    run = open_run(job.run_dir)
    result = _result(job, run=run, error=error)
    return _keep(job, result, _deliver(job, run))


def _keep(job: CellJob, result: CellResult, warning: str) -> CellOutcome:
    save_result(result, job.results)
    return CellOutcome(result, warning=warning)


def _shown_views(job: CellJob, world: World, run: Run | None) -> dict[str, MotionSet]:
    cell, arm, corpus = job.cell, job.study.arms[job.cell.arm], world.reference.corpus
    if run is not None:
        return {name: _shown(job, world, run, view) for name, view in arm.views.items()}
    like = None
    if arm.landmark == "untrained":
        like = run_of(job.study, str(arm.set["like"]), cell.corpus, folder=corpus.config.path)
    count = job.study.measure.draws or job.study.measure.count
    found = landmark(arm, corpus, count, cell.seed, like)
    return {arm.main_view: found}


def _shown(job: CellJob, world: World, run: Run, view: ViewConfig) -> MotionSet:
    """Windows of a run as a view shows them; the same latents in every arm, whatever the seed of the training."""
    measure = job.study.measure
    with torch_threads(run.config.train.threads):
        family = run.load_family(ema=view.ema)
        if view.reconstruct:
            return _reconstructed(world, run, family)
        how = SampleOptions(prior=view.prior, show=view.show)
        drawn_NTD = draw_from(family, measure.draws or measure.count, measure.seed, how)
    return drawn_motions(run.normaliser().denormalise(drawn_NTD), run.spec(), job.cell.key)


def _reconstructed(world: World, run: Run, family: Family) -> MotionSet:
    """Held-out windows there and back, with the takes that they are of."""
    if not isinstance(family, Reconstructs):
        raise RunError(run.path, f"{run.record.family} gives no window back: no view of it can reconstruct")
    held = world.reference.motions("test").draw(world.measure.count, world.measure.seed)
    normaliser = world.reference.corpus.normaliser
    parts: list[Tensor] = []
    with torch.no_grad():
        for part_BTD in torch.split(normaliser.normalise(held.features_NTD), 256):
            mask_BT = torch.ones(part_BTD.shape[:2], dtype=torch.bool)
            labels = {name: value[len(parts) * 256 :][:256] for name, value in held.labels.items()}
            batch = family.project(Batch(part_BTD, mask_BT, labels))
            parts.append(family.expand(family.reconstruct(batch).float()))
    return replace(held, features_NTD=normaliser.denormalise(torch.cat(parts)))


def _measured(job: CellJob, world: World, run: Run | None, shown: Mapping[str, MotionSet]) -> dict[str, ViewResult]:
    arm = job.study.arms[job.cell.arm]
    with one_thread():
        return {
            name: measure_view(world, Shown(arm, arm.views[name], job.cell.seed, motions, run))
            for name, motions in shown.items()
        }


_worlds: dict[tuple[str, str, str], World] = {}
"""Of this process: corpora are read, and held-out windows described, once."""


def _world(job: CellJob) -> World:
    assert job.cell.data is not None
    key = (job.cell.data.model_dump_json(), str(job.calibration), job.study.measure.model_dump_json())
    if key not in _worlds:
        whole = job.cell.data.model_copy(update={"keep": {}})  # all arms are judged in the whole corpus
        _worlds[key] = open_world(whole, job.study.measure, job.calibration)
    return _worlds[key]


def _deliver(job: CellJob, run: Run | None) -> str:
    """Bring the run to MLflow; one line where the store did not take it, which costs nothing of the result."""
    if run is None or not job.track:
        return ""
    return sync_run(run.path).warning or ""


def _result(
    job: CellJob,
    *,
    seconds: Mapping[str, float] | None = None,
    run: Run | None = None,
    world: World | None = None,
    views: Mapping[str, ViewResult] | None = None,
    error: str = "",
) -> CellResult:
    """What is kept of a cell; of one that diverged where there is an error."""
    cell, study = job.cell, job.study
    return CellResult(
        study=study.name,
        arm=cell.arm,
        corpus=cell.corpus,
        seed=cell.seed,
        key=cell.key,
        state="diverged" if error else "finished",
        error=error,
        hypotheses_sha256=study.hypotheses_sha256,
        measure_sha256=study.measure_sha256(cell.arm),
        fingerprint=world.reference.corpus.fingerprint if world else run.record.corpus_fingerprint if run else "",
        judge=world.judge.identity if world else "",
        calibration=world.calibration_sha256 if world else "",
        config=placeless(cell.config) if cell.config else {},
        steps=run.record.step if run else 0,
        seconds=dict(seconds or {}),
        parameters=run.load_family().sizes() if run and not error else {},
        machine=_machine(job, run),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"motionsynth": __version__, "commit": git_commit()},
        curve=[row for row in _curve(run, "validation/frechet") if abs(row[2]) < float("inf")] if run else [],
        views=dict(views or {}),
        notes=list(dict.fromkeys(world.reference.motions("test").notes)) if world else [],
    )


def _machine(job: CellJob, run: Run | None) -> dict[str, Any]:
    machine = describe_machine("cuda" if job.device != "cpu" and torch.cuda.is_available() else "cpu")
    return {**machine, "cores": int(machine["cores"]), "threads": run.config.train.threads if run else 1}


def _curve(run: Run, name: str) -> list[tuple[int, float, float]]:
    """(step, minutes, value) of a figure of the journal."""
    return [
        (row.step, row.metrics.get("budget/minutes", 0.0), row.metrics[name])
        for row in read_journal(run.journal_path)
        if name in row.metrics
    ]
