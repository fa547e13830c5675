"""A list of clips by name: which of a folder's files a corpus is, so that another copy of the folder gives the same.

The list is a text file, one name a line as path inside the folder; empty lines and lines that begin with ``#``
say nothing. Its order decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from motionsynth.corpus.offers import offer_with
from motionsynth.corpus.tables import MOST_BYTES, Matcher, decode
from motionsynth.errors import ConfigError, CorpusError, list_first
from motionsynth.files import read_regular
from motionsynth.hashes import hash_bytes

__all__ = ["choose_files", "names_sha256", "read_clip_names"]

_SHOWN = 3


def read_clip_names(path: Path) -> tuple[str, ...]:
    """The names in a list of clips, sorted.

    Raises:
        ConfigError: the list cannot be read, is empty, or names a clip twice; names file and line.
    """
    try:
        text = decode(read_regular(path, limit=MOST_BYTES))
    except OSError as error:
        raise ConfigError(path, None, f"cannot be read as data.clips: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path}:{error}", None, "each line of data.clips names a clip") from error
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = line.strip().removeprefix("./")
        if not name or name.startswith("#"):
            continue
        if name in lines:
            raise ConfigError(f"{path}:{number}", None, f"{name} is listed twice, first on line {lines[name]}")
        lines[name] = number
    if not lines:
        raise ConfigError(path, None, "names no clip")
    return tuple(sorted(lines))


def names_sha256(names: Sequence[str]) -> str:
    """Identity of a choice of clips, wherever its list lies."""
    return hash_bytes("\n".join(sorted(names)).encode())


def choose_files(path: Path, found: Sequence[str], listing: Path) -> list[str]:
    """Those of a folder's files that a list names, sorted.

    Args:
        path: the folder.
        found: POSIX paths of the files inside it.
        listing: the list.

    Raises:
        ConfigError: the list cannot be read.
        CorpusError: it names clips that are not there.
    """
    matcher = Matcher(found)
    names = sorted({matcher.find(name) for name in read_clip_names(listing)})
    if missing := sorted(set(names) - set(found)):
        there = {file.casefold(): file for file in found}
        near = [f"{name} is {there[name.casefold()]} there" for name in missing if name.casefold() in there]
        if near:
            raise CorpusError(f"{path}: {near[0]}: upper and lower case count; see {listing}")
        raise CorpusError(
            f"{path}: lacks {len(missing)} of the {len(names)} clips that {listing} names: "
            f"{list_first(missing, _SHOWN)}; {_remedy(path, missing)}"
        )
    return names


def _remedy(path: Path, missing: Sequence[str]) -> str:
    offer = offer_with(missing)
    if offer is None:
        return "put them there, or let data.clips name another list"
    where = "" if path == offer.folder else f" --out {path}"
    return f"'motionsynth data download {offer.name}{where}' fetches them"
