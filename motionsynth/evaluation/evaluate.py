"""One evaluation: sets in, figures with intervals and a real row out, kept as ``scores.json`` and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from motionsynth.calibration.reading import Reading, read_doses, refuse_unfit
from motionsynth.calibration.record import Calibration, load_calibration
from motionsynth.comparison.compared import Compared, Described, Stage
from motionsynth.comparison.groups import classes_by, score_groups
from motionsynth.comparison.likelihood import log_density_figures
from motionsynth.comparison.motions import file_motions, run_motions
from motionsynth.comparison.reference import Reference, open_reference
from motionsynth.corpus.finding import BadFiles
from motionsynth.corpus.motions import MotionSet
from motionsynth.errors import ExtractorError, MotionSynthError
from motionsynth.evaluation.account import scores_of
from motionsynth.evaluation.scores import SCORES, Scores
from motionsynth.extractors.extractor import Extractor
from motionsynth.extractors.store import extractor_for, load_extractor
from motionsynth.files import refuse_unwritable
from motionsynth.metrics.likelihood import LIKELIHOOD
from motionsynth.metrics.registry import MEASURES, Chosen, choose
from motionsynth.metrics.suite import Figure
from motionsynth.report.evaluation import write_report
from motionsynth.run_files import holds_run
from motionsynth.runs.run import Run, open_run
from motionsynth.tracking.sync import is_tracked, sync_run
from motionsynth.training.device import resolve_device

__all__ = ["SPACES", "evaluate"]

REPORT: Final = "report.html"
SPACES: Final = ("pca", "kinetic", "classifier", "autoencoder")
"""Feature spaces that extractors have, so that a misspelt one is refused before an hour of work."""


def evaluate(
    generated: str | Path,
    *,
    reference: str | Path | None = None,
    metrics: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    all_figures: bool = False,
    count: int = 1024,
    resamples: int = 100,
    seed: int = 0,
    extractor: str | Path | None = None,
    calibration: str | Path | None = None,
    out: str | Path | None = None,
    by: str | None = None,
    real_clips: bool = True,
    track: bool | None = None,
    device: str = "auto",
    bad: BadFiles | None = None,
    progress: Stage | None = None,
) -> Scores:
    """Score generated motion against held-out real motion, and keep figures and report.

    All sets are of one size and have gone the same way: windows of one length, decoded and encoded by themselves. Every
    figure stands beside that of real training motion, the best that a model of the training split can be asked for.

    Args:
        generated: a run directory, from which samples are drawn; or a folder of clips (or one).
        reference: the real motion; see ``reference.open_reference``. The test split of a run's own corpus where None.
        metrics: groups, metrics or keys; all but those of ``metrics.registry.EXTRA`` where None.
        features: feature spaces; all where None.
        all_figures: whether those of ``EXTRA`` are computed too.
        count: windows a set, at most.
        resamples: resamples for each interval; none where 0.
        seed: what samples, subsets and resamples are drawn by.
        extractor: folder of the extractor that judges; the kept one of the reference corpus, or one trained now, where
            None.
        calibration: ``calibration.json``, on whose curves figures are read as doses.
        out: folder for ``scores.json`` and ``report.html``; the run, or ``evaluation/NAME`` for a folder, where None.
        by: label of the reference's corpus: the figures are computed for each class of it too, such as each person; all
            but those of a model's density.
        real_clips: whether clips of the reference play in the report; not where it is to be published and they are
            licensed.
        track: whether the figures go to the run's MLflow entry; where it has one, where None.
        device: ``auto``, ``cpu`` or ``cuda``.
        bad: takes the files of the folders named that cannot be used; any stops the work where None.
        progress: called with the share of the work done.

    Raises:
        ConfigError: a metric, feature space or device is unknown.
        RunError, CorpusError, ExtractorError: a set or the extractor cannot be used; files are named.
        MotionSynthError: too few windows to compare, nothing to compare them with, or no label ``by``.
    """
    stage = progress or (lambda *_: None)
    source, device = Path(generated), resolve_device(device)
    measures = (*MEASURES, LIKELIHOOD)
    choose(metrics, features, SPACES, measures=measures)  # a misspelt word is refused before anything is read
    run = _open_generated(source)
    folder = Path(out or (run.path if run else Path("evaluation") / source.resolve().stem))
    refuse_unwritable(folder, SCORES, REPORT)
    curves = load_calibration(calibration) if calibration else None
    kept = Path(extractor) if extractor else None
    given = load_extractor(kept) if kept else None
    bad = bad or BadFiles()
    named = None if reference is None else str(reference)
    held = open_reference(named, run, reading=partial(stage, "read clips"), on_bad_file=bad.policy)
    classes = classes_by(by, held)
    motions = _motions(source, run, held, count, seed, device, bad, stage)
    for skipped in held.corpus.skipped:
        bad.add(held.corpus.path(skipped.file), skipped.reason)
    compared = Compared.of(motions, held, count=count, seed=seed)
    judge = _judge(given, kept, compared, source, device, stage)
    chosen = choose(metrics, features, judge.spaces, measures=measures, extra=all_figures)
    notes = _curve_notes(curves, str(calibration), compared, judge)
    described = compared.described(judge, chosen, device, stage)
    figures, real = described.score(chosen, resamples, seed, stage)
    density = _density_figures(run, chosen, held, len(compared.reference), resamples, seed, device)
    figures, real = figures | density[0], real | density[1]
    groups = None
    if by is not None:
        pairs = [(measure, space) for measure, space in chosen if measure.metrics[0] not in LIKELIHOOD.metrics]
        groups = score_groups(by, classes, compared.reference, described, pairs, resamples, seed, stage)
        notes += groups.notes
    scores = scores_of(source, run, compared, described, judge, figures, real, seed, resamples)
    readings = _readings(curves, figures)
    if curves is not None and not readings:
        notes.append(f"{calibration}: no figure that was computed here is valid on one of its axes")
    scores = replace(scores, notes=(*scores.notes, *notes), readings=readings, folder=folder, groups=groups)
    _keep(scores, described, real_clips, calibrated=curves is not None)
    return replace(scores, warnings=_deliver(run, folder, track))


def _open_generated(source: Path) -> Run | None:
    """The run, or None for a folder of files."""
    if not source.exists():
        raise MotionSynthError(f"{source}: no such run directory or folder of clips")
    return open_run(source) if holds_run(source) else None


def _motions(
    source: Path, run: Run | None, held: Reference, count: int, seed: int, device: str, bad: BadFiles, stage: Stage
) -> MotionSet:
    if run is None:
        return file_motions(source, held.corpus, bad=bad, progress=partial(stage, "read generated files"))
    stage("draw samples", 0, 1)
    drawn = run_motions(run, count, seed, device=device)
    stage("draw samples", 1, 1)
    return drawn


def _judge(
    given: Extractor | None, extractor: Path | None, compared: Compared, source: Path, device: str, stage: Stage
) -> Extractor:
    """The extractor, after a look whether it fits what it is to judge."""
    corpus = compared.source.corpus
    judge = given or extractor_for(corpus, device=device, progress=partial(stage, "train the feature extractor"))
    for place, motions in ((source, compared.generated), (corpus.config.path, compared.reference)):
        reason = judge.mismatch(motions.spec, motions.features_NTD.shape[1])
        if reason:
            fitted = f"the extractor {extractor}" if extractor else f"the real motion in {corpus.config.path}"
            raise ExtractorError(place, f"does not fit {fitted}: {reason}")
    return judge


def _density_figures(
    run: Run | None, chosen: Sequence[Chosen], held: Reference, size: int, resamples: int, seed: int, device: str
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Figures of the density of a run's model, where it has one and they are asked for, and of training windows."""
    wanted = {metric.name for measure, _ in chosen for metric in measure.metrics}
    if run is None or not wanted & {metric.name for metric in LIKELIHOOD.metrics}:
        return {}, {}
    # the features that the model learnt from, as the corpus encodes whole clips
    windows = [held.motions(split).draw(size, seed) for split in (held.split, "train")]
    return log_density_figures(run, *windows, wanted=wanted, resamples=resamples, seed=seed, device=device)


def _curve_notes(curves: Calibration | None, path: str, compared: Compared, judge: Extractor) -> list[str]:
    """Check the curves to read figures on, before anything is computed; a note where they fit in part."""
    if curves is None:
        return []

    note = refuse_unfit(
        curves,
        corpus=compared.source.corpus.fingerprint,
        extractor=judge.identity,
        count=len(compared.generated),
        path=path,
    )
    return [note] if note else []


def _readings(curves: Calibration | None, figures: Mapping[str, Figure]) -> tuple[Reading, ...]:
    if curves is None:
        return ()

    return tuple(read_doses(figures, curves))


def _keep(scores: Scores, described: Described, real_clips: bool, *, calibrated: bool) -> None:
    """Write ``report.html``, then ``scores.json``: who finds the figures finds their report."""
    assert scores.folder is not None
    scores.folder.mkdir(parents=True, exist_ok=True)
    generated, reference = scores.generated, scores.reference
    headlines = list(scores.sentences)
    if calibrated and not headlines:
        headlines = ["no figure here speaks for an axis of the calibration"]
    write_report(
        scores.folder / REPORT,
        scores.figures,
        scores.real_figures,
        sets=described.sets,
        title=generated.name,
        subtitle=f"{generated.windows} windows against {reference.windows} of {reference.name}"
        f"{'' if reference.about['split'] == 'train' else ', held out'} ({reference.takes} takes)",
        headlines=headlines,
        notes=scores.notes,
        groups=scores.groups,
        real_clips=real_clips,
        seed=scores.seed,
    )
    scores.save(scores.folder)


def _deliver(run: Run | None, folder: Path | None, track: bool | None) -> tuple[str, ...]:
    """Bring the figures of a run to its MLflow entry; one line where the store did not take them."""
    if run is None or track is False or folder != run.path:
        return ()

    if track is None and not is_tracked(run.path):
        return ()
    warning = sync_run(run.path).warning
    return (warning,) if warning else ()
