"""The real motion that generated motion is held against: a split of a corpus."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from motionsynth.config import baseline, load_config
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import MIRRORED, Corpus, open_corpus
from motionsynth.corpus.finding import OnBadFile
from motionsynth.corpus.motions import MotionSet, split_motions
from motionsynth.corpus.split import SPLITS, SplitName
from motionsynth.errors import CorpusError, MotionSynthError, RunError
from motionsynth.progress import Progress
from motionsynth.run_files import SKELETON, holds_run
from motionsynth.runs.run import Run, open_run
from motionsynth.yaml_files import YAML_SUFFIXES

__all__ = ["Reference", "open_reference", "readable_name"]

CLOSEST: Final = 4
"""Frames between the starts of windows that are compared, at least."""
_GENERIC: Final = frozenset({"bvh", "clips", "corpus", "data", "dataset", "mocap", "motion", "motions", "samples"})
"""Names of folders that say nothing of what is in them."""
_FRAME_TIME: Final = re.compile(rb"Frame[ \t]+Time[ \t]*:?[ \t]*([0-9.eE+-]+)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Reference:
    """A split of a corpus, whose other splits serve the rows beside.

    Args:
        corpus: the real motion.
        split: what is held against.
        yaml: the data section by which it was named, if it was one.
    """

    corpus: Corpus
    split: SplitName
    yaml: Path | None = None

    @property
    def name(self) -> str:
        """Readable name of the corpus: by its YAML where it was named by one, or else by its folder."""
        return readable_name(self.yaml or self.corpus.config.path)

    def motions(self, split: SplitName, *, mirrored: bool = False) -> MotionSet:
        """The whole windows of a split; those of mirror images only if asked for.

        Files recorded at fewer frames a second than the features have hold no frequencies above half of that.
        """
        motions = split_motions(self.corpus, split)
        if not mirrored:
            plain_N = torch.tensor([not take.endswith(MIRRORED) for take in motions.takes], dtype=torch.bool)
            motions = motions if plain_N.all() else motions.subset(plain_N.nonzero()[:, 0])
        rates = {take: _frame_rate(self.corpus.path(take.removesuffix(MIRRORED))) for take in set(motions.takes)}
        slow = {take: rate for take, rate in rates.items() if rate < 0.999 * self.corpus.spec.frame_rate}
        if not slow:
            return motions
        nyquist_hz = min(slow.values()) / 2
        note = (
            f"{split}: {len(slow)} of {len(rates)} clips have fewer than {self.corpus.spec.frame_rate:g} frames a "
            f"second and are resampled; nothing is compared above {nyquist_hz:g} Hz"
        )
        return replace(motions, nyquist_hz=min(nyquist_hz, motions.nyquist_hz), notes=(*motions.notes, note))


def open_reference(
    text: str | None, run: Run | None, *, reading: Progress | None = None, on_bad_file: OnBadFile = "stop"
) -> Reference:
    """Open what ``--reference`` names.

    Args:
        text: ``test``, ``validation`` or ``train``: a split of the corpus that ``run`` learnt from; or a folder of BVH
            files, the YAML of a data section, or a run directory (its corpus), each with ``:SPLIT`` behind it for
            another split than ``test``. ``test`` where None.
        run: the run that is evaluated, if it is one.
        reading: called with the number of clips read, of how many.
        on_bad_file: ``skip`` leaves files out that cannot be used, other than of a run's own corpus; ``stop`` does
            what a YAML says.

    Raises:
        MotionSynthError: it names nothing, or a split that holds no window.
        RunError: the clips of the run's corpus are not those that it learnt from.
        CorpusError, ConfigError: the corpus cannot be opened.
    """
    place, split = _parse(text or "test")
    if place is None:
        if run is None:
            raise MotionSynthError(
                f"--reference {text or 'is missing'}: a folder of clips has no splits of its own; name the real "
                "motion: a folder, the YAML of a data section, or a run directory, with :SPLIT behind it"
            )
        corpus = _corpus_of(run, reading)
    elif holds_run(place):
        corpus = _corpus_of(open_run(place), reading)
    elif not place.exists():
        raise MotionSynthError(
            f"--reference {place}: no such file or folder; it is test, validation, train, or a path with :SPLIT"
        )
    elif run and run.data.second is None and place.resolve() == Path(run.record.corpus_path).resolve():
        corpus = _corpus_of(run, reading)
    else:
        data = _data_config(place, run)
        skipping = {"on_bad_file": "skip"} if on_bad_file == "skip" else {}
        corpus = open_corpus(data.model_copy(update=skipping), progress=reading)
    if not corpus.clips(split):
        raise CorpusError(f"{corpus.config.path}: its split {split!r} holds no clip; name another by :SPLIT")
    yaml = place if place and place.suffix in YAML_SUFFIXES else None
    return Reference(corpus, split, yaml)


def readable_name(path: Path) -> str:
    """Folder, or stem of a file, with its parent where that says nothing by itself, as in ``walkers/data``."""
    path = path.resolve()
    name = path.stem if path.is_file() else path.name
    return f"{path.parent.name}/{name}" if name.lower() in _GENERIC and path.parent.name else name


def _parse(text: str) -> tuple[Path | None, SplitName]:
    if text in SPLITS:
        return None, text
    path, colon, split = text.rpartition(":")
    if colon and split in SPLITS:
        return Path(path), split
    return Path(text), "test"


def _corpus_of(run: Run, reading: Progress | None) -> Corpus:
    """The corpus that a run learnt from, as it was then."""
    data = run.data
    if absent := next((path for path in (data.path, data.second) if path and not path.exists()), None):
        raise RunError(
            run.path, f"its corpus {absent.absolute()} is not there; name the real motion by --reference FOLDER or YAML"
        )
    corpus = open_corpus(data, progress=reading)
    if corpus.fingerprint != run.record.corpus_fingerprint:
        raise RunError(
            run.path,
            f"the clips in {data.path} are not those that it learnt from, so their splits may hold training clips; "
            f"name them by --reference {data.path} to judge it all the same",
        )
    return corpus.at_stride(max(data.stride_frames, CLOSEST))


def _data_config(place: Path, run: Run | None) -> DataConfig:
    """Data section of a folder: in windows and on bones of the run, or as shipped runs; a YAML says the rest."""
    if run is None or place.suffix in YAML_SUFFIXES:
        data = load_config(run.path / "config.yaml" if run else baseline(), data=place).data
    else:
        # what reads labels from the names of one corpus, or chooses among its clips, says nothing of another's
        own = {"path": place, "labels": "auto", "pattern": None, "clips": None, "keep": {}, "second": None}
        data = run.config.data.model_copy(update={**own, "hold_out": "take"})
    if run is not None and run.data.bones != "same":
        data = data.model_copy(update={"bones": (run.path / SKELETON).absolute()})
    return _judged(data)


def _judged(data: DataConfig) -> DataConfig:
    """The same clips in windows no denser than ``CLOSEST``: runs that learnt from more windows have the same judge."""
    return data.model_copy(update={"stride_frames": max(data.stride_frames, CLOSEST)})


def _frame_rate(path: Path) -> float:
    """Frames a second of a file that has been read before; infinite where it has changed since."""
    with path.open("rb") as file:
        content = file.read()
    found = _FRAME_TIME.search(content)
    return 1.0 / float(found[1]) if found else float("inf")
