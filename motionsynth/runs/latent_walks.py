"""Walks through the latents of a finished run: from one clip to another, and along one number while others stay.

Shapes: N clips of a walk, T frames, D features, Z latent dimensions, S numbers of the condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from motionsynth.errors import ConfigError, MotionSynthError, RunError, unknown_word
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Decodes, Encodes, SampleOptions
from motionsynth.families.latent_paths import Axis, code_axes, number_axis, path_between, straight_line
from motionsynth.features.encode import decode
from motionsynth.files import refuse_unwritable
from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.clip import Clip
from motionsynth.output import clip_folder
from motionsynth.runs.clip_labels import class_indices, clip_windows
from motionsynth.runs.export import Export, Source
from motionsynth.runs.generation import families_that, read_features, write_windows
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sampling import CHUNK
from motionsynth.training.determinism import stream_seed, torch_threads
from motionsynth.training.device import resolve_device
from motionsynth.view.player import write_player

if TYPE_CHECKING:
    from torch import Tensor

    Place = tuple[Tensor, Tensor | None]
    """(Z,) latent and (S,) condition of one clip."""

__all__ = ["ROWS", "Strip", "interpolate", "traverse"]

PAGE: Final = "player.html"
ROWS: Final = 8
"""Latent numbers that a traverse shows where none is named."""
_ROUND: Final = ("normal", "codes")
"""Priors whose draws lie near a sphere, but for codes."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Clips of one walk, or of several, beside one another."""

    rows: dict[str, list[Path]]
    """Heading -> BVH files, in the order of the walk."""
    page: Path
    """The player with a row for each."""
    notes: tuple[str, ...] = ()
    """Notes on the choice made."""


def interpolate(
    run_dir: Path,
    ends: tuple[Path, Path] | tuple[int, int],
    count: int = 8,
    *,
    linear: bool | None = None,
    labels: Mapping[str, str] | None = None,
    out: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    export: Export | None = None,
) -> Strip:
    """Write the clips that lie between two latents, the ends among them, and a page that plays them in a row.

    Args:
        run_dir: a run that has finished.
        ends: two files, whose first windows are encoded; or two seeds, whose first draws are taken.
        count: N, clips of the path.
        linear: whether the path is a straight line and no great circle; where None, a great circle where the latents
            are N(0, I) by default. Codes go straight in any case.
        labels: label name -> class name that a conditional family is told; else the clips' own, or drawn ones. Where
            the ends differ in them, the numbers of the condition go straight from one to the other.
        out: folder to write, missing or empty; where None ``interpolation`` in the run, whose clips are replaced.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether clips that this package wrote into ``out`` before are replaced.
        export: their axes, frame rate, unit and names; as in the corpus, or in the clips, where None.

    Raises:
        RunError: no run, or a family that cannot.
        ClipError, CorpusError: a clip cannot be read, or does not have the run's skeleton.
        MotionSynthError: the run knows no such label or class, or needs one; or the folder is not empty.
        ValueError: fewer than two clips are asked for.
    """
    if count < 2:
        raise ValueError(f"a path has 2 clips or more, not {count}")
    model = _open(run_dir, device)
    folder = out or model.run.path / "interpolation"
    refuse_unwritable(folder, PAGE)
    places = [
        _encoded(model, end, labels or {}) if isinstance(end, Path) else _drawn(model, end, labels or {})
        for end in ends
    ]
    (first_Z, first_S), (last_Z, last_S) = places
    straight = model.family.priors[0] not in _ROUND if linear is None else linear
    z_NZ = path_between(model.family, first_Z, last_Z, count, linear=straight)
    side_NS = None if first_S is None or last_S is None else straight_line(first_S, last_S, count)
    first, last = (end.stem if isinstance(end, Path) else f"seed {end}" for end in ends)
    captions = [f"{index / (count - 1):.2f}" for index in range(count)]
    sources = _sources(model.run, ends, count)
    row = _Row(f"{first} to {last}", "", captions, _decoded(model, z_NZ, side_NS), sources)
    real = [(end.stem, _window(model.run, end)) for end in ends if isinstance(end, Path)]
    note = f"the path between the latents is a {'straight line' if straight else 'great circle'}"
    title = f"{model.run.record.family}: {row.heading}"
    made_of = [end for end in ends if isinstance(end, Path)]
    replace_own = overwrite or out is None
    return _write(model.run, folder, [row], title, real, (note,), overwrite=replace_own, made_of=made_of, export=export)


def traverse(
    run_dir: Path,
    codes: Sequence[str] = (),
    count: int = 8,
    *,
    limits: tuple[float, float] | None = None,
    seed: int = 0,
    labels: Mapping[str, str] | None = None,
    out: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    export: Export | None = None,
) -> Strip:
    """Vary one code, or one number of a latent, while all others stay; write the clips and a page with a row for each.

    Args:
        run_dir: a run that has finished.
        codes: names of codes, or places of numbers in the latent from 0; where there are none, all codes of a family
            that has such, else those ``ROWS`` numbers that change the motion most.
        count: N, clips in a row; a code of classes has one for each class instead.
        limits: between which a number goes; -1 and 1 for continuous codes, -2 and 2 for others where None.
        seed: of the latent that all clips share, the first that ``generate`` draws.
        labels: label name -> class name that a conditional family is told.
        out: folder to write, missing or empty, with a folder for each row; where None ``traverse`` in the run, whose
            clips are replaced.
        device: ``auto``, ``cpu`` or ``cuda``.
        overwrite: whether clips that this package wrote into ``out`` before are replaced.
        export: their axes, frame rate, unit and names; as in the corpus, or in the clips, where None.

    Raises:
        RunError: no run, or a family that cannot.
        ConfigError: the run knows no such code, label or class, or the limits do not go up.
        MotionSynthError: the folder is not empty.
        ValueError: fewer than two clips are asked for.
    """
    if count < 2:
        raise ValueError(f"a row has 2 clips or more, not {count}")
    if limits and not limits[0] < limits[1]:
        raise ConfigError(None, "range", f"must go up, not from {limits[0]:g} to {limits[1]:g}")
    model = _open(run_dir, device)
    folder = out or model.run.path / "traverse"
    refuse_unwritable(folder, PAGE)
    z_Z, side_S = _drawn(model, seed, labels or {})
    axes = _limited(code_axes(model.family), limits)
    numbers = _limited([number_axis(place) for place in range(len(z_Z))], limits)
    chosen = [_named(word, axes, numbers) for word in dict.fromkeys(codes)] or axes
    notes: tuple[str, ...] = ()
    if not chosen:
        chosen = _widest(model, numbers, z_Z, side_S)[:ROWS]
        if len(chosen) < len(z_Z):
            notes = (f"{len(chosen)} of {len(z_Z)} latent numbers, those that change the motion most; or name --code",)
    rows = []
    for axis in chosen:
        z_NZ, captions = axis.vary(z_Z, count)
        side_NS = None if side_S is None else side_S.expand(len(z_NZ), -1)
        rows.append(_Row(axis.name, axis.name, captions, _decoded(model, z_NZ, side_NS)))
    title = f"{model.run.record.family}: one code at a time, seed {seed}"
    return _write(model.run, folder, rows, title, (), notes, overwrite=overwrite or out is None, export=export)


class _Model(NamedTuple):
    """A run's family, as itself and as what decodes."""

    run: Run
    family: Family
    latents: Decodes


class _Row(NamedTuple):
    """Clips of one walk."""

    heading: str
    place: str
    """Folder of its own inside that of the walk; empty where it has none."""
    captions: list[str]
    motion_NTD: Tensor
    sources: list[Source] | None = None
    """Start of each clip; the origin where None."""


def _sources(run: Run, ends: tuple[Path, Path] | tuple[int, int], count: int) -> list[Source] | None:
    """Starts on the way from that of one clip to that of the other; None between seeds."""
    clips = [Source.of(run, end) for end in ends if isinstance(end, Path)]
    return [clips[0].toward(clips[1], index / (count - 1)) for index in range(count)] if clips else None


def _open(run_dir: Path, device: str) -> _Model:
    run = open_run(run_dir)
    family = run.load_family(resolve_device(device))
    if not isinstance(family, Decodes):
        raise RunError(run_dir, f"{run.record.family} decodes no latents; families that do: {families_that(Decodes)}")
    return _Model(run, family, family)


def _encoded(model: _Model, path: Path, labels: Mapping[str, str]) -> Place:
    """Place of a clip's first window, as ``reconstruct`` encodes it."""
    run, family = model.run, model.family
    if not isinstance(family, Encodes):
        reason = f"{run.record.family} has no encoder, so its ends must be --seeds; families that encode: "
        raise RunError(run.path, reason + families_that(Encodes))
    length = run.record.frames
    windows = clip_windows(run, path, read_features(run, path)[:length], labels, length=length)
    batch = family.project(windows.to(next(family.parameters()).device).as_batch())
    with torch_threads(run.config.train.threads), torch.no_grad():
        z_1Z, side_1S = family.encode(batch).float(), model.latents.side(batch)
    return z_1Z[0], None if side_1S is None else side_1S[0]


def _drawn(model: _Model, seed: int, labels: Mapping[str, str]) -> Place:
    """Place of the first clip that ``generate`` draws for a seed."""
    device = next(model.family.parameters()).device
    generator = torch.Generator(device).manual_seed(stream_seed(seed, "samples/0"))
    how = SampleOptions(labels=class_indices(model.run, labels))
    try:
        with torch_threads(model.run.config.train.threads), torch.no_grad():
            z_NZ, side_NS = model.latents.draw_latents(CHUNK, generator=generator, how=how)
    except ValueError as error:
        raise MotionSynthError(str(error)) from error
    return z_NZ[0], None if side_NS is None else side_NS[0]


def _limited(axes: list[Axis], limits: tuple[float, float] | None) -> list[Axis]:
    return [replace(axis, low=limits[0], high=limits[1]) for axis in axes] if limits else axes


def _named(word: str, axes: list[Axis], numbers: list[Axis]) -> Axis:
    """The code of that name, or the latent number of that place."""
    found = [axis for axis in axes if axis.name == word]
    if found:
        return found[0]
    place = word.removeprefix("z")
    if place.isdecimal() and int(place) < len(numbers):
        return numbers[int(place)]
    if place.isdecimal() or not axes:
        raise ConfigError(None, f"--code {word}", f"the numbers of a latent are 0 to {len(numbers) - 1} in this run")
    raise ConfigError(None, f"--code {word}", unknown_word("code", word, [axis.name for axis in axes]))


def _widest(model: _Model, axes: list[Axis], z_Z: Tensor, side_S: Tensor | None) -> list[Axis]:
    """Axes by the mean squared difference between the motions at their two ends, largest first."""
    z_NZ = torch.cat([axis.vary(z_Z, 2)[0] for axis in axes])
    motion_NTD = _decoded(model, z_NZ, None if side_S is None else side_S.expand(len(z_NZ), -1))
    order = (motion_NTD[::2] - motion_NTD[1::2]).square().mean((1, 2)).argsort(descending=True, stable=True)
    return [axes[index] for index in order.tolist()]


def _decoded(model: _Model, z_NZ: Tensor, side_NS: Tensor | None) -> Tensor:
    """(N, T, D) normalised features on the CPU."""
    with torch_threads(model.run.config.train.threads), torch.no_grad():
        motion_NTD = model.family.expand(model.latents.decode(z_NZ, side_NS).float()).cpu()
    if not motion_NTD.isfinite().all():
        raise RunError(model.run.path, "decodes values that are not finite: its training has diverged")
    return motion_NTD


def _window(run: Run, path: Path) -> Clip:
    """The first window of a clip, as the run's features tell it."""
    return decode(run.normaliser().denormalise(read_features(run, path)[: run.record.frames]), run.spec())


def _write(
    run: Run,
    folder: Path,
    rows: Sequence[_Row],
    title: str,
    real: Sequence[tuple[str, Clip]],
    notes: tuple[str, ...],
    *,
    overwrite: bool,
    made_of: Sequence[Path] = (),
    export: Export | None = None,
) -> Strip:
    """A BVH file for each clip, and the page."""
    paths: dict[str, list[Path]] = {}
    groups: dict[str, Sequence[tuple[str, Clip]]] = {"real": real} if real else {}
    with clip_folder(folder, overwrite=overwrite, made_of=made_of) as stage:
        for row in rows:
            digits = max(2, len(str(len(row.captions) - 1)))
            names = [f"{index:0{digits}}" for index in range(len(row.captions))]
            written = write_windows(run, row.motion_NTD, stage / row.place, names, sources=row.sources, export=export)
            groups[row.heading] = list(zip(row.captions, map(read_bvh, written), strict=True))
            paths[row.heading] = [folder / row.place / path.name for path in written]
        write_player([], stage / PAGE, title=title, groups=groups)
    return Strip(paths, folder / PAGE, (*notes, *(export.notes if export else ())))
