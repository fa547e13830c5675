"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["interval_texts", "number_text", "power_text"]

_MOST_PLACES: Final = 6
_POWERS_FROM: Final = 1e6
_RAISED: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(value: float | None, digits: int = 3, *, places: int | None = None, padded: bool = True) -> str:
    """A figure of three significant digits with a true minus: ``−0.0120``, ``12 300``, ``1.20×10⁻⁵``, ``–`` for none.

    Args:
        value: the figure.
        digits: significant digits.
        places: digits behind the point, whatever the significant ones.
        padded: whether zeros at the end stay; without them ``1×10⁻⁵`` is ``10⁻⁵``.
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if places is None and size and not 1e-4 <= size < _POWERS_FROM:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    else:
        if places is None:
            places = max(0, digits - 1 - math.floor(math.log10(size))) if size else 0
        mantissa, exponent = f"{value:,.{places}f}".replace(",", "\u202f"), ""
    if not mantissa.strip("-0."):
        mantissa = mantissa.lstrip("-")  # what rounds to zero has no sign
    if not padded and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    if exponent:
        power = power_text(int(exponent))
        mantissa = power if mantissa == "1" and not padded else f"{mantissa}×{power}"
    return mantissa.replace("-", "−")


def power_text(exponent: int) -> str:
    """A power of ten: ``10⁻⁵``."""
    return f"10{str(exponent).translate(_RAISED)}"


def interval_texts(value: float, low: float, high: float) -> tuple[str, str, str]:
    """A figure and the ends of its interval, all to the second significant digit of the interval's half width.

    Of a million and more, and where that digit is too far behind the point, each has digits of its own.
    """
    half = (high - low) / 2
    readable = 0 < half < math.inf and max(abs(value), abs(low), abs(high)) < _POWERS_FROM
    places = 1 - math.floor(math.log10(half)) if readable else None
    if places is not None and places > _MOST_PLACES:
        places = None
    if places is not None:
        places = max(0, places)
    texts = [number_text(number, places=places) for number in (value, low, high)]
    return texts[0], texts[1], texts[2]
