"""Files that are packed by xz: read within bounds, packed and unpacked."""

from __future__ import annotations

from pathlib import Path

from motionsynth.files import read_regular

__all__ = ["read_packed"]


def read_packed(path: str | Path, *, limit: int) -> bytes:
    """The content of a regular file, unpacked where its name ends in ``.xz``.

    Args:
        path: the file.
        limit: most bytes it may have, packed and unpacked.

    Raises:
        OSError: as ``read_regular``.
        ValueError: it is damaged, or unpacks to more.
    """
    content = read_regular(path, limit=limit)
    if Path(path).suffix != ".xz":
        return content
    from lzma import FORMAT_XZ, LZMADecompressor, LZMAError

    unpacker = LZMADecompressor(FORMAT_XZ, memlimit=1 << 27)
    try:
        content = unpacker.decompress(content, max_length=limit)
    except LZMAError as error:
        raise ValueError("is not whole: it cannot be unpacked") from error
    if not unpacker.eof:
        raise ValueError(f"is cut short, or unpacks to more than {limit:,} bytes")
    return content
