"""Clips of a cell for the report's player: what a stick figure needs, in few bytes, so that a repository can hold them.

``HASH.clips.npz`` holds for each view whole millimetres of every drawn joint, as differences in time whose low and high
bytes stand apart: smooth motion then packs to less than a byte a coordinate. Same clips, same bytes.

Shapes: N windows, T frames, J drawn joints.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from motionsynth.array_files import read_arrays
from motionsynth.corpus.motions import MotionSet
from motionsynth.errors import StudyError
from motionsynth.features.encode import decode_batch
from motionsynth.files import parse_json, write_bytes
from motionsynth.view.figure import Figure, stick_figure
from motionsynth.view.player import Drawn

__all__ = ["LARGEST_BYTES", "keep_clips", "read_clips"]

FORMAT: Final = "motionsynth-study-clips-1"
LARGEST_BYTES: Final = 60_000
"""Of a file: where the full rate makes a larger one, every second frame is kept, and so on."""
_MOST_BYTES: Final = 1 << 25
"""Most bytes that are read of a file, and of all that it unpacks to."""
_MILLIMETRES: Final = 1000.0
_REACH: Final = 32_767
_COARSEST: Final = 4
"""Frames between those that are kept, at most."""
_SHARED: Final = ("parents", "sides", "names", "centre", "head", "up")
_OWN: Final = ("height", "floor", "facing")

Shown = Mapping[str, Sequence[Drawn]]


def keep_clips(views: Mapping[str, MotionSet], path: Path, count: int) -> None:
    """Write the first ``count`` windows of each view for the player; same windows, same bytes.

    Args:
        views: name -> windows; those at one place come from the same latents where the views do.
        path: the ``.npz`` file; replaced at once or not at all.
        count: windows of each view; all where there are fewer.

    Raises:
        ValueError: no window, or one with numbers that are not finite.
        OSError: the file cannot be written.
    """
    shown = {name: _drawn(motions, count) for name, motions in views.items()}
    if not any(shown.values()):
        raise ValueError("there is no clip to keep")
    content = b""
    for step in range(1, _COARSEST + 1):
        content = _packed(shown, step)
        if len(content) <= LARGEST_BYTES:
            break
    write_bytes(path, content)


def read_clips(path: Path) -> dict[str, list[Drawn]]:
    """The clips of each view, in metres, for ``view.player``.

    Raises:
        StudyError: the file cannot be read, is damaged, or is of another format; it is named.
    """
    try:
        stored = read_arrays(path, limit=_MOST_BYTES)
        about = parse_json(stored["about"].tobytes())
        found, views = about["format"], dict(about["views"]) if about["format"] == FORMAT else {}
        shown = {name: _unpacked(view, stored[f"view{place}"]) for place, (name, view) in enumerate(views.items())}
    except OSError as error:
        raise StudyError(path, error.strerror or str(error)) from error
    except Exception as error:  # what is damaged raises whatever its damage comes upon
        raise StudyError(path, f"is damaged: {str(error)[:120]}; delete it") from error
    if found != FORMAT:
        raise StudyError(path, f"has format {repr(found)[:40]}, this version reads {FORMAT}; delete it")
    return shown


def _drawn(motions: MotionSet, count: int) -> list[Drawn]:
    clips = decode_batch(motions.features_NTD[:count], motions.spec) if len(motions) and count else []
    scale = motions.spec.metres_per_unit
    return [Drawn(_in_metres(stick_figure(clip), scale), clip.frame_time) for clip in clips]


def _in_metres(figure: Figure, scale: float) -> Figure:
    return replace(figure, positions=figure.positions * scale, height=figure.height * scale, floor=figure.floor * scale)


def _packed(shown: Shown, step: int) -> bytes:
    arrays: dict[str, Any] = {}
    views: dict[str, dict[str, Any] | None] = {}
    for place, (name, clips) in enumerate(shown.items()):
        if not clips:
            views[name] = None
            arrays[f"view{place}"] = np.zeros(0, np.uint8)
            continue
        first = clips[0].figure
        views[name] = {
            "frame_time": clips[0].frame_time * step,
            **{key: getattr(first, key) for key in _SHARED},
            "clips": [{key: round(float(getattr(clip.figure, key)), 4) for key in _OWN} for clip in clips],
        }
        millimetres_NTJ3 = np.stack([clip.figure.positions[::step] for clip in clips]) * _MILLIMETRES
        whole_NTJ3 = np.rint(np.clip(millimetres_NTJ3, -_REACH, _REACH)).astype(np.int64)
        arrays[f"view{place}"] = _planes(_bones(whole_NTJ3, first.parents))
    about = json.dumps({"format": FORMAT, "views": views}, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.frombuffer(about, np.uint8), **arrays)
    return buffer.getvalue()


def _bones(whole_NTJ3: npt.NDArray[np.int64], parents: Sequence[int]) -> npt.NDArray[np.int64]:
    """Joints from their parents, which move less than joints do; the joint without a parent as it is."""
    held = np.array(parents) >= 0
    bones_NTJ3 = whole_NTJ3.copy()
    bones_NTJ3[:, :, held] -= whole_NTJ3[:, :, np.array(parents)[held]]
    return bones_NTJ3


def _planes(bones_NTJ3: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """(2, N, J, 3, T) low and high bytes of differences in time: 0, -1, 1, -2, ... as 0, 1, 2, 3, modulo 2^16."""
    change = np.diff(bones_NTJ3, axis=1, prepend=0).astype(np.int16).transpose(0, 2, 3, 1)
    coded = (change << 1 ^ change >> 15).view(np.uint16)
    return np.stack([coded & 0xFF, coded >> 8]).astype(np.uint8)


def _unpacked(view: Mapping[str, Any] | None, planes: npt.NDArray[np.uint8]) -> list[Drawn]:
    if view is None:
        return []
    coded = planes[0].astype(np.uint16) | planes[1].astype(np.uint16) << 8
    change = (coded >> 1).view(np.int16) ^ -(coded & 1).view(np.int16)
    whole_NTJ3 = change.transpose(0, 3, 1, 2).cumsum(axis=1, dtype=np.int16)
    for joint in _outwards(view["parents"]):
        whole_NTJ3[:, :, joint] += whole_NTJ3[:, :, view["parents"][joint]]
    shared: dict[str, Any] = {key: tuple(value) if isinstance(value := view[key], list) else value for key in _SHARED}
    return [
        Drawn(Figure(positions=millimetres / _MILLIMETRES, **shared, **own), view["frame_time"])
        for millimetres, own in zip(whole_NTJ3, view["clips"], strict=True)
    ]


def _outwards(parents: Sequence[int]) -> list[int]:
    """Joints that have a parent, each after its own: tips may stand before what they end."""

    def depth(joint: int) -> int:
        return 0 if parents[joint] < 0 else 1 + depth(parents[joint])

    return sorted((joint for joint, parent in enumerate(parents) if parent >= 0), key=depth)
