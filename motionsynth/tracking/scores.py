"""Reading ``scores.json`` of an evaluated run: its figures as points of metrics."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from motionsynth.files import parse_json, read_regular

__all__ = ["SCORES", "Point", "read_scores"]

SCORES = "scores.json"
_LARGEST = 1 << 24


class Point(NamedTuple):
    """One figure, at the moment of its evaluation and the step of the weights that were evaluated."""

    name: str
    value: float
    time_ms: int
    step: int


def read_scores(run_dir: Path) -> list[Point]:
    """Figures that have a value, named ``scores/KEY``; those of real motion are in the file only.

    Raises:
        OSError: the file is missing, or no regular one.
        ValueError: it is not what an evaluation writes.
    """
    content = read_regular(run_dir / SCORES, limit=_LARGEST, follow_links=False)
    try:
        document = parse_json(content)
        # the moment of the evaluation, never that of delivery: a point sent twice is then one point to the store
        time_ms = round(datetime.fromisoformat(document["created"]).timestamp() * 1000)
        step = int(document["generated"].get("step") or 0)
        if not 0 <= step < 2**63 or not 0 <= time_ms < 2**63:
            raise ValueError("its step or time is not one")  # noqa: TRY301 - one exit for every kind of damage
        return [
            Point(f"scores/{key}", float(figure["value"]), time_ms, step)
            for key, figure in document["figures"].items()
            if figure["value"] is not None and math.isfinite(figure["value"])
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{SCORES}: not the scores of an evaluation ({type(error).__name__}: {error})") from error
