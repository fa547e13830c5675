"""Whole clips brought from one domain to another by a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from motionsynth.corpus.finding import BadFiles
from motionsynth.errors import ConfigError, RunError, unknown_word
from motionsynth.families.capabilities import Translates
from motionsynth.files import refuse_unwritable
from motionsynth.runs.clip_labels import clip_windows
from motionsynth.runs.export import Export
from motionsynth.runs.generation import families_that, read_features, write_each
from motionsynth.runs.run import open_run
from motionsynth.training.device import resolve_device

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["translate"]


def translate(
    run_dir: str | Path,
    clips: Sequence[str | Path],
    to: str,
    out: str | Path,
    *,
    labels: Mapping[str, str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    bad: BadFiles | None = None,
    export: Export | None = None,
) -> list[Path]:
    """Bring clips of any length to a domain, root trajectory included, and write them as portable BVH.

    A clip is read at the run's frame rate and goes through as a whole. What comes back starts where the clip does,
    heads as it does, and has its up axis. A clip that is in the domain already comes back nearly as it was.

    Args:
        run_dir: a run that has finished.
        clips: files of clips.
        to: class name of the run's domain label, such as ``elderly``.
        out: folder to write, missing or empty; clips get their own names there, with their folders' where two have one.
        labels: label name -> class name that a conditional family is told of all clips, instead of their own.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether clips that this package wrote into ``out`` before are replaced.
        bad: takes the clips that cannot be used: that cannot be read, have another skeleton, or a label that a
            conditional family does not know; any of them stops the work where None.
        export: their axes, frame rate, unit and names; rate as in the corpus, all else as in the clip, where None.

    Raises:
        RunError: no run, or a family that does not translate.
        ConfigError: the run knows no such class, or ``labels`` has the domain label.
        CorpusError: clips cannot be used.
        MotionSynthError: the folder is not empty.
        OSError: nothing can be written to ``out``.
    """
    run, paths, out = open_run(run_dir), [Path(clip) for clip in clips], Path(out)
    refuse_unwritable(out)
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

    def translated(path: Path) -> Tensor:
        feature_TD = read_features(run, path)
        whole = clip_windows(run, path, feature_TD, labels or {}, length=len(feature_TD))
        with torch.no_grad():
            batch = whole.to(place).batch(torch.zeros(1, dtype=torch.int64, device=place))
            return family.translate(batch, domains.index(to)).float().cpu()[0]

    return write_each(run, paths, out, translated, overwrite=overwrite, bad=bad, export=export)
