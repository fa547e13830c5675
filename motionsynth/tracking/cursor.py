"""``tracking.json``: what of a run each store already has, so that a delivery goes on where the last one ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from motionsynth.files import parse_json, read_regular, write_bytes
from motionsynth.tracking.journal import JOURNAL, tail_digest
from motionsynth.tracking.store import shown_uri

__all__ = ["CURSOR", "Cursor"]

CURSOR = "tracking.json"
_FORMAT = 1
_LARGEST = 1 << 24

_Place = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(slots=True)
class Cursor:
    """How far one store has been fed.

    It only saves work: the store is asked for the run by its tracking id, and ignores points that it already has, so
    that a lost or stale cursor costs a second delivery and no second point.
    """

    experiment_id: str | None = None
    run_id: str | None = None
    journal_bytes: _Place = 0
    journal_rows: _Place = 0
    journal_tail: str | None = None
    description: str | None = None
    """Digest of the tags, parameters and dataset that were delivered."""
    status: str | None = None
    scores: str | None = None
    """Digest of the ``scores.json`` whose figures were delivered."""
    artifacts: dict[str, str] = field(default_factory=dict)
    """SHA-256 by path relative to the run directory."""

    @classmethod
    def load(cls, run_dir: Path, uri: str) -> Cursor:
        """The cursor of this store; a fresh one where there is none, or where the journal is not the one it knew."""
        try:
            cursor = _CURSOR.validate_python(_read(run_dir).get(shown_uri(uri), {}))
            if not cursor._fits(run_dir):
                cursor.journal_bytes, cursor.journal_rows, cursor.journal_tail = 0, 0, None
        except ValueError:
            return cls()
        return cursor

    def save(self, run_dir: Path, uri: str) -> None:
        """Write the cursor beside those of other stores, whole or not at all."""
        stores = {**_read(run_dir), shown_uri(uri): asdict(self)}
        text = json.dumps({"format": _FORMAT, "stores": stores}, indent=1, sort_keys=True)
        write_bytes(run_dir / CURSOR, text.encode())

    def _fits(self, run_dir: Path) -> bool:
        if self.journal_tail is None:
            return self.journal_bytes == 0
        length = int(self.journal_tail.partition(":")[0])
        return tail_digest(run_dir / JOURNAL, self.journal_bytes, length) == self.journal_tail


_CURSOR = TypeAdapter(Cursor)


def _read(run_dir: Path) -> dict[str, Any]:
    try:
        document = parse_json(read_regular(run_dir / CURSOR, limit=_LARGEST, follow_links=False))
    except (OSError, ValueError):
        return {}
    stores = document.get("stores") if isinstance(document, dict) and document.get("format") == _FORMAT else None
    return stores if isinstance(stores, dict) else {}
