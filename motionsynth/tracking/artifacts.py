"""Which files of a run directory MLflow is given."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

__all__ = ["digest_of", "run_artifacts"]

_FILES = ("config.yaml", "splits.json", "scores.json", "report.html")
_FOLDERS = ("samples",)


def run_artifacts(run_dir: Path) -> list[str]:
    """Paths relative to ``run_dir`` of the files to deliver; files under a temporary name are left alone."""
    found = [name for name in _FILES if (run_dir / name).is_file()]
    for folder in _FOLDERS:
        for path in sorted((run_dir / folder).rglob("*")):
            relative = path.relative_to(run_dir)
            if path.is_file() and not any(part.startswith(".") for part in relative.parts) and path.suffix != ".tmp":
                found.append(relative.as_posix())
    return found


def digest_of(path: Path) -> str:
    """SHA-256 of a file, remembered for as long as its size and time of change stay."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
