"""Write a file at once or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from motionsynth.errors import MotionSynthError

__all__ = ["write_atomically"]


def write_atomically(path: str | Path, content: bytes) -> None:
    """Replace a file's content so that no reader, and no crash, ever sees a part of it.

    Raises:
        MotionSynthError: the file cannot be written.
    """
    path = Path(path)
    # Not mkstemp: its files are for the owner only, and the umask cannot be read without changing it for every thread.
    partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise MotionSynthError(f"{path}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
