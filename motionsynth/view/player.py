"""One self-contained HTML page in which clips move side by side.

The page asks nothing of any network or store, so it plays from a disk, from a mail, and in the sandboxed frame of an
experiment tracker. Positions travel as 16-bit integers: ``x = centre + scale * q``, one scale a clip, so an error is at
most half of ``scale``, 1/65534 of half the clip's extent.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from motionsynth.files import write_bytes
from motionsynth.motion.clip import Clip
from motionsynth.view.figure import Figure, captioned_figure

__all__ = ["Drawn", "player_html", "write_player"]

LARGEST: Final = 32767
FORMAT: Final = 1


@dataclass(frozen=True, eq=False)
class Drawn:
    """A clip of which only the picture was kept.

    Args:
        figure: what is drawn.
        frame_time: seconds a frame.
    """

    figure: Figure
    frame_time: float

    def __len__(self) -> int:
        return len(self.figure.positions)

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return 1.0 / self.frame_time


Moving = Clip | Drawn


def player_html(
    clips: Sequence[tuple[str, Moving]],
    *,
    title: str = "",
    groups: Mapping[str, Sequence[tuple[str, Moving]]] | None = None,
    max_frame_rate: float = 60.0,
) -> str:
    """The page of :func:`write_player` as text, to put into a frame of another page.

    Raises:
        ValueError: no clip, a clip without frames or with positions that are not finite, or no positive rate.
    """
    if not max_frame_rate > 0:
        raise ValueError(f"max_frame_rate must be positive, not {max_frame_rate}")
    rows = [("", clips), *(groups or {}).items()]
    panels = [_panel(group, caption, clip, max_frame_rate) for group, members in rows for caption, clip in members]
    if not panels:
        raise ValueError("a player needs at least one clip")
    page = files("motionsynth.view").joinpath("player.html").read_text(encoding="utf-8")
    # One pass: what a title or a caption contains is never looked at again.
    head, rest = page.split("<!--title-->")
    middle, tail = rest.split("/*data*/null")
    document = {"format": FORMAT, "title": title, "panels": panels}
    return head + html.escape(title or "motionsynth player") + middle + _script_safe(document) + tail


def write_player(
    clips: Sequence[tuple[str, Moving]],
    path: str | Path,
    *,
    title: str = "",
    groups: Mapping[str, Sequence[tuple[str, Moving]]] | None = None,
    max_frame_rate: float = 60.0,
) -> None:
    """Write a page that plays clips side by side in any browser, without a network.

    Clips may differ in skeleton, unit, frame rate and length; every figure is drawn to the same height, from its front.
    A link may set the page's state: ``player.html#t=1.5&yaw=30&pitch=10&zoom=1.2&speed=0.5&play=0&theme=dark``.

    Args:
        clips: caption and clip, or what was kept of one, in the order of the panels.
        path: the ``.html`` file; a file of that name is replaced, at once or not at all.
        title: heading of the page.
        groups: heading and captioned clips for each further row of panels, such as ``{"real": ..., "vae": ...}``.
        max_frame_rate: frames a second; a faster clip shows every second, third, ... frame, and its panel says so.

    Raises:
        ValueError: no clip, a clip without frames or with positions that are not finite, or no positive rate.
        OSError: the file cannot be written.
    """
    text = player_html(clips, title=title, groups=groups, max_frame_rate=max_frame_rate)
    write_bytes(path, text.encode("utf-8", errors="replace"))


def _panel(group: str, caption: str, clip: Moving, max_frame_rate: float) -> dict[str, Any]:
    figure = clip.figure if isinstance(clip, Drawn) else captioned_figure(caption, clip)
    step = max(1, int(np.ceil(clip.frame_rate / max_frame_rate - 1e-3)))
    centre, scale, data = _quantise(figure, step)
    return {
        "group": group,
        "caption": caption,
        "frames": len(clip),
        "frameTime": clip.frame_time,
        "step": step,
        "parents": figure.parents,
        "sides": figure.sides,
        "follow": figure.centre,
        "head": figure.head,
        "up": figure.up,
        "height": figure.height,
        "floor": figure.floor,
        "facing": figure.facing,
        "centre": centre,
        "scale": scale,
        "data": data,
    }


def _quantise(figure: Figure, step: int) -> tuple[list[float], float, str]:
    """Every ``step``-th frame as little-endian int16 (T, N, 3) in base64, with its centre (3,) and scale."""
    shown = figure.positions[::step]
    low, high = shown.min(axis=(0, 1)), shown.max(axis=(0, 1))
    centre = (low + high) / 2
    scale = float((high - low).max()) / 2 / LARGEST or 1.0
    numbers = np.rint((shown - centre) / scale).astype("<i2")
    return centre.tolist(), scale, base64.b64encode(numbers.tobytes()).decode("ascii")


def _script_safe(document: dict[str, Any]) -> str:
    """JSON in which no character can end a script element or start a comment or an entity."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
