"""The calibration that a study reads figures on: the one that fits, or one that is made now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from motionsynth.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from motionsynth.calibration.plan import CalibrationConfig
    from motionsynth.config import DataConfig
    from motionsynth.study.plan import StudyConfig
    from motionsynth.study.runner import Places

__all__ = ["calibration_of"]


def calibration_of(
    study: StudyConfig,
    corpus: str,
    data: DataConfig,
    places: Places,
    *,
    jobs: int = 1,
    told: Callable[[str, int, int], None] = lambda *_: None,
) -> Path:
    """``calibration.json`` of a corpus, made in the folder of the runs where none that is named or kept fits.

    One fits where it was made with the same clips, the same judge and as many windows.

    Raises:
        ConfigError: a named one is damaged, or the plan cannot be read.
        CorpusError, ExtractorError: the clips or the judge cannot be used.
    """
    from motionsynth.calibration.calibrate import Job, calibrate, open_job

    measure = study.measure
    config = _plan(study)
    whole = data.model_copy(update={"keep": {}})
    job = Job(config, whole, None, measure.metrics, measure.features)
    bench = open_job(
        job,
        reading=lambda done, total: told(f"read {corpus}", done, total),
        training=lambda done, total: told(f"fit the judge of {corpus}", done, total),
    )
    folder = places.runs / "calibration" / corpus
    for path in (study.corpora[corpus].calibration, folder / "calibration.json"):
        if (
            path is not None
            and path.exists()
            and _fits(path, bench.corpus.fingerprint, bench.extractor.identity, bench.count)
        ):
            return path
    calibrate(job, bench, folder, jobs=jobs, progress=lambda done, total: told(f"calibrate {corpus}", done, total))
    return folder / "calibration.json"


def _plan(study: StudyConfig) -> CalibrationConfig:
    from motionsynth.calibration.plan import load_plan, shipped_plan

    chosen = study.calibration
    changed = {"count": chosen.count or study.measure.count, "repeats": chosen.repeats}
    return load_plan(chosen.plan or shipped_plan(), **{key: value for key, value in changed.items() if value})


def _fits(path: Path, corpus: str, extractor: str, count: int) -> bool:
    from motionsynth.calibration.reading import load_calibration, refuse_unfit

    calibration = load_calibration(path)
    try:
        return refuse_unfit(calibration, corpus=corpus, extractor=extractor, count=count) is None
    except ConfigError:
        return False
