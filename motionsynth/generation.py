"""Clips out of a finished run: draw, reconstruct, and show them beside real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motionsynth.errors import ConfigError, MotionSynthError, RunError, unknown_word

if TYPE_CHECKING:
    from torch import Tensor

    from motionsynth.corpus.corpus import Corpus
    from motionsynth.corpus.windows import WindowSet
    from motionsynth.motion.clip import Clip
    from motionsynth.run import Run

__all__ = [
    "class_indices",
    "clip_windows",
    "compare",
    "families_that",
    "generate",
    "keep_samples",
    "read_features",
    "reconstruct",
    "refuse_twins",
    "write_windows",
]

SHOWN = 6
"""Clips that a finished run keeps as samples and shows beside as many real ones."""


def keep_samples(run: Run, corpus: Corpus) -> None:
    """``samples/``: a few generated clips, as many real ones that went the same way, a page and a GIF of both."""
    import torch

    from motionsynth.view.gif import write_gif

    generate(run.path, SHOWN)
    real = corpus.windows("validation") if len(corpus.windows("validation")) else corpus.windows("train")
    index_N = torch.arange(0, len(real), max(1, len(real) // SHOWN))[:SHOWN]
    names = [f"{Path(real.clips[int(real.clip_N[i])]).stem}_{int(real.start_N[i]):04}" for i in index_N]
    lengths = real.mask_NT[index_N].sum(1).tolist()
    write_windows(run, real.motion_NTD[index_N], run.samples_path / "real", names, lengths)
    compare([run.path], run.samples_path / "player.html")
    rows = _sample_rows(run)
    write_gif(
        [(group, clip) for group, clips in rows.items() for _, clip in clips],
        run.samples_path / "preview.gif",
        columns=SHOWN,
    )


def generate(
    run_dir: Path,
    count: int,
    *,
    seed: int = 0,
    out: Path | None = None,
    frames: int | None = None,
    prior: str | None = None,
    labels: Mapping[str, str] | None = None,
    show: str | None = None,
    device: str = "auto",
) -> list[Path]:
    """Draw ``count`` clips from a run and write them as portable BVH: same seed, same bytes.

    Args:
        run_dir: a run that has finished.
        count: clips to draw.
        seed: any integer.
        out: folder to write; the run's ``samples`` where None.
        frames: length of each clip; the window trained on where None.
        prior: what latents are drawn from, such as ``normal`` or ``fitted``; the family's default where None.
        labels: label name -> class name that all clips are drawn under; others follow the training clips.
        show: ``mean`` or ``sample`` of the likelihood; the family's default where None.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RunError: no run, no weights, or damaged ones.
        MotionSynthError: the family cannot draw so, or the run knows no such label or class.
    """
    from motionsynth.families.base import Draw
    from motionsynth.files import refuse_unwritable
    from motionsynth.run import open_run
    from motionsynth.sampling import draw_samples
    from motionsynth.training.device import resolve_device

    run = open_run(run_dir)
    refuse_unwritable(out or run.samples_path)
    try:
        how = Draw(frames, prior, class_indices(run, labels or {}), show)
        samples = draw_samples(run, count, seed, how=how, device=resolve_device(device))
    except ValueError as error:
        raise MotionSynthError(str(error)) from error
    digits = max(4, len(str(count - 1)))
    names = [f"{index:0{digits}}" for index in range(count)]
    return write_windows(run, samples.motion_NTD, out or run.samples_path, names)


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
        run: its family says which labels it is told.
        path: the clip.
        feature_TD: what ``read_features`` gave of it, or the first frames of that.
        given: label name -> class name, in place of the clip's own.
        length: frames of a window.
        also: labels that are asked for besides.

    Raises:
        ConfigError, CorpusError, MotionSynthError: a label is not known.
    """
    from motionsynth.corpus.windows import cut_windows

    classes = {label: [index] for label, index in _clip_classes(run, path, given, also).items()}
    return cut_windows([feature_TD], classes, [path.name], length=length, stride=length)


def _clip_classes(run: Run, path: Path, given: Mapping[str, str], also: tuple[str, ...]) -> dict[str, int]:
    """Indices of the classes of a clip that a conditional run is told: those given, else the clip's own.

    Args:
        run: its family says which labels it is told.
        path: the clip.
        given: label name -> class name.
        also: labels that are asked for besides.

    A clip's own labels are where the run's corpus has them: in a ``labels.csv``, its name, or its folders.

    Raises:
        ConfigError: the run knows no label or class that is given.
        CorpusError: a ``labels.csv`` is malformed.
        MotionSynthError: the run is told no such label, or a label of the clip is not known.
    """
    told: tuple[str, ...] = (*getattr(run.config.family, "condition", ()), *also)
    found = class_indices(run, given)
    if strange := [label for label in found if label not in told]:
        takes = f"only {', '.join(told)}" if told else "as it was trained without; see family.condition"
        raise MotionSynthError(f"label {strange[0]}: this model takes none, {takes}")
    own = _own_classes(run, path) if set(told) - set(found) else {}
    for label in told:
        if label not in found:
            classes = run.record.labels[label]
            if own.get(label) not in classes:
                said = f"its {label} {own[label]!r} is none of" if label in own else f"its {label} is not known; one of"
                raise MotionSynthError(f"{path}: {said} {', '.join(classes)}; give it by --label {label}=…")
            found[label] = classes.index(own[label])
    return found


def _own_classes(run: Run, path: Path) -> dict[str, str]:
    """What labels say of a clip, looked for as in the run's corpus; empty where they say nothing."""
    from motionsynth.corpus.labels import read_labels
    from motionsynth.corpus.sources import CORPUS, corpus_names, corpus_places

    data, path = run.config.data, path.resolve()
    names = {place.resolve(): name for place, name in zip(corpus_places(run.data), corpus_names(run.data), strict=True)}
    place = next((place for place in names if place in (path, *path.parents)), path.parent)
    corpus = {CORPUS: names[place]} if names.get(place) else {}
    root = path.parent if place == path else place
    file = path.relative_to(root).as_posix()
    nowhere = {"csv": not (root / "labels.csv").exists(), "folders": "/" not in file}
    if nowhere.get(data.labels):
        return corpus
    own = read_labels(root, [file], data.labels, data.pattern).clips.get(file)
    return (own.classes if own else {}) | corpus


def families_that(protocol: type) -> str:
    """Names of the families that have a capability, for errors."""
    from motionsynth.families import FAMILIES, family_class

    return ", ".join(name for name in FAMILIES if issubclass(family_class(name), protocol))


def read_features(run: Run, path: Path) -> Tensor:
    """(T, D) normalised features of a whole clip, as a run's family takes them.

    Raises:
        BvhError, CorpusError: the clip cannot be read, or does not have the run's skeleton.
    """
    from motionsynth.corpus.corpus import prepare_clip
    from motionsynth.features.encode import encode

    spec = run.spec()
    return run.normaliser().normalise(encode(prepare_clip(path, run.config.data, spec), spec))


def reconstruct(
    run_dir: Path,
    clips: Sequence[Path],
    out: Path,
    *,
    labels: Mapping[str, str] | None = None,
    device: str = "auto",
) -> list[Path]:
    """Send clips through a run's encoder and decoder, window by window, and write what comes back as portable BVH.

    Args:
        run_dir: a run that has finished.
        clips: BVH files.
        out: folder to write.
        labels: label name -> class name that a conditional family is told of all clips, instead of their own.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RunError: no run, or a family that does not reconstruct.
        BvhError, CorpusError: a clip cannot be read, or does not have the run's skeleton.
        MotionSynthError: two clips have the same name, or a conditional family knows no label of one.
    """
    import torch

    from motionsynth.families.capabilities import Reconstructs, Translates
    from motionsynth.files import refuse_unwritable
    from motionsynth.run import open_run
    from motionsynth.training.device import resolve_device

    run = open_run(run_dir)
    refuse_unwritable(out)
    refuse_twins(clips)
    device = resolve_device(device)
    family = run.load_family(device)
    if not isinstance(family, Reconstructs):
        can = families_that(Reconstructs)
        raise RunError(run_dir, f"{run.record.family} has no encoder, so it cannot reconstruct; these can: {can}")
    length = run.record.frames
    # there and back begins where the clip is
    also = (family.domain_label(),) if isinstance(family, Translates) else ()
    written = []
    for path in clips:
        feature_TD = read_features(run, path)
        windows = clip_windows(run, path, feature_TD, labels or {}, length=length, also=also)
        with torch.no_grad():
            back_NTD = family.reconstruct(windows.to(device).batch(torch.arange(len(windows)))).float().cpu()
        back_TD = torch.zeros_like(feature_TD)
        for start, back in zip(windows.start_N.tolist(), back_NTD, strict=True):
            back_TD[start : start + length] = back[: len(feature_TD) - start]
        written += write_windows(run, back_TD[None], out, [path.stem])
    return written


def refuse_twins(clips: Sequence[Path]) -> None:
    """Raise ``MotionSynthError`` where two clips have one name, so that one would be written over the other."""
    sources: dict[str, Path] = {}
    for path in clips:
        if sources.setdefault(path.stem, path) != path:
            raise MotionSynthError(f"{path}: would be written over {sources[path.stem]}, which has the same name")


def compare(run_dirs: Sequence[Path], page: Path) -> Path:
    """Write a page that plays real clips and the samples of several runs side by side.

    Raises:
        RunError: a run has not finished, so it has no samples.
    """
    from motionsynth.run import open_run
    from motionsynth.view.player import write_player

    groups: dict[str, Sequence[tuple[str, Clip]]] = {}
    for path in run_dirs:
        run = open_run(path)
        for group, clips in _sample_rows(run).items():
            groups.setdefault(group, clips)
    families = " and ".join(group for group in groups if group != "real")
    write_player([], page, title=f"Real motion beside {families}", groups=groups)
    return page


def _sample_rows(run: Run) -> dict[str, list[tuple[str, Clip]]]:
    from motionsynth.motion.bvh import read_bvh

    rows = {"real": run.samples_path / "real", run.record.family: run.samples_path}
    found = {
        group: [(path.stem, read_bvh(path)) for path in sorted(folder.glob("*.bvh"))[:SHOWN]]
        for group, folder in rows.items()
    }
    if not all(found.values()):
        raise RunError(run.samples_path, "holds no samples: training has not finished")
    return found


def write_windows(
    run: Run, motion_NTD: Tensor, folder: Path, names: Sequence[str], lengths: Sequence[int] | None = None
) -> list[Path]:
    """Decode normalised windows and write one BVH file each, of its first ``lengths`` frames."""
    from motionsynth.features.encode import decode_batch
    from motionsynth.motion.bvh import write_bvh

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.bvh" for name in names]
    clips = decode_batch(run.normaliser().denormalise(motion_NTD), run.spec())
    for path, clip, length in zip(paths, clips, lengths or map(len, clips), strict=True):
        write_bvh(clip[:length], path)
    return paths
