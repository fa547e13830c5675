"""Clips out of a finished run: draw, reconstruct, and show them beside real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from motionsynth.corpus.corpus import MIRRORED, Corpus, prepare_clip
from motionsynth.corpus.finding import BadFiles, find_files
from motionsynth.errors import MotionSynthError, RunError
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.capabilities import Reconstructs, SampleOptions, Translates
from motionsynth.features.encode import decode_batch, encode
from motionsynth.files import read_regular, refuse_unwritable, write_bytes
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.output import clip_folder, distinct_names
from motionsynth.runs.clip_labels import class_indices, clip_windows
from motionsynth.runs.export import Export, Source
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sampling import draw_samples
from motionsynth.training.device import resolve_device
from motionsynth.view.gif import write_gif
from motionsynth.view.player import write_player

__all__ = [
    "compare",
    "families_that",
    "generate",
    "keep_samples",
    "read_features",
    "reconstruct",
    "write_each",
    "write_windows",
]

SHOWN = 6
"""Clips that a finished run keeps as samples and shows beside as many real ones."""


def keep_samples(run: Run, corpus: Corpus) -> None:
    """``samples/``: a few generated clips with cleaned feet, as many real ones as they are, a page and a GIF."""
    real = corpus.windows("validation") if len(corpus.windows("validation")) else corpus.windows("train")
    index_N = torch.arange(0, len(real), max(1, len(real) // SHOWN))[:SHOWN]
    shown = real.subset(index_N)
    tails = [
        ("_mirrored" if take.endswith(MIRRORED) else "") + f"_{start:04}"
        for take, start in zip(shown.takes, shown.start_N.tolist(), strict=True)
    ]
    names = distinct_names([take.removesuffix(MIRRORED) for take in shown.takes], tails=tails)
    with clip_folder(run.samples_path, overwrite=True) as folder:
        drawn_NTD = draw_samples(run, SHOWN, 0).motion_NTD
        write_windows(run, drawn_NTD, folder, _numbers(SHOWN), export=Export(clean_feet=True))
        write_windows(run, shown.as_batch().motion_BTD, folder / "real", names, shown.length_N.tolist())
        _show(_sample_rows(run, folder), folder / "player.html", folder / "preview.gif")


def _show(groups: Mapping[str, Sequence[tuple[str, Clip]]], page: Path, picture: Path) -> None:
    """Write a page that plays clips, a group a row, and a GIF of the same."""
    write_player([], page, title=_title(groups), groups=groups)
    write_gif([(group, clip) for group, clips in groups.items() for _, clip in clips], picture, columns=SHOWN)


def generate(
    run_dir: str | Path,
    count: int,
    *,
    seed: int = 0,
    out: str | Path | None = None,
    frames: int | None = None,
    prior: str | None = None,
    labels: Mapping[str, str] | None = None,
    show: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
    export: Export | None = None,
) -> list[Path]:
    """Draw ``count`` clips from a run and write them as portable BVH: same seed, same bytes.

    Args:
        run_dir: a run that has finished.
        count: clips to draw.
        seed: any integer.
        out: folder to write, missing or empty; where None the run's ``samples``, whose clips, page and GIF it
            replaces.
        frames: length of each clip; the window trained on where None.
        prior: what latents are drawn from, such as ``normal`` or ``fitted``; the family's default where None.
        labels: label name -> class name that all clips are drawn under; others follow the training clips.
        show: ``mean`` or ``sample`` of the likelihood; the family's default where None.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether clips that this package wrote into ``out`` before are replaced.
        export: their axes, frame rate, unit and names; as in the corpus where None.

    Raises:
        RunError: no run, no weights, or damaged ones.
        MotionSynthError: the family cannot draw so, the run knows no such label or class, or the folder is not empty.
    """
    run = open_run(run_dir)
    place = Path(out or run.samples_path)
    refuse_unwritable(place)
    with clip_folder(place, overwrite=overwrite or out is None) as folder:
        try:
            how = SampleOptions(frames, prior, class_indices(run, labels or {}), show)
            samples = draw_samples(run, count, seed, how=how, device=resolve_device(device))
        except ValueError as error:
            raise MotionSynthError(str(error)) from error
        written = write_windows(run, samples.motion_NTD, folder, _numbers(count), export=export)
        if out is None and (run.samples_path / "real").is_dir():
            (folder / "real").mkdir()
            for path in find_files(run.samples_path / "real").files:
                write_bytes(folder / "real" / path, read_regular(run.samples_path / "real" / path))
            _show(_sample_rows(run, folder), folder / "player.html", folder / "preview.gif")
    return [place / path.name for path in written]


def _numbers(count: int) -> list[str]:
    digits = max(4, len(str(count - 1)))
    return [f"{index:0{digits}}" for index in range(count)]


def families_that(protocol: type) -> str:
    """Names of the families that have a capability, for errors."""
    return ", ".join(name for name in FAMILIES if issubclass(family_class(name), protocol))


def read_features(run: Run, path: Path) -> Tensor:
    """(T, D) normalised features of a whole clip, as a run's family takes them.

    Raises:
        ClipError, CorpusError: the clip cannot be read, or does not have the run's skeleton.
    """
    spec = run.spec()
    return run.normaliser().normalise(encode(prepare_clip(path, run.config.data, spec, up=run.record.up), spec))


def reconstruct(
    run_dir: str | Path,
    clips: Sequence[str | Path],
    out: str | Path,
    *,
    labels: Mapping[str, str] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    bad: BadFiles | None = None,
    export: Export | None = None,
) -> list[Path]:
    """Send clips through a run's encoder and decoder, window by window, and write what comes back as portable BVH.

    It starts where the clip does, heads as it does, and has its up axis and unit: the two lie upon one another.

    Args:
        run_dir: a run that has finished.
        clips: files of clips.
        out: folder to write, missing or empty; clips get their own names there, with their folders' where two have one.
        labels: label name -> class name that a conditional family is told of all clips, instead of their own.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether clips that this package wrote into ``out`` before are replaced.
        bad: takes the clips that cannot be used: that cannot be read, have another skeleton, or a label that a
            conditional family does not know; any of them stops the work where None.
        export: their axes, frame rate, unit and names; rate as in the corpus, all else as in the clip, where None.

    Raises:
        RunError: no run, or a family that does not reconstruct.
        CorpusError: clips cannot be used.
        MotionSynthError: the folder is not empty.
    """
    run, paths, out = open_run(run_dir), [Path(clip) for clip in clips], Path(out)
    refuse_unwritable(out)
    device = resolve_device(device)
    family = run.load_family(device)
    if not isinstance(family, Reconstructs):
        can = families_that(Reconstructs)
        raise RunError(run_dir, f"{run.record.family} has no encoder, so it cannot reconstruct; these can: {can}")
    length = run.record.frames
    # there and back begins where the clip is
    also = (family.domain_label(),) if isinstance(family, Translates) else ()

    def back(path: Path) -> Tensor:
        feature_TD = read_features(run, path)
        windows = clip_windows(run, path, feature_TD, labels or {}, length=length, also=also)
        with torch.no_grad():
            batch = family.project(windows.to(device).as_batch())
            back_NTD = family.expand(family.reconstruct(batch).float()).cpu()
        back_TD = torch.zeros_like(feature_TD)
        for start, back in zip(windows.start_N.tolist(), back_NTD, strict=True):
            back_TD[start : start + length] = back[: len(feature_TD) - start]
        return back_TD

    return write_each(run, paths, out, back, overwrite=overwrite, bad=bad, export=export)


def write_each(
    run: Run,
    clips: Sequence[Path],
    out: Path,
    make: Callable[[Path], Tensor],
    *,
    overwrite: bool = False,
    bad: BadFiles | None = None,
    export: Export | None = None,
) -> list[Path]:
    """Write what is made of each clip under a name of its own: all of them or, where one stops the work, nothing.

    Args:
        run: whose features it is made of.
        clips: files of clips.
        out: folder to write, missing or empty.
        make: clip -> (T, D) normalised features.
        overwrite: whether clips that this package wrote into ``out`` before are replaced.
        bad: takes the clips that cannot be used; any stops the work where None.
        export: their axes, frame rate, unit and names; rate as in the corpus, all else as in the clip, where None.

    Raises:
        CorpusError: clips cannot be used.
        MotionSynthError: the folder is not empty, or holds what is to be read.
    """
    bad = bad or BadFiles()
    names = distinct_names([path.absolute().as_posix() for path in clips])
    written: list[Path] = []
    with clip_folder(out, overwrite=overwrite, made_of=clips) as folder:
        for path, name in zip(clips, names, strict=True):
            made = None
            with bad.collecting(path):
                made = make(path), Source.of(run, path)
            if made is not None:
                made_TD, source = made
                written += write_windows(run, made_TD[None], folder, [name], export=export, sources=[source])
        bad.settle(len(written))
    return [out / path.name for path in written]


def compare(run_dirs: Sequence[str | Path], page: str | Path) -> Path:
    """Write a page that plays real clips and the samples of several runs side by side, and a GIF of the same beside it.

    Raises:
        RunError: a run has not finished, so it has no samples.
    """
    page = Path(page)
    groups: dict[str, Sequence[tuple[str, Clip]]] = {}
    for path in run_dirs:
        run = open_run(path)
        for group, clips in _sample_rows(run, run.samples_path).items():
            groups.setdefault(group, clips)
    _show(groups, page, page.with_suffix(".gif"))
    return page


def _title(groups: Iterable[str]) -> str:
    *others, last = (group for group in groups if group != "real")
    return f"Real motion beside {', '.join(others)}{' and ' if others else ''}{last}"


def _sample_rows(run: Run, folder: Path) -> dict[str, list[tuple[str, Clip]]]:
    """The first real clips and samples of a folder of samples."""
    rows = {"real": folder / "real", run.record.family: folder}
    found = {
        group: [(path.stem, read_bvh(path)) for path in sorted(place.glob("[!.]*.bvh"))[:SHOWN]]
        for group, place in rows.items()
    }
    if not all(found.values()):
        raise RunError(folder, "holds no samples: training has not finished")
    return found


def write_windows(
    run: Run,
    motion_NTD: Tensor,
    folder: Path,
    names: Sequence[str],
    lengths: Sequence[int] | None = None,
    *,
    export: Export | None = None,
    sources: Sequence[Source] | None = None,
) -> list[Path]:
    """Decode normalised windows and write one BVH file each.

    Args:
        run: whose windows they are.
        motion_NTD: normalised features.
        folder: where to; made where it is missing.
        names: of the files, without ``.bvh``.
        lengths: frames to keep of each; all where None.
        export: axes, frame rate, unit and names; as in the corpus where None.
        sources: what each is made of and is to lie upon; all start at the origin where None.

    Raises:
        BvhError: a file cannot be written.
        MotionSynthError: motion is not finite, or cannot be brought to the frame rate or unit.
    """
    export = export or Export()
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.bvh" for name in names]
    origins: Sequence[Source | None] = sources or [None] * len(motion_NTD)
    try:
        clips = decode_batch(run.normaliser().denormalise(motion_NTD), run.spec())
        whole = zip(clips, lengths or map(len, clips), origins, strict=True)
        clips = [export.apply(clip[:length], run, source) for clip, length, source in whole]
    except ValueError as error:
        raise MotionSynthError(str(error)) from error
    for path, clip in zip(paths, clips, strict=True):
        write_bvh(clip, path)
    return paths
