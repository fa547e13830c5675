"""Generated motion as windows: drawn from a run, or cut from a folder of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from motionsynth.corpus.conform import conform
from motionsynth.corpus.corpus import Corpus
from motionsynth.corpus.facts import Facts, fact_notes
from motionsynth.corpus.finding import BadFiles, find_files
from motionsynth.corpus.motions import MotionSet, drawn_motions
from motionsynth.corpus.plan import Plan
from motionsynth.corpus.reading import over_files
from motionsynth.errors import ClipError, CorpusError, list_first
from motionsynth.features.canonical import canonical
from motionsynth.features.encode import encode_array
from motionsynth.motion.formats import read_clip
from motionsynth.progress import Progress
from motionsynth.runs.run import Run
from motionsynth.runs.sampling import draw_samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


__all__ = ["as_one_kind", "file_motions", "run_motions"]

_LISTED: Final = 3
_SAME_RATE: Final = 1e-3


def run_motions(run: Run, count: int, seed: int, *, device: str = "cpu") -> MotionSet:
    """``count`` windows drawn from a run, each a take of its own.

    Raises:
        RunError: the run has no intact weights, or draws values that are not finite.
    """
    with torch.no_grad():
        drawn_NTD = run.normaliser().denormalise(draw_samples(run, count, seed, device=device).motion_NTD)
    return drawn_motions(drawn_NTD, run.spec(), run.path.resolve().name)


def file_motions(
    path: Path,
    corpus: Corpus,
    *,
    bad: BadFiles | None = None,
    progress: Progress | None = None,
) -> MotionSet:
    """The whole windows, end to end, of files with the skeleton of a corpus; those of one file are one take.

    Args:
        path: a folder of clips, or one.
        corpus: whose skeleton, features and window length they are to have.
        bad: takes the files that cannot be read, hold a number that is none, or have another skeleton; any stops the
            work where None.
        progress: called with (files read, files in all).

    Raises:
        CorpusError: files cannot be used; the first are named. There is no file, or none is as long as a window.
    """
    # read all files; those that cannot be used end the work, or are left out
    bad = bad or BadFiles()
    root, files, faults = find_files(path)
    real = _real_clips(root, files)
    files = [file for file in files if file not in real]
    length, spec = corpus.config.window_frames, corpus.spec
    read = partial(_encode_file, Plan.of(spec, corpus.config, corpus.config.up))
    encoded = list(over_files(read, root, files, progress=progress))
    for file, reason in (*faults.items(), *((f, item.reason) for f, item in zip(files, encoded, strict=True))):
        if reason:
            bad.add(root / file, reason)
    usable = {file: item for file, item in zip(files, encoded, strict=True) if not item.reason}
    bad.settle(len(usable))
    # cut them into windows
    windows, takes, names = [], [], []
    for file, item in usable.items():
        for start in range(0, len(item.features_TD) - length + 1, length):
            windows.append(item.features_TD[start : start + length])
            takes.append(file)
            names.append(f"{file}:{start}")
    if not windows:
        longest = max(len(item.features_TD) for item in usable.values())
        raise CorpusError(
            f"{path}: none of its {len(usable)} files is as long as a window of {length} frames; "
            f"the longest has {longest} at {spec.frame_rate:g} frames a second"
        )
    # what was found in the files that gave any
    used = set(takes)
    facts = {file: item.facts for file, item in usable.items() if file in used and item.facts}
    return MotionSet(
        features_NTD=torch.from_numpy(np.stack(windows)),
        spec=spec,
        takes=tuple(takes),
        names=tuple(names),
        labels={},
        nyquist_hz=min(spec.frame_rate, *(one.frame_rate for one in facts.values())) / 2,
        notes=(
            *([f"the {len(real)} real clips in {root / 'real'} are left out"] if real else []),
            *_bad_note(bad, len(usable)),
            *_short_note(list(usable), used, length),
            *_fact_notes(facts, spec.frame_rate),
        ),
    )


def as_one_kind(motions: MotionSet) -> MotionSet:
    """The same windows with the features that their own motion tells; see ``features.canonical``."""
    return replace(motions, features_NTD=canonical(motions.features_NTD, motions.spec))


class _Encoded(NamedTuple):
    features_TD: npt.NDArray[np.float32]
    facts: Facts | None
    """The findings in the file."""
    reason: str = ""
    """Reason why it cannot be used."""


def _encode_file(plan: Plan, root: Path, file: str) -> _Encoded:
    nothing = np.zeros((0, plan.spec.width), dtype=np.float32)
    try:
        clip = read_clip(root / file)
        conformed, facts = conform(clip, plan)
        return _Encoded(encode_array(conformed, plan.spec), facts)
    except ClipError as error:
        return _Encoded(nothing, None, str(error))
    except ValueError as error:
        return _Encoded(nothing, None, f"{root / file}: {error}")


def _real_clips(root: Path, files: Sequence[str]) -> set[str]:
    """The real clips that a run keeps beside its samples, which are not to be judged as generated."""
    of_run = root.resolve().name == "samples" and (root.resolve().parent / "run.json").is_file()
    return {file for file in files if of_run and file.startswith("real/")}


def _fact_notes(facts: Mapping[str, Facts], frame_rate: float) -> list[str]:
    """Sentences that name files that were turned, scaled, reordered or resampled."""
    # rates have notes of their own, and generated files carry the trajectory on the root
    others = {file: one._replace(frame_rate=frame_rate, mover="") for file, one in facts.items()}
    rates = {file: one.frame_rate for file, one in facts.items()}
    return [*fact_notes(others, "", frame_rate), *_rate_notes(rates, frame_rate)]


def _bad_note(bad: BadFiles, used: int) -> list[str]:
    count = len(bad.reasons)
    return [f"{count} of {used + count} files cannot be used and are left out"] if count else []


def _short_note(files: Sequence[str], used: set[str], length: int) -> list[str]:
    short = [file for file in files if file not in used]
    if not short:
        return []
    return [
        f"{len(short)} of {len(files)} files are shorter than a window of {length} frames and left out: "
        f"{list_first(short, _LISTED)}"
    ]


def _rate_notes(rates: Mapping[str, float], frame_rate: float) -> list[str]:
    """Notes on files that were resampled, and on frequencies that are not there to compare."""
    other = [rate for rate in rates.values() if abs(rate / frame_rate - 1) > _SAME_RATE]
    if not other:
        return []
    listed = ", ".join(f"{rate:g}" for rate in sorted({round(rate, 2) for rate in other}))
    notes = [f"{len(other)} of {len(rates)} files have {listed} frames a second and are resampled to {frame_rate:g}"]
    slowest = min(other)
    if slowest < frame_rate:
        notes.append(
            f"nothing is compared above {slowest / 2:g} Hz, which is all that {slowest:g} frames a second hold"
        )
    return notes
