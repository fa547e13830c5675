"""NumPy's ``.npz`` files, which may come from someone else: no larger unpacked than they may be, and no pickles."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from motionsynth.files import read_regular

__all__ = ["read_arrays"]

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: str | Path, *, limit: int) -> dict[str, npt.NDArray[Any]]:
    """Arrays by name.

    Args:
        path: the file.
        limit: most bytes of the file, and of all arrays together.

    Raises:
        OSError: it is missing, cannot be read, is no regular file, or is too large.
        ValueError: it is damaged, would unpack to more, or holds objects.
    """
    content = read_regular(path, limit=limit)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _unpacked(archive, limit)
    except Exception as error:  # a damaged archive raises whatever its damage comes upon
        raise ValueError(str(error) or type(error).__name__) from error


def _unpacked(archive: zipfile.ZipFile, limit: int) -> dict[str, npt.NDArray[Any]]:
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > limit:
        raise ValueError(f"unpacks to more than {limit:,} bytes")
    return {entry.filename.removesuffix(".npy"): _array(archive.read(entry)) for entry in entries}


def _array(content: bytes) -> npt.NDArray[Any]:
    """The array in a ``.npy`` file whose header declares as many numbers as follow."""
    stream = io.BytesIO(content)
    shape, by_column, kind = _HEADERS[np.lib.format.read_magic(stream)](stream)
    if kind.hasobject or math.prod(shape) * kind.itemsize != len(content) - stream.tell():
        raise ValueError("an array has not the size that it declares")
    numbers = np.frombuffer(content, kind, offset=stream.tell())
    return numbers.reshape(shape, order="F" if by_column else "C").copy(order="K")
