"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["number_text"]

_RAISED: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(value: float | None, digits: int = 3, *, beside: float | None = None, padded: bool = True) -> str:
    """A figure of three significant digits with a true minus: ``−0.0120``, ``12 300``, ``1.20×10⁻⁵``, ``–`` for none.

    Args:
        value: the figure.
        digits: significant digits.
        beside: a larger figure that it stands next to: it is then rounded to the same place.
        padded: whether zeros at the end stay; without them ``1×10⁻⁵`` is ``10⁻⁵``.
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = max(abs(value), abs(beside or 0.0))
    scientific = bool(size) and not 1e-4 <= size < 1e6
    if scientific:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    else:
        places = max(0, digits - 1 - math.floor(math.log10(size))) if size else 0
        mantissa, exponent = f"{value:,.{places}f}".replace(",", "\u202f"), ""
    if not padded and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    if exponent:
        power = f"10{str(int(exponent)).translate(_RAISED)}"
        mantissa = power if mantissa == "1" and not padded else f"{mantissa}×{power}"
    return mantissa.replace("-", "−")
