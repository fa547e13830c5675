"""Whole clips brought from one domain to another by a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from motionsynth.errors import ConfigError, RunError, unknown_word

__all__ = ["translate"]


def translate(
    run_dir: Path,
    clips: Sequence[Path],
    to: str,
    out: Path,
    *,
    labels: Mapping[str, str] | None = None,
    device: str = "auto",
) -> list[Path]:
    """Bring clips of any length to a domain, root trajectory included, and write them as portable BVH.

    A clip is read at the run's frame rate and goes through as a whole. What comes back starts at the origin, facing
    forward. A clip that is in the domain already comes back nearly as it was.

    Args:
        run_dir: a run that has finished.
        clips: BVH files.
        to: class name of the run's domain label, such as ``elderly``.
        out: folder to write.
        labels: label name -> class name that a conditional family is told of all clips, instead of their own.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RunError: no run, or a family that does not translate.
        ConfigError: the run knows no such class, or ``labels`` has the domain label.
        OSError: nothing can be written to ``out``.
        BvhError, CorpusError: a clip cannot be read, or does not have the run's skeleton.
        MotionSynthError: two clips have the same name, or a conditional family knows no label of one.
    """
    import torch

    from motionsynth.families.capabilities import Translates
    from motionsynth.files import refuse_unwritable
    from motionsynth.generation import clip_windows, families_that, read_features, refuse_twins, write_windows
    from motionsynth.run import open_run
    from motionsynth.training.device import resolve_device

    run = open_run(run_dir)
    refuse_unwritable(out)
    refuse_twins(clips)
    place = resolve_device(device)
    family = run.load_family(place)
    if not isinstance(family, Translates):
        can = families_that(Translates)
        raise RunError(run_dir, f"{run.record.family} has no translators, so it cannot translate; these can: {can}")
    label = family.domain_label()
    domains = run.record.labels[label]
    if label in (labels or {}):
        raise ConfigError(
            None, f"--label {label}", f"is what --to chooses; leave it out, clips of any {label} are taken"
        )
    if to not in domains:
        raise ConfigError(None, "--to", unknown_word(f"class {to!r}", to, domains))
    written = []
    for path in clips:
        feature_TD = read_features(run, path)
        whole = clip_windows(run, path, feature_TD, labels or {}, length=len(feature_TD))
        with torch.no_grad():
            batch = whole.to(place).batch(torch.zeros(1, dtype=torch.int64, device=place))
            motion_1TD = family.translate(batch, domains.index(to)).float().cpu()
        written += write_windows(run, motion_1TD, out, [path.stem])
    return written
