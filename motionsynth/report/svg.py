"""A matplotlib figure as SVG that belongs to the page around it: its colours, its font, its width.

What is drawn in one of the colours below becomes a CSS variable with that colour as its default, so that a page can
give it another one in the dark; ink becomes ``currentColor``.
"""

from __future__ import annotations

import io
import re
from typing import Any, Final
from xml.etree import ElementTree

__all__ = ["EDGE", "INK", "QUIET", "SERIES", "named", "standalone_svg", "svg_text"]

INK: Final = "#23272d"
QUIET: Final = "#6a707a"
EDGE: Final = "#e3e1dc"
SERIES: Final = ("#d2601a", "#2468b4", "#2a8c6a", "#9a4f96", "#a07c00", "#3f97b8")
"""Told apart by people with any kind of colour blindness; the first two are the player's left and right."""

_VARIABLES: Final = {
    INK: "currentColor",
    QUIET: f"var(--quiet, {QUIET})",
    EDGE: f"var(--edge, {EDGE})",
    **{colour: f"var(--series-{place}, {colour})" for place, colour in enumerate(SERIES)},
}
_SVG: Final = "http://www.w3.org/2000/svg"
_LINK: Final = "{http://www.w3.org/1999/xlink}href"
_REFERENCE: Final = re.compile(r"#([\w-]+)")
_MARK: Final = "named:"


def named(artist: Any, name: str) -> None:
    """Give a part of a figure a name: a tooltip, and the attribute ``data-name`` in the SVG."""
    artist.set_gid(_MARK + name)


_DARK: Final = {
    "--quiet": "#969ca6", "--edge": "#2f343b", "--series-0": "#f79a5a", "--series-1": "#6fb1f5",
    "--series-2": "#5fc9a2", "--series-3": "#d59bd1", "--series-4": "#dcbc4b", "--series-5": "#83cfe8",
}  # fmt: skip
"""Colours of ``page.html`` in the dark."""


def standalone_svg(svg: str) -> str:
    """A picture of :func:`svg_text` as a file of its own, on a ground as light or dark as its reader's system."""
    dark = "".join(f"{name}:{colour};" for name, colour in _DARK.items())
    style = (
        f"svg{{color:{INK};background:#fdfdfc;font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}}"
        f"@media (prefers-color-scheme:dark){{svg{{color:#e9e7e3;background:#1a1d21;{dark}}}}}"
    )
    end_of_tag = svg.index(">") + 1
    return f"{svg[:end_of_tag]}<style>{style}</style>{svg[end_of_tag:]}\n"


def svg_text(figure: Any, alt: str) -> str:
    """The figure as an ``<svg>`` element, without declaration, date, fixed size or ids that nothing refers to.

    Args:
        figure: a ``matplotlib.figure.Figure``, drawn with ``svg.fonttype`` none and a fixed ``svg.hashsalt``.
        alt: what the picture shows, for those who cannot see it.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith("}metadata") or child.tag.endswith("}style"):
                parent.remove(child)
    width = float(root.attrib.pop("width").removesuffix("pt")) * 96 / 72
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": alt, "width": f"{width:.0f}", "style": "max-width:100%;height:auto"}
    used = {found for element in root.iter() for found in _references(element)}
    for element in root.iter():
        _adopt(element, used)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _references(element: ElementTree.Element) -> list[str]:
    values = (element.get(_LINK, ""), element.get("clip-path", ""), element.get("style", ""))
    return [name for value in values for name in _REFERENCE.findall(value)]


def _adopt(element: ElementTree.Element, used: set[str]) -> None:
    """Make one element part of any page: no id of its own, no font of its own, the page's colours."""
    name = element.get("id", "")
    if name.startswith(_MARK):
        title = ElementTree.Element(f"{{{_SVG}}}title")
        title.text = element.attrib["data-name"] = name.removeprefix(_MARK)
        element.insert(0, title)
    if name not in used:
        element.attrib.pop("id", None)
    if _LINK in element.attrib:
        element.set("href", element.attrib.pop(_LINK))
    element.tail = None
    if not (element.text or "").strip():
        element.text = None
    style = element.get("style")
    if style:
        style = re.sub(r"font-family: [^;]*", "font-family: inherit", style)
        for colour, variable in _VARIABLES.items():
            style = style.replace(f": {colour}", f": {variable}")
        element.set("style", style)
