"""The calibration that a study reads figures on: the one that fits, or one that is made now."""

from __future__ import annotations

from pathlib import Path

from motionsynth.calibration.calibrate import Job, calibrate, open_job
from motionsynth.calibration.plan import CalibrationConfig, load_plan, shipped_plan
from motionsynth.calibration.reading import misfit
from motionsynth.calibration.record import load_calibration
from motionsynth.corpus.config import DataConfig
from motionsynth.progress import Announce, Stage
from motionsynth.study.plan import StudyConfig

__all__ = ["calibration_of", "plan_of"]


def calibration_of(
    study: StudyConfig,
    corpus: str,
    data: DataConfig,
    folder: Path,
    *,
    jobs: int = 1,
    told: Stage = lambda *_: None,
    announce: Announce = lambda _: None,
) -> Path:
    """``calibration.json`` of a corpus, made in a folder where none that is named or kept there fits.

    One fits where it was made with the same clips, the same judge and as many windows; why one does not is announced,
    because another takes minutes.

    Raises:
        ConfigError: a named one is damaged, or the plan cannot be read.
        CorpusError, ExtractorError: the clips or the judge cannot be used.
    """
    measure = study.measure
    config = plan_of(study)
    whole = data.model_copy(update={"keep": {}})
    job = Job(config, whole, None, measure.metrics, measure.features)
    bench = open_job(
        job,
        reading=lambda done, total: told(f"read {corpus}", done, total),
        training=lambda done, total: told(f"fit the judge of {corpus}", done, total),
    )
    kept, unfit = folder / "calibration.json", list[str]()
    for path in (study.corpora[corpus].calibration, kept if kept.exists() else None):
        if path is None:
            continue
        reason = _unfit(path, bench.corpus.fingerprint, bench.extractor.identity, bench.count)
        if reason is None:
            for line in unfit:
                announce(f"{line}; {path} is read instead")
            return path
        unfit.append(f"{path} {reason}")
    for line in unfit:
        announce(f"{line}; calibrating {corpus} anew, which takes minutes")
    calibrate(job, bench, folder, jobs=jobs, progress=lambda done, total: told(f"calibrate {corpus}", done, total))
    return kept


def plan_of(study: StudyConfig) -> CalibrationConfig:
    """How a corpus is calibrated that has no fitting calibration yet.

    Raises:
        ConfigError: the plan cannot be read, or does not fit.
    """
    chosen = study.calibration
    changed = {"count": chosen.count or study.measure.count, "repeats": chosen.repeats}
    return load_plan(chosen.plan or shipped_plan(), **{key: value for key, value in changed.items() if value})


def _unfit(path: Path, corpus: str, extractor: str, count: int) -> str | None:
    """Why figures of a study cannot be read on a calibration; None where they can."""
    if not path.exists():
        return "is not there"
    calibration = load_calibration(path)
    if other := misfit(calibration, corpus=corpus, extractor=extractor):
        return f"does not fit: it was made with another {other[0]} ({other[1]})"
    if calibration.count != count:
        return f"does not fit: it was made with {calibration.count} windows a set, here are {count}"
    return None
