"""Which files of a run directory MLflow is given."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from motionsynth.files import TEMPORARY_SUFFIX
from motionsynth.hashes import hash_file

__all__ = ["digest_of", "run_artifacts"]

_FILES = ("config.yaml", "splits.json", "scores.json", "report.html")
_FOLDERS = ("samples",)


def run_artifacts(run_dir: Path) -> list[str]:
    """Paths relative to ``run_dir`` of the regular files to deliver; those under a temporary name are left alone."""
    found = [name for name in _FILES if _is_file(run_dir / name)]
    for folder in _FOLDERS:
        for place, folders, files in os.walk(run_dir / folder):  # follows no link
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            paths = (Path(place) / name for name in sorted(files) if not name.startswith("."))
            found += [p.relative_to(run_dir).as_posix() for p in paths if _is_file(p) and p.suffix != TEMPORARY_SUFFIX]
    return found


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def digest_of(path: Path) -> str:
    """SHA-256 of a file, remembered for as long as its size and time of change stay."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return hash_file(path)
