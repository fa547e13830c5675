"""Labels that a conditional run takes with a clip: those given, or the clip's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from motionsynth.corpus.labels import read_labels
from motionsynth.corpus.sources import CORPUS, corpus_names, corpus_places
from motionsynth.corpus.tables import find_table
from motionsynth.corpus.windows import WindowSet, cut_windows
from motionsynth.errors import ConfigError, MotionSynthError, unknown_word
from motionsynth.runs.run import Run

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["class_indices", "clip_windows"]


def class_indices(run: Run, names: Mapping[str, str]) -> dict[str, int]:
    """Indices of a run's classes by name, such as ``{"style": "elderly"}``; ``ConfigError`` where one is unknown."""
    classes = run.record.labels
    for label, name in names.items():
        for what, word, known in (("label", label, tuple(classes)), ("class", name, classes.get(label, ()))):
            if word not in known:
                raise ConfigError(None, f"{label}={name}", unknown_word(f"{what} {word!r}", word, known))
    return {label: classes[label].index(name) for label, name in names.items()}


def clip_windows(
    run: Run, path: Path, feature_TD: Tensor, given: Mapping[str, str], *, length: int, also: tuple[str, ...] = ()
) -> WindowSet:
    """Windows of a clip that lie end to end, but for the last, which ends on its last frame, as a family takes them.

    Args:
        run: its family has the labels that it takes.
        path: the clip.
        feature_TD: what ``read_features`` gave of it, or the first frames of that.
        given: label name -> class name, in place of the clip's own.
        length: frames of a window.
        also: labels that are asked for besides.

    Raises:
        ConfigError, CorpusError, MotionSynthError: a label is not known.
    """
    classes = {label: [index] for label, index in _clip_classes(run, path, given, also).items()}
    return cut_windows(feature_TD, [len(feature_TD)], classes, [path.name], length=length, stride=length)


def _clip_classes(run: Run, path: Path, given: Mapping[str, str], also: tuple[str, ...]) -> dict[str, int]:
    """Indices of the classes that a conditional run takes with a clip: those given, else the clip's own.

    Args:
        run: its family has the labels that it takes.
        path: the clip.
        given: label name -> class name.
        also: labels that are asked for besides.

    A clip's own labels are where the run's corpus has them: in a ``labels.csv``, its name, or its folders.

    Raises:
        ConfigError: the run knows no label or class that is given.
        CorpusError: a ``labels.csv`` is malformed.
        MotionSynthError: the run takes no such label, or a label of the clip is not known.
    """
    allowed: tuple[str, ...] = (*getattr(run.config.family, "condition", ()), *also)
    found = class_indices(run, given)
    if strange := [label for label in found if label not in allowed]:
        takes = f"only {', '.join(allowed)}" if allowed else "as it was trained without; see family.condition"
        raise ConfigError(None, f"label {strange[0]}", f"this model takes none, {takes}")
    own = _own_classes(run, path) if set(allowed) - set(found) else {}
    for label in allowed:
        if label not in found:
            classes = run.record.labels[label]
            if own.get(label) not in classes:
                why = f"its {label} {own[label]!r} is none of" if label in own else f"its {label} is not known; one of"
                raise MotionSynthError(f"{path}: {why} {', '.join(classes)}; give it by --label {label}=…")
            found[label] = classes.index(own[label])
    return found


def _own_classes(run: Run, path: Path) -> dict[str, str]:
    """Classes of a clip by its labels, looked for as in the run's corpus; empty where it has none."""
    data, path = run.config.data, path.resolve()
    names = {place.resolve(): name for place, name in zip(corpus_places(run.data), corpus_names(run.data), strict=True)}
    place = next((place for place in names if place in (path, *path.parents)), path.parent)
    corpus = {CORPUS: names[place]} if names.get(place) else {}
    root = path.parent if place == path else place
    file = path.relative_to(root).as_posix()
    nowhere = {"csv": find_table(root) is None, "folders": "/" not in file}
    if nowhere.get(data.labels):
        return corpus
    own = read_labels(root, [file], data.labels, data.pattern).clips.get(file)
    return (own.classes if own else {}) | corpus
