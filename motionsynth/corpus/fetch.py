"""Corpora from where their makers put them: fetched by pooch, checked against ``data/registry``, put in place whole.

A folder is surveyed first, and only what it lacks is fetched. What does not match its checksum is moved aside, and
nothing gets its name before its bytes match. Many clips come as one archive, few one by one: so a download that was cut
short keeps what arrived whole, and the next one asks for the rest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from motionsynth.corpus.finding import find_files
from motionsynth.corpus.offers import Listed, Offer, read_registry
from motionsynth.corpus.transfer import Meter, RefusedError, Transfer, get_file
from motionsynth.corpus.unpack import MOST_CLIP_BYTES, ArchiveError, unpack_tar, unpack_zip
from motionsynth.errors import CorpusError, DownloadError
from motionsynth.files import replacing, sync_folder, write_bytes
from motionsynth.progress import Stage

__all__ = ["Survey", "Transfer", "fetch_missing", "survey_folder"]

"""Called with (what is done, how much of it, all of it)."""

_SINGLY: Final = 256
"""Up to as many clips are asked for one by one; more come faster as the archive of all."""
_MOST_ARCHIVE_BYTES: Final = 2 * 2**30
_MOST_REFUSED: Final = 20
_SUMS: Final = "SHA256SUMS"
"""Contents of a verified archive, for corpora whose registry knows the archive alone; ``sha256sum -c`` reads it."""
_ASIDE: Final = ".damaged"


@dataclass(frozen=True, slots=True)
class Survey:
    """Files of a corpus in a folder.

    Args:
        offer: the corpus.
        folder: the folder, which need not be there.
        good: clips that match their checksums.
        missing: what is listed and not there.
        damaged: files that do not match.
        strangers: clips that are not of the corpus, or of which nobody knows.
    """

    offer: Offer
    folder: Path
    good: tuple[str, ...]
    missing: tuple[Listed, ...]
    damaged: tuple[Listed, ...]
    strangers: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """True where nothing needs to be fetched."""
        return not self.missing and not self.damaged

    @property
    def wanted(self) -> tuple[Listed, ...]:
        """Files to be fetched."""
        return (*self.missing, *self.damaged)


def survey_folder(offer: Offer, folder: Path, progress: Stage | None = None) -> Survey:
    """Hash what lies in a folder, and compare.

    Raises:
        CorpusError: the package lacks the corpus' checksums.
        OSError: a file cannot be read.
    """
    listed = _held(offer, folder)
    good: list[str] = []
    missing: list[Listed] = []
    damaged: list[Listed] = []
    for number, file in enumerate(listed, 1):
        path = folder / file.name
        if not path.is_file():
            missing.append(file)
        elif _digest(path) == file.sha256:
            # of an archive that a person put there the clips are still to come
            missing.append(file) if file.name.endswith(".zip") else good.append(file.name)
        else:
            damaged.append(file)
        if progress:
            progress("check", number, len(listed))
    known = {file.name for file in listed}
    return Survey(offer, folder, tuple(good), tuple(missing), tuple(damaged), _strangers(folder, known))


def _strangers(folder: Path, known: set[str]) -> tuple[str, ...]:
    """Files that would be taken for clips of the corpus and are not."""
    try:
        return tuple(file for file in find_files(folder).files if file not in known)
    except CorpusError:  # there is none
        return ()


def fetch_missing(
    survey: Survey, *, mirror: str | None = None, how: Transfer | None = None, progress: Stage | None = None
) -> Survey:
    """Fetch what a folder lacks; returns how it stands then, which is complete.

    Args:
        survey: of the folder as it is.
        mirror: URL below which the same files lie instead: paths as in the registry, the archive under the name that
            a browser gives it.
        how: patience; the usual where None.
        progress: called as things go.

    Raises:
        DownloadError: something could not be fetched; what arrived is kept, and the next call asks for the rest.
        OSError: the folder cannot be written.
    """
    if survey.complete:
        return survey
    folder = survey.folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in survey.damaged:
        (folder / file.name).replace(folder / (file.name + _ASIDE))
    source = _Source(
        survey.offer, (mirror or survey.offer.base_url).rstrip("/"), mirror is not None, how or Transfer(), progress
    )
    if _archived(survey.offer):
        source.fetch_zip(folder)
    else:
        source.fetch_clips(survey.wanted, folder)
    sync_folder(folder)
    for file in survey.damaged:
        (folder / (file.name + _ASIDE)).unlink(missing_ok=True)
    return survey_folder(survey.offer, folder, progress)


def _archived(offer: Offer) -> bool:
    """True where the registry lists an archive and not the clips."""
    return read_registry(offer.name)[0].path.endswith(".zip")


def _held(offer: Offer, folder: Path) -> Sequence[Listed]:
    """Files to expect in the folder: the clips, or the archive where it is not known yet which clips it holds."""
    listed = read_registry(offer.name)
    sums = folder / _SUMS
    if not _archived(offer) or not sums.is_file():
        return listed
    lines = [line.partition("  ") for line in sums.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not lines or any(not name or Path(name).name != name for _, _, name in lines):
        return listed
    return [Listed(name, digest) for digest, _, name in lines]


@dataclass(frozen=True)
class _Source:
    """Source that a corpus is fetched from."""

    offer: Offer
    base_url: str
    mirrored: bool
    how: Transfer
    progress: Stage | None

    def fetch_zip(self, folder: Path) -> None:
        """The one archive that the registry lists, and the clips in it."""
        listed = read_registry(self.offer.name)[0]
        url = f"{self.base_url}/{listed.path}"
        own = folder / listed.name  # one that a person put there
        with tempfile.TemporaryFile(dir=folder) as archive:
            if own.is_file() and _digest(own) == listed.sha256:
                archive.write(own.read_bytes())
            else:
                get_file(
                    url,
                    archive,
                    self.how,
                    most_bytes=self.offer.transfer_bytes,
                    sha256=listed.sha256,
                    meter=self._meter(),
                )
            try:
                sums = unpack_zip(archive, folder, partial(self._show, "unpack"))
            except ArchiveError as error:
                raise DownloadError(url, str(error)) from error
        sync_folder(folder)
        text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
        write_bytes(folder / _SUMS, text.encode())

    def fetch_clips(self, wanted: Sequence[Listed], folder: Path) -> None:
        """Clips that the registry lists: many by the archive, few or the rest of them one by one."""
        left = {file.name: file for file in wanted}
        if self.offer.tarball and len(left) > _SINGLY:
            for name in self._by_archive({file.path: file.sha256 for file in wanted}, folder):
                del left[name]
        refused: list[RefusedError] = []
        for number, file in enumerate(left.values(), 1):
            try:
                self._one(file, folder)
            except RefusedError as error:
                refused.append(error)
                if len(refused) == _MOST_REFUSED:
                    break  # the source is not what it should be: no use in asking for thousands
            except DownloadError as error:
                kept = f"{len(wanted) - len(left) + number - 1 - len(refused)} of {len(wanted)}"
                raise DownloadError(error.url, f"{error.reason}; {kept} files came and are kept") from error
            self._show("fetch", number, len(left))
        if refused:
            first, more = refused[0], f" (and {len(refused) - 1} more files)" if len(refused) > 1 else ""
            raise DownloadError(first.url, f"{first.reason}{more}; the other files came and are kept")

    def _by_archive(self, wanted: Mapping[str, str], folder: Path) -> frozenset[str]:
        """Names of the clips that the archive of all brought; none where a mirror has no archive."""
        assert self.offer.tarball
        url = f"{self.base_url}/{self.offer.tarball_name}" if self.mirrored else self.offer.tarball
        failure: DownloadError | None = None
        with tempfile.TemporaryFile(dir=folder) as archive:  # it has no name, so nothing is left of it after a crash
            try:
                get_file(url, archive, self.how, most_bytes=_MOST_ARCHIVE_BYTES, meter=self._meter())
            except RefusedError:
                return frozenset()
            except DownloadError as error:
                failure = error
            try:
                unpacked = unpack_tar(archive, wanted, folder, lambda done: self._show("unpack", done, len(wanted)))
            except ArchiveError as error:
                raise DownloadError(url, str(error)) from error
        if failure or unpacked.broken:
            reason = failure.reason if failure else f"is no whole archive: {unpacked.broken}"
            raise DownloadError(url, f"{reason}; {len(unpacked.names)} of {len(wanted)} files came whole and are kept")
        return unpacked.names

    def _one(self, file: Listed, folder: Path) -> None:
        with replacing(folder / file.name) as target:
            get_file(f"{self.base_url}/{file.path}", target, self.how, most_bytes=MOST_CLIP_BYTES, sha256=file.sha256)

    def _meter(self) -> Meter | None:
        if self.progress is None:
            return None
        return Meter(self._show_bytes, self.offer.transfer_bytes)

    def _show_bytes(self, done: int, total: int) -> None:
        whole = max(1, round(total / 1e6))
        self._show("download, MB", whole if done == total else min(done // 10**6, whole - 1), whole)

    def _show(self, what: str, done: int, total: int) -> None:
        if self.progress:
            self.progress(what, done, total)


def _digest(path: Path) -> str:
    import pooch

    return str(pooch.file_hash(str(path), alg="sha256"))
