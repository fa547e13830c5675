"""Whole ``run.json`` files, as a trainer writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from motionsynth.run_files import sealed

RECORD: dict[str, Any] = {
    "format": 2,
    "family": "vae",
    "config_hash": "ab" * 32,
    "corpus_path": "data/walkers",
    "corpus_fingerprint": "cd" * 32,
    "tracking_id": "a",
    "state": "running",
    "created": "2026-01-01T00:00:00+00:00",
    "motionsynth": "0.1.0",
    "git_commit": "0123456789" * 4,
    "frames": 64,
    "width": 150,
    "features": {},
    "labels": {"style": ["calm", "tired"]},
    "sha256": {},
}


def change_record(run_dir: Path, **changes: Any) -> None:
    """Rewrite entries of ``run.json`` as a trainer does: a new file under the old name, with a checksum that fits."""
    path = run_dir / "run.json"
    record = json.loads(path.read_text()) if path.exists() else RECORD
    temporary = run_dir / ".run.json.tmp"
    temporary.write_bytes(sealed({**record, **changes}))
    temporary.replace(path)
