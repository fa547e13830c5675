"""Corpora that anyone can get: where from, under which licence, and the checksums of their files.

``data/registry/NAME.sha256`` lists every file as ``sha256sum`` does, by its path below the source: the clips
themselves, or the one archive that holds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from motionsynth.errors import CorpusError, unknown_word
from motionsynth.provenance import shipped_file

__all__ = ["BY_HAND", "OFFERS", "Listed", "Offer", "offer_named", "offer_with", "read_registry"]

_BANDAI: Final = "BandaiNamcoResearchInc/Bandai-Namco-Research-Motiondataset"
_COMMIT: Final = "74ead3ba1ae4696404e6086233779f60de8bf9ef"
_BANDAI_CITE: Final = (
    "Kobayashi, Liao, Inoue, Yojima, Takahashi: Motion Capture Dataset for Practical Use of AI-based Motion Editing "
    "and Stylization, 2023, arXiv:2306.08861"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """One corpus and where it comes from.

    Args:
        name: as commands name it.
        title: as its makers name it.
        source: the page of its makers.
        licence: its short name.
        licence_url: its text.
        terms: what it asks, in a few words.
        cite: the publication to cite.
        clips: how many there are.
        disk_bytes: what they take, about.
        transfer_bytes: what is fetched for all of them, about.
        base_url: below it files have the paths that the registry lists.
        tarball: archive of all files, packed anew for whoever asks: its own checksum is not stable, those inside are.
        tarball_name: what the archive is called on a mirror.
    """

    name: str
    title: str
    source: str
    licence: str
    licence_url: str
    terms: str
    cite: str
    clips: int
    disk_bytes: int
    transfer_bytes: int
    base_url: str
    tarball: str | None = None
    tarball_name: str = ""

    @property
    def folder(self) -> Path:
        """Default folder of its clips, where ``configs/data`` looks for them."""
        return Path("data") / self.name


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a registry: a file's path below the source, and what its bytes must hash to."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name in the corpus' folder, which is flat."""
        return PurePosixPath(self.path).name


def _bandai(number: int, **sizes: int) -> Offer:
    return Offer(
        name=f"bandai-namco-{number}",
        title=f"Bandai-Namco-Research-Motiondataset-{number}",
        source=f"https://github.com/{_BANDAI}",
        licence="CC BY-NC 4.0",
        licence_url="https://creativecommons.org/licenses/by-nc/4.0/",
        terms="name the makers; no commercial use",
        cite=_BANDAI_CITE,
        base_url=f"https://raw.githubusercontent.com/{_BANDAI}/{_COMMIT}",
        tarball=f"https://codeload.github.com/{_BANDAI}/tar.gz/{_COMMIT}",
        tarball_name=f"{_BANDAI.rpartition('/')[2]}-{_COMMIT}.tar.gz",
        **sizes,
    )


OFFERS: Final = {
    offer.name: offer
    for offer in (
        _bandai(1, clips=174, disk_bytes=58_000_000, transfer_bytes=58_000_000),
        _bandai(2, clips=2902, disk_bytes=610_000_000, transfer_bytes=200_000_000),
        Offer(
            name="lafan1",
            title="Ubisoft La Forge Animation Dataset (LaFAN1)",
            source="https://github.com/ubisoft/ubisoft-laforge-animation-dataset",
            licence="CC BY-NC-ND 4.0",
            licence_url="https://creativecommons.org/licenses/by-nc-nd/4.0/",
            terms="name the makers; no commercial use; pass on nothing that is derived from it",
            cite="Harvey, Yurick, Nowrouzezahrai, Pal: Robust Motion In-betweening, ACM Trans. Graphics 39 (4), 2020",
            clips=77,
            disk_bytes=340_000_000,
            transfer_bytes=144_051_503,
            # the branch may move on: the checksum says whether it is still the file that is meant
            base_url="https://media.githubusercontent.com/media/ubisoft/ubisoft-laforge-animation-dataset/master",
        ),
    )
}


BY_HAND: Final = {
    "cmu": "http://mocap.cs.cmu.edu",
    "hdm05": "https://resources.mpi-inf.mpg.de/HDM05/",
    "ui-prmd": "https://webpages.uidaho.edu/ui-prmd/",
}
"""Corpora whose files nobody has listed with checksums, or that need more than unpacking: where their makers are."""


def offer_named(name: str) -> Offer:
    """The corpus of that name.

    Raises:
        CorpusError: there is none, or it is fetched by hand; names those that there are.
    """
    if name in BY_HAND:
        raise CorpusError(f"{name} is fetched by hand, from {BY_HAND[name]}; data/README.md says what is then to do")
    if name not in OFFERS:
        raise CorpusError(unknown_word(f"corpus {name!r}", name, OFFERS))
    return OFFERS[name]


def offer_with(names: Iterable[str]) -> Offer | None:
    """The corpus that clips of these names are of, if one has them all."""
    wanted = set(names)
    return next((o for o in OFFERS.values() if wanted <= {listed.name for listed in read_registry(o.name)}), None)


@lru_cache
def read_registry(name: str) -> tuple[Listed, ...]:
    """The files of a corpus with their checksums.

    Raises:
        CorpusError: the package lacks the list.
    """
    path = shipped_file(f"data/registry/{name}.sha256")
    if path is None:
        raise CorpusError(f"data/registry/{name}.sha256 is missing: the package is not whole, install it again")
    lines = path.read_text(encoding="ascii").splitlines()
    return tuple(Listed(file, digest) for digest, _, file in (line.partition("  ") for line in lines))
