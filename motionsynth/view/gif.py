"""A small looping GIF of clips side by side, for where no script runs: a tracker's artifact list, a README, a slide."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from motionsynth.files import write_bytes
from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import FloatArray
from motionsynth.view.figure import Figure, captioned_figure

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

__all__ = ["write_gif"]

Colour = tuple[int, int, int]

PAPER: Final[Colour] = (253, 253, 252)
INK: Final[Colour] = (51, 58, 68)
FLOOR: Final[Colour] = (226, 227, 228)
SHADOW: Final[Colour] = (214, 216, 218)
SIDES: Final[tuple[Colour, ...]] = (INK, (210, 96, 26), (36, 104, 180))
OVERSAMPLING: Final = 3
YAW: Final = np.deg2rad(32.0)
PITCH: Final = np.deg2rad(12.0)
CAPTION: Final = 26
MARGIN: Final = 8
THICKNESS: Final = 0.036
"""Width of a limb, in heights."""


class Scene(NamedTuple):
    """One figure, turned to the camera: across and down from the point of the floor below it, in heights."""

    figure: Figure
    angle: float
    """By which the figure is turned about the vertical."""
    track: FloatArray
    """(T, 2) the point of the floor, x and z, that the camera follows."""
    limbs: FloatArray
    """(T, N, 2) where the nodes are."""
    shadows: FloatArray
    """(T, N, 2) where they are on the floor."""
    depths: FloatArray
    """(T, N) larger is nearer."""


def write_gif(
    clips: Sequence[tuple[str, Clip]],
    path: str | Path,
    *,
    columns: int | None = None,
    size: tuple[int, int] = (200, 240),
    frame_rate: float = 15.0,
    seconds: float = 4.0,
) -> None:
    """Write an endlessly looping GIF of clips side by side, each from its front and followed by the camera.

    A clip that is over stays on its last frame until the longest ends.

    Args:
        clips: caption, such as ``"real"`` or ``"vae"``, and clip; skeletons, units, rates and lengths may differ.
        path: the ``.gif`` file; a file of that name is replaced, at once or not at all.
        columns: panels in a row; all in one row up to six unless given.
        size: width and height of a panel in pixels.
        frame_rate: frames a second, at most 50; GIF counts in hundredths of a second, so delays are rounded.
        seconds: longest duration; longer clips are cut.

    Raises:
        ValueError: no clip, a clip without frames or with positions that are not finite, or an argument out of range.
        OSError: the file cannot be written.
    """
    if not clips:
        raise ValueError("a GIF needs at least one clip")
    if not 0 < frame_rate <= 50 or not seconds > 0 or min(size) < 64 or (columns is not None and columns < 1):
        raise ValueError("a GIF needs 0 < frame_rate <= 50, seconds > 0, panels of at least 64 pixels, columns >= 1")
    longest = min(seconds, max(clip.duration for _, clip in clips))
    count = max(1, round(longest * frame_rate))
    times = np.arange(count) / frame_rate
    scenes = [_scene(captioned_figure(caption, clip), clip, times) for caption, clip in clips]
    images = _render([caption for caption, _ in clips], scenes, columns or min(len(clips), 6), size)
    ends = np.rint(np.arange(1, count + 1) * 100.0 / frame_rate).astype(int)
    delays = (np.diff(ends, prepend=0) * 10).tolist()
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=delays, loop=0, optimize=False, disposal=1
    )
    write_bytes(path, buffer.getvalue())


def _scene(figure: Figure, clip: Clip, times: FloatArray) -> Scene:
    """Turn the figure to three-quarter view, keep it in the middle, and take the frames that are shown."""
    shown = np.minimum((times * clip.frame_rate + 1e-6).astype(np.intp), len(clip) - 1)
    xyz = figure.displayed()
    track = _smooth(xyz[:, figure.centre], max(1, round(clip.frame_rate / 4)))[shown]
    x, y, z = np.moveaxis(xyz[shown], -1, 0)
    x, z = x - track[:, None, 0], z - track[:, None, 2]
    angle = figure.facing + YAW
    across, towards = np.cos(angle) * x - np.sin(angle) * z, np.sin(angle) * x + np.cos(angle) * z
    down = np.sin(PITCH) * towards - np.cos(PITCH) * y
    return Scene(
        figure=figure,
        angle=float(angle),
        track=track[:, [0, 2]],
        limbs=np.stack([across, down], axis=-1),
        shadows=np.stack([across, np.sin(PITCH) * towards], axis=-1),
        depths=np.sin(PITCH) * y + np.cos(PITCH) * towards,
    )


def _smooth(track: FloatArray, half: int) -> FloatArray:
    """(T, 3) mean over up to ``half`` frames on either side, fewer near the ends, so that the ends stay in place."""
    frames = np.arange(len(track))
    reach = np.minimum(half, np.minimum(frames, len(track) - 1 - frames))
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(track, axis=0)])
    return np.asarray((sums[frames + reach + 1] - sums[frames - reach]) / (2 * reach + 1)[:, None])


class _Panel(NamedTuple):
    """Place of a scene in the image, in oversampled pixels."""

    x: float
    y: float
    scale: float
    floor: float
    """Radius of the floor, in heights."""


def _panels(scenes: Sequence[Scene], columns: int, size: tuple[int, int]) -> list[_Panel]:
    """One scale for all figures, the largest at which each stays inside its panel; all stand on one line."""
    width, height = size
    drawn = [np.concatenate([scene.limbs, scene.shadows], axis=1) for scene in scenes]
    wide = max(float(np.abs(xy[..., 0]).max()) for xy in drawn) + THICKNESS
    top = max(0.3, max(float(-xy[..., 1].min()) for xy in drawn) + 2 * THICKNESS)
    below = max(0.12, max(float(xy[..., 1].max()) for xy in drawn) + THICKNESS)
    scale = min((width / 2 - MARGIN) / wide, (height - CAPTION - MARGIN) / (top + below))
    spare = (height - CAPTION - MARGIN) - scale * (top + below)
    panels = []
    for k in range(len(scenes)):
        x = (k % columns + 0.5) * width
        y = (k // columns + 1) * height - MARGIN - spare / 2 - scale * below
        radius = min(1.2, (width / 2 - MARGIN) / scale)
        panels.append(_Panel(x * OVERSAMPLING, y * OVERSAMPLING, scale * OVERSAMPLING, radius))
    return panels


def _render(captions: Sequence[str], scenes: Sequence[Scene], columns: int, size: tuple[int, int]) -> list[Image.Image]:
    """All images, in one palette."""
    from PIL import Image, ImageDraw

    panels = _panels(scenes, columns, size)
    columns = min(columns, len(scenes))
    whole = (columns * size[0], -(-len(scenes) // columns) * size[1])
    text, palette = _caption_mask(captions, columns, size, whole), _palette()
    images = []
    for index in range(len(scenes[0].limbs)):
        large = Image.new("RGB", (whole[0] * OVERSAMPLING, whole[1] * OVERSAMPLING), PAPER)
        draw = ImageDraw.Draw(large)
        for scene, panel in zip(scenes, panels, strict=True):
            _draw_floor(draw, scene, index, panel)
            _draw_figure(draw, scene, index, panel)
        small = large.reduce(OVERSAMPLING)
        small.paste(INK, mask=text)
        images.append(small.quantize(palette=palette, dither=Image.Dither.NONE))
    return images


def _draw_floor(draw: ImageDraw.ImageDraw, scene: Scene, index: int, panel: _Panel) -> None:
    """A round patch of floor with squares of half a height, which slide under a figure that travels."""
    centre, cos, sin = scene.track[index], np.cos(scene.angle), np.sin(scene.angle)
    for axis in (0, 1):
        first, last = np.ceil((centre[axis] - panel.floor) * 2), np.floor((centre[axis] + panel.floor) * 2)
        offsets = np.arange(first, last + 1) / 2 - centre[axis]
        halves = np.sqrt(np.maximum(panel.floor**2 - offsets**2, 0.0))
        ends = np.stack([np.stack([offsets, -halves]), np.stack([offsets, halves])])  # (end, across/along, line)
        x, z = (ends[:, 0], ends[:, 1]) if axis == 0 else (ends[:, 1], ends[:, 0])
        px = panel.x + panel.scale * (cos * x - sin * z)
        py = panel.y + panel.scale * np.sin(PITCH) * (sin * x + cos * z)
        for line in np.stack([px[0], py[0], px[1], py[1]], axis=-1).tolist():
            draw.line(line, fill=FLOOR, width=OVERSAMPLING)


def _draw_figure(draw: ImageDraw.ImageDraw, scene: Scene, index: int, panel: _Panel) -> None:
    """The shadow, then the bones from the farthest to the nearest, with round ends, then the head."""
    figure, place = scene.figure, np.array([panel.x, panel.y])
    width = max(2, round(THICKNESS * panel.scale))
    bones = [node for node, parent in enumerate(figure.parents) if parent >= 0]
    for points_N2, colours in (
        (place + panel.scale * scene.shadows[index], [SHADOW] * 3),
        (place + panel.scale * scene.limbs[index], list(SIDES)),
    ):
        points = points_N2.tolist()
        for node in sorted(bones, key=scene.depths[index].tolist().__getitem__):
            colour, (x, y), (x0, y0) = colours[figure.sides[node]], points[node], points[figure.parents[node]]
            draw.line((x0, y0, x, y), fill=colour, width=width)
            for cx, cy in ((x0, y0), (x, y)):
                _disc(draw, cx, cy, width / 2 - 0.5, colour)  # the ellipse includes its edge
    if figure.head is not None:
        (x0, y0), (x, y) = points[figure.head[0]], points[figure.head[1]]
        _disc(draw, (x0 + x) / 2, (y0 + y) / 2, 0.052 * panel.scale, INK)
    elif not bones:
        _disc(draw, points[0][0], points[0][1], width, INK)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _caption_mask(captions: Sequence[str], columns: int, size: tuple[int, int], whole: tuple[int, int]) -> Image.Image:
    """White letters on black, each caption cut to its panel's width."""
    from PIL import Image, ImageDraw, ImageFont

    mask = Image.new("L", whole, 0)
    draw, font = ImageDraw.Draw(mask), ImageFont.load_default(13)
    room = size[0] - 2 * MARGIN
    for k, caption in enumerate(captions):
        text = " ".join(caption.split())
        if draw.textlength(text, font=font) > room:
            while text and draw.textlength(text + "…", font=font) > room:
                text = text[:-1]
            text += "…"
        draw.text((k % columns * size[0] + MARGIN, k // columns * size[1] + MARGIN), text, fill=255, font=font)
    return mask


def _palette() -> Image.Image:
    """64 colours: each one drawn, with its shades towards the paper and towards the floor that smooth edges need."""
    from PIL import Image

    shares = np.linspace(0.0, 1.0, 11)[:, None]
    ramps = [np.array(PAPER) * (1 - shares) + np.array(colour) * shares for colour in (*SIDES, SHADOW, FLOOR)]
    colours = np.rint(np.concatenate(ramps)).astype(np.uint8)
    image = Image.new("P", (1, 1))
    image.putpalette(colours.tobytes())
    return image
