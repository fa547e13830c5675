"""``motionsynth data download``: shows, asks, fetches, and does nothing where nothing is to do."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from motionsynth.corpus import offers
from motionsynth.corpus.offers import OFFERS, Offer, read_registry
from tests.cli.invocation import Invoke
from tests.corpus.mirror import Mirror, serving

CLIPS = {f"walk_{number}.bvh": f"clip {number}\n".encode() for number in range(3)}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    registry = tmp_path / "toy.sha256"
    registry.write_text("".join(f"{hashlib.sha256(c).hexdigest()}  in/{name}\n" for name, c in CLIPS.items()))
    monkeypatch.setattr(offers, "shipped_file", lambda inside: registry if inside.startswith("data/") else None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    offer = Offer("toy", "Toy", "https://toy", "CC BY", "https://by", "name us", "Us", 3, 99, 99, "http://127.0.0.1:9")
    monkeypatch.setitem(OFFERS, "toy", offer)
    read_registry.cache_clear()
    with serving() as found:
        found.files = {f"in/{name}": content for name, content in CLIPS.items()}
        yield found
    read_registry.cache_clear()


def test_without_a_terminal_the_licence_must_be_accepted_by_name(
    mirror: Mirror, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    done = invoke("data", "download", "toy", "--out", tmp_path / "toy", "--mirror", mirror.url)
    assert done.code == 2
    for shown in ("https://toy", "CC BY", "name us", "3 clips", "0 files there, 3 missing", "pass --accept-licence"):
        assert shown in done.err
    assert not mirror.asked and not (tmp_path / "toy").exists()


def test_a_corpus_is_fetched_once(mirror: Mirror, invoke: Invoke, tmp_path: Path) -> None:
    arguments = ["data", "download", "toy", "--out", tmp_path / "toy", "--mirror", mirror.url, "--accept-licence"]
    done = invoke(*arguments)
    assert (done.code, done.out) == (0, f"{tmp_path / 'toy'}\n")
    assert "all 3 clips are there and match their checksums" in done.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "toy").iterdir()} == CLIPS
    asked = mirror.asked.total()
    (tmp_path / "toy" / "mine.bvh").write_text("mine")
    again = invoke(*arguments[:-1])
    assert again.code == 0 and "nothing to do" in again.err and "1 other clips lie in" in again.err
    assert mirror.asked.total() == asked == 3


@pytest.mark.parametrize(("answer", "code", "asked"), [("y\n", 0, 3), ("n\n", 1, 0), ("\n", 1, 0)])
def test_at_a_terminal_it_asks(
    answer: str, code: int, asked: int, mirror: Mirror, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    done = invoke("data", "download", "toy", "--out", tmp_path / "toy", "--mirror", mirror.url)
    assert (done.code, mirror.asked.total()) == (code, asked)


def test_what_cannot_be_fetched_is_one_line(mirror: Mirror, invoke: Invoke, tmp_path: Path) -> None:
    mirror.fail("in/walk_1.bvh", "missing")
    done = invoke("data", "download", "toy", "--out", tmp_path / "toy", "--mirror", mirror.url, "--accept-licence")
    assert done.code == 1
    assert f"error: {mirror.url}/in/walk_1.bvh: answers 404 Not Found; the other files came" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["tyo"], "did you mean toy?"), (["toy", "--mirror", "ftp://x"], "http://"), (["toy", "--timeout", "0"], "0.1")],
)
def test_wrong_requests_are_refused(arguments: list[str], message: str, mirror: Mirror, invoke: Invoke) -> None:
    done = invoke("data", "download", *arguments)
    assert done.code == 2 and message in done.err
