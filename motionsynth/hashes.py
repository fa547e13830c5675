"""SHA-256, in hexadecimal, of bytes, plain values and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from motionsynth.files import open_regular

__all__ = ["hash_bytes", "hash_file", "hash_json"]


def hash_bytes(content: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def hash_json(value: Any) -> str:
    """SHA-256 of a plain value as JSON with sorted keys, in ASCII."""
    return hash_bytes(json.dumps(value, sort_keys=True).encode("ascii"))


def hash_file(path: Path) -> str:
    """SHA-256 of a regular file of any size; a symbolic link is none.

    Raises:
        OSError: as ``open_regular``.
    """
    with open_regular(path, follow_links=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it reads into, as all files do
