"""One file over HTTP: with a bound in time and size, tried again where that may help, and checked.

Pooch's downloader moves the bytes. Its cache is not used: files of it are readable by their owner alone and are not
synced, and of an archive that breaks off nothing would be left.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import IO, Final

from motionsynth.errors import DownloadError
from motionsynth.progress import Progress

__all__ = ["Meter", "RefusedError", "Transfer", "get_file"]

_CHUNK: Final = 2**16
_AGAIN: Final = frozenset({408, 425, 429})
"""Answers of a server that may be another one a moment later, as may all from 500 on."""


class RefusedError(DownloadError):
    """The server is there and has no such file, or not this one."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Patience of a download.

    Args:
        timeout_s: seconds of silence, at the start or in between, after which a connection counts as dead.
        attempts: at each file.
        pause_s: seconds before the second attempt; each further one waits twice as long.
    """

    timeout_s: float = 30.0
    attempts: int = 3
    pause_s: float = 1.0


class Meter:
    """Progress bar as pooch takes one.

    Args:
        show: called with (bytes that have come, bytes in all).
        expected: bytes in all, about, for a server that gives no length.
    """

    def __init__(self, show: Progress, expected: int) -> None:
        self._show, self._expected = show, expected
        self.total = 0
        self._done = 0

    def update(self, count: int) -> None:
        """So many bytes more have come."""
        self._done += count
        total = max(self.total or self._expected, 1)
        self._show(min(self._done, total - 1), total)  # pooch says itself when all has come

    def reset(self) -> None:
        """Begin again."""
        self._done = 0

    def close(self) -> None:
        """All has come."""
        total = max(self.total, self._done, 1)
        self._show(total, total)


class _Sink:
    """A file that hashes what is written, and takes no more than it can be."""

    def __init__(self, file: IO[bytes], url: str, most_bytes: int) -> None:
        self._file, self._url, self._left = file, url, most_bytes
        self.digest = hashlib.sha256()

    def write(self, chunk: bytes) -> int:
        self._left -= len(chunk)
        if self._left < 0:
            raise DownloadError(self._url, "sends more than this file can be")
        self.digest.update(chunk)
        return self._file.write(chunk)

    def flush(self) -> None:
        """Once at the end is enough."""


def get_file(
    url: str,
    file: IO[bytes],
    how: Transfer,
    *,
    most_bytes: int,
    sha256: str | None = None,
    meter: Meter | None = None,
) -> None:
    """Fetch one file, trying again where that may help; ``file`` then holds it, or as much as came at last.

    Args:
        url: of the file.
        file: to write to; what it holds is replaced.
        how: patience.
        most_bytes: no more is taken.
        sha256: what it must hash to; None where nobody knows.
        meter: called as bytes come.

    Raises:
        RefusedError: the server has no such file, or sends another one.
        DownloadError: it cannot be reached, breaks off, falls silent, or sends too much.
    """
    for attempt in range(1, how.attempts + 1):
        file.seek(0)
        file.truncate()
        try:
            _try(url, file, how, most_bytes, sha256, meter)
        except _PassingError as error:
            if attempt == how.attempts:
                kind = RefusedError if error.reached else DownloadError
                raise kind(url, f"{error}, {attempt} times" if attempt > 1 else str(error)) from error
            time.sleep(how.pause_s * 2 ** (attempt - 1))
        else:
            return


def _try(url: str, file: IO[bytes], how: Transfer, most_bytes: int, sha256: str | None, meter: Meter | None) -> None:
    import pooch
    import requests

    answers: list[requests.Response] = []  # pooch leaves a connection open where it does not read to the end
    download = pooch.HTTPDownloader(
        progressbar=meter or False,
        chunk_size=_CHUNK,
        timeout=how.timeout_s,
        hooks={"response": lambda answer, **_: answers.append(answer)},
    )
    sink = _Sink(file, url, most_bytes)
    if meter:
        meter.reset()
    try:
        download(url, sink, None)
    except requests.HTTPError as error:
        status, reason = (error.response.status_code, error.response.reason) if error.response is not None else (0, "")
        refusal = f"answers {status} {reason}".rstrip()
        if status in _AGAIN or not 0 < status < 500:
            raise _PassingError(refusal) from error
        raise RefusedError(url, refusal) from error
    except requests.Timeout as error:
        raise _PassingError(f"is silent for {how.timeout_s:g} s") from error
    except requests.RequestException as error:
        raise _PassingError(_plain(error, how.timeout_s)) from error
    finally:
        for answer in answers:
            answer.close()
    file.flush()
    if sha256 not in (None, sink.digest.hexdigest()):
        raise _PassingError("is not the file that its checksum promises", reached=True)


class _PassingError(Exception):
    """Failure that another attempt may not meet again; ``reached``: a whole file came."""

    def __init__(self, reason: str, *, reached: bool = False) -> None:
        super().__init__(reason)
        self.reached = reached


def _plain(error: Exception, timeout_s: float) -> str:
    """Reason of a failure, without the nesting of three libraries."""
    text = str(error)
    if "timed out" in text:
        return f"is silent for {timeout_s:g} s"
    if "IncompleteRead" in text or "InvalidChunkLength" in text:
        return "ends before all has come"
    for words in ("Connection refused", "Name or service not known", "Temporary failure in name resolution"):
        if words in text:
            return f"cannot be reached: {words}"
    return f"cannot be fetched: {type(error).__name__}: {text[:200]}"
