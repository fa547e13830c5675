"""Downloads from a server that truncates, corrupts, denies and hangs, and archives that want out of their folder."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from motionsynth.config import baseline, load_config
from motionsynth.corpus import fetch, offers, unpack
from motionsynth.corpus.fetch import Survey, fetch_missing, survey_folder
from motionsynth.corpus.labels import read_labels
from motionsynth.corpus.offers import OFFERS, Offer, offer_named, offer_with, read_registry
from motionsynth.corpus.selection import choose_files, read_clip_names
from motionsynth.corpus.split import SPLITS, Take, split_takes
from motionsynth.corpus.transfer import Transfer
from motionsynth.corpus.unpack import ArchiveError, unpack_tar, unpack_zip
from motionsynth.errors import CorpusError, DownloadError
from motionsynth.provenance import shipped_file
from motionsynth.study.runner import how_to_get
from tests.corpus.mirror import Fault, Mirror, serving

INSIDE = "dataset/data"
CLIPS = {f"walk_{number}.bvh": f"clip {number}\n".encode() * 50 for number in range(5)}
PATHS = [f"{INSIDE}/{name}" for name in CLIPS]
TARBALL = "motion-0123.tar.gz"
DATA = Path(__file__).parents[2] / "data"
QUICK = Transfer(timeout_s=0.25, attempts=2, pause_s=0.0)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tar_of(members: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    """As the host of a repository packs one: everything in a folder, a global header first."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "0123"}) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            change(info)
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return packed.getvalue()


def zip_of(members: dict[str, bytes], mode: int = 0o100644) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return packed.getvalue()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as found:
        yield found


@pytest.fixture
def offer_of(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Offer]]:
    """An offer of these files (path -> content), which the mirror serves."""

    def make(files: dict[str, bytes], tarball: bool = False) -> Offer:
        registry = tmp_path / "registry.sha256"
        registry.write_text("".join(f"{sha256(content)}  {path}\n" for path, content in files.items()))
        monkeypatch.setattr(offers, "shipped_file", lambda inside: registry if inside.startswith("data/") else None)
        mirror.files |= files
        offer = Offer(
            name="toy",
            title="Toy motion",
            source="https://example.org/toy",
            licence="CC BY 4.0",
            licence_url="https://example.org/licence",
            terms="name the makers",
            cite="Nobody, 2020",
            clips=len(files),
            disk_bytes=1000,
            transfer_bytes=max(map(len, files.values())),
            base_url=mirror.url,
            tarball=f"{mirror.url}/{TARBALL}" if tarball else None,
            tarball_name=TARBALL,
        )
        monkeypatch.setitem(OFFERS, "toy", offer)
        return offer

    read_registry.cache_clear()
    yield make
    read_registry.cache_clear()


@pytest.fixture
def singly(offer_of: Callable[..., Offer]) -> Offer:
    return offer_of({f"{INSIDE}/{name}": content for name, content in CLIPS.items()})


@pytest.fixture
def packed(offer_of: Callable[..., Offer], mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Offer:
    monkeypatch.setattr(fetch, "_SINGLY", 2)
    mirror.files[TARBALL] = tar_of(repository())
    return offer_of({f"{INSIDE}/{name}": content for name, content in CLIPS.items()}, tarball=True)


def repository(**changed: bytes) -> dict[str, bytes]:
    clips = {f"motion-0123/{INSIDE}/{name}": changed.get(name[:-4], content) for name, content in CLIPS.items()}
    return {"motion-0123/README.md": b"read me", **clips, "motion-0123/other/walk_0.bvh": b"another"}


def get(offer: Offer, folder: Path, mirror: str | None = None) -> Survey:
    return fetch_missing(survey_folder(offer, folder), mirror=mirror, how=QUICK)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_clips_are_fetched_once(singly: Offer, mirror: Mirror, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "toy"
    before = survey_folder(singly, folder)
    assert not before.complete and [file.path for file in before.missing] == PATHS
    assert get(singly, folder).complete
    assert contents(folder) == CLIPS
    assert stat.S_IMODE((folder / "walk_0.bvh").stat().st_mode) == 0o666 & ~umask()
    assert mirror.asked == dict.fromkeys(PATHS, 1)
    again = get(singly, folder)
    assert again.complete and set(again.good) == set(CLIPS)
    assert mirror.asked.total() == len(CLIPS)


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_only_what_is_missing_or_damaged_is_fetched_again(singly: Offer, mirror: Mirror, tmp_path: Path) -> None:
    get(singly, tmp_path / "toy")
    mirror.asked.clear()
    (tmp_path / "toy" / "walk_1.bvh").unlink()
    (tmp_path / "toy" / "walk_3.bvh").write_bytes(b"changed")
    (tmp_path / "toy" / "mine.bvh").write_bytes(b"mine")
    state = survey_folder(singly, tmp_path / "toy")
    assert [[f.name for f in state.missing], [f.name for f in state.damaged]] == [["walk_1.bvh"], ["walk_3.bvh"]]
    assert fetch_missing(state, how=QUICK).strangers == ("mine.bvh",)
    assert mirror.asked == {PATHS[1]: 1, PATHS[3]: 1}
    assert contents(tmp_path / "toy") == CLIPS | {"mine.bvh": b"mine"}


@pytest.mark.parametrize(
    ("fault", "message", "attempts"),
    [
        ("missing", "answers 404", 1),
        ("truncate", "ends before all has come, 2 times", 2),
        ("corrupt", "is not the file that its checksum promises, 2 times", 2),
        ("hang", "is silent for 0.25 s, 2 times", 2),
        ("stall", "is silent for 0.25 s, 2 times", 2),
        ("busy", "answers 503", 2),
    ],
)
def test_nothing_wrong_keeps_its_name(
    fault: Fault, message: str, attempts: int, singly: Offer, mirror: Mirror, tmp_path: Path
) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "walk_4.bvh").write_bytes(b"damaged")
    mirror.fail(PATHS[4], fault)
    with pytest.raises(DownloadError, match=re.escape(f"{mirror.url}/{PATHS[4]}: {message}")) as caught:
        get(singly, folder)
    assert "came and are kept" in str(caught.value)
    assert mirror.asked[PATHS[4]] == attempts
    good = {name: content for name, content in CLIPS.items() if name != "walk_4.bvh"}
    assert contents(folder) == good | {"walk_4.bvh.damaged": b"damaged"}
    mirror.faults.clear()
    mirror.asked.clear()
    assert get(singly, folder).complete
    assert mirror.asked == {PATHS[4]: 1}


def test_a_file_that_is_refused_does_not_stop_the_others(singly: Offer, mirror: Mirror, tmp_path: Path) -> None:
    mirror.fail(PATHS[0], "missing")
    mirror.fail(PATHS[2], "corrupt")
    with pytest.raises(DownloadError, match=r"404 Not Found \(and 1 more files\)"):
        get(singly, tmp_path / "toy")
    assert sorted(contents(tmp_path / "toy")) == ["walk_1.bvh", "walk_3.bvh", "walk_4.bvh"]


def test_a_source_without_the_files_is_not_asked_for_all_of_them(
    singly: Offer, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_MOST_REFUSED", 3)
    mirror.files.clear()
    with pytest.raises(DownloadError, match=r"404 Not Found \(and 2 more files\)"):
        get(singly, tmp_path / "toy")
    assert mirror.asked.total() == 3


def test_progress_ends_once_where_it_should(packed: Offer, mirror: Mirror, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    survey = survey_folder(packed, tmp_path / "toy", lambda *news: told.append(news))
    fetch_missing(survey, how=QUICK, progress=lambda *news: told.append(news))
    assert [news for news in told if news[0] == "download, MB"][-1] == ("download, MB", 1, 1)
    assert sum(news == ("download, MB", 1, 1) for news in told) == 1
    assert [news for news in told if news[0] == "unpack"] == [("unpack", n, 5) for n in range(1, 6)]
    assert told[4] == told[-1] == ("check", 5, 5)


def test_a_server_that_recovers_is_asked_again(singly: Offer, mirror: Mirror, tmp_path: Path) -> None:
    for path, fault in zip(PATHS, ("busy", "truncate", "corrupt", "hang"), strict=False):
        mirror.fail(path, fault, times=1)  # type: ignore[arg-type]
    assert get(singly, tmp_path / "toy").complete


def test_no_more_is_taken_than_a_file_can_be(
    singly: Offer, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MOST_CLIP_BYTES", 2**20)
    mirror.fail(PATHS[0], "endless")
    with pytest.raises(DownloadError, match="sends more than this file can be"):
        get(singly, tmp_path / "toy")
    assert not contents(tmp_path / "toy")


def test_a_server_that_is_not_there_is_told(singly: Offer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot be reached: Connection refused, 2 times; 0 of 5 files came"):
        get(singly, tmp_path / "toy", mirror="http://127.0.0.1:9")


def test_many_clips_come_as_one_archive(packed: Offer, mirror: Mirror, tmp_path: Path) -> None:
    assert get(packed, tmp_path / "toy").complete
    assert contents(tmp_path / "toy") == CLIPS
    assert mirror.asked == {TARBALL: 1}


def test_a_mirror_may_lack_the_archive(packed: Offer, mirror: Mirror, tmp_path: Path) -> None:
    del mirror.files[TARBALL]
    assert get(packed, tmp_path / "toy", mirror=f"{mirror.url}/").complete
    assert mirror.asked == {TARBALL: 1} | dict.fromkeys(PATHS, 1)


def test_what_an_archive_has_wrong_is_fetched_by_itself(packed: Offer, mirror: Mirror, tmp_path: Path) -> None:
    mirror.files[TARBALL] = tar_of(repository(walk_2=b"changed"))
    assert get(packed, tmp_path / "toy").complete
    assert mirror.asked == {TARBALL: 1, PATHS[2]: 1}


@pytest.mark.parametrize("fault", ["truncate", "stall"])
def test_an_archive_that_breaks_off_leaves_what_came_whole(
    fault: Fault, packed: Offer, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = {name: os.urandom(300_000) for name in CLIPS}
    wanted = "".join(f"{sha256(content)}  {INSIDE}/{name}\n" for name, content in noise.items())
    (tmp_path / "registry.sha256").write_text(wanted)
    mirror.files[TARBALL] = tar_of(repository(**{name[:-4]: content for name, content in noise.items()}))
    mirror.files |= {f"{INSIDE}/{name}": content for name, content in noise.items()}
    mirror.fail(TARBALL, fault)
    with pytest.raises(DownloadError, match=r"2 times; 2 of 5 files came whole and are kept"):
        get(packed, tmp_path / "toy")
    assert contents(tmp_path / "toy") == {name: noise[name] for name in ("walk_0.bvh", "walk_1.bvh")}
    monkeypatch.setattr(fetch, "_SINGLY", 3)
    assert get(packed, tmp_path / "toy").complete
    assert mirror.asked == {TARBALL: 2} | dict.fromkeys(PATHS[2:], 1)


def test_a_page_instead_of_an_archive_is_told(packed: Offer, mirror: Mirror, tmp_path: Path) -> None:
    mirror.files[TARBALL] = b"<html>please log in</html>" * 99
    with pytest.raises(DownloadError, match=r"is no whole archive: Not a gzipped file .*; 0 of 5 files came whole"):
        get(packed, tmp_path / "toy")


@pytest.mark.parametrize("name", ["motion-0123/../../evil.bvh", "/tmp/evil.bvh", "..\\evil.bvh", "C:\\evil.bvh"])
def test_an_archive_that_wants_out_is_refused(name: str, packed: Offer, mirror: Mirror, tmp_path: Path) -> None:
    mirror.files[TARBALL] = tar_of({name: b"evil"} | repository())
    with pytest.raises(DownloadError, match="leads out of the folder: nothing of it is used"):
        get(packed, tmp_path / "a" / "b" / "toy")
    assert not contents(tmp_path / "a" / "b" / "toy")
    assert not list(tmp_path.rglob("*evil*"))
    with pytest.raises(ArchiveError, match="leads out of the folder"):
        unpack_zip(io.BytesIO(zip_of({"walk.bvh": b"walk", name: b"evil"})), tmp_path / "a")
    assert not list(tmp_path.rglob("*evil*")) and not (tmp_path / "a" / "walk.bvh").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_clip_that_is_a_link_is_refused(kind: bytes, tmp_path: Path) -> None:
    def link(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    with pytest.raises(ArchiveError, match=r"walk\.bvh in it is no plain file"):
        unpack_tar(io.BytesIO(tar_of({"top/walk.bvh": b""}, link)), {"walk.bvh": sha256(b"")}, tmp_path)
    with pytest.raises(ArchiveError, match=r"walk\.bvh in it is a link"):
        unpack_zip(io.BytesIO(zip_of({"walk.bvh": b"/etc/passwd"}, stat.S_IFLNK | 0o777)), tmp_path)
    assert not contents(tmp_path)


def test_archives_that_swell_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"top/walk.bvh": b"walk", "top/zeros.bin": bytes(10**6)}
    wanted = {"walk.bvh": sha256(b"walk")}
    packed_tar, packed_zip = tar_of(members), zip_of(members)
    assert unpack_tar(io.BytesIO(packed_tar), wanted, tmp_path).names == {"walk.bvh"}
    assert unpack_zip(io.BytesIO(packed_zip), tmp_path) == wanted
    monkeypatch.setattr(unpack, "_MOST_BYTES", 10**5)
    with pytest.raises(ArchiveError, match="more than a corpus can be"):
        unpack_tar(io.BytesIO(packed_tar), wanted, tmp_path)
    with pytest.raises(ArchiveError, match="more than a corpus can be"):
        unpack_zip(io.BytesIO(packed_zip), tmp_path)
    swollen = tar_of({"top/walk.bvh": b"walk"}, lambda info: info.pax_headers.update(comment="x" * 10**6))
    with pytest.raises(ArchiveError, match="more than a corpus can be"):
        unpack_tar(io.BytesIO(swollen), wanted, tmp_path)
    monkeypatch.setattr(unpack, "MOST_CLIP_BYTES", 3)
    assert unpack_tar(io.BytesIO(tar_of({"top/walk.bvh": b"walk"})), wanted, tmp_path).names == set()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "cannot be unpacked"),
        (zip_of({"a/walk.bvh": b"1", "b/walk.bvh": b"2"}), "holds walk.bvh twice"),
        (zip_of({"read.me": b"1", "__MACOSX/._walk.bvh": b"2"}), "holds no BVH file"),
    ],
)
def test_zips_that_are_no_corpus_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=message):
        unpack_zip(io.BytesIO(content), tmp_path)
    assert not contents(tmp_path)


@pytest.fixture
def zipped(offer_of: Callable[..., Offer]) -> Offer:
    members = {"._walk_0.bvh": b"x", "readme.txt": b"read me", **{f"in/{n}": c for n, c in CLIPS.items()}}
    return offer_of({"lafan1/motion.zip": zip_of(members)})


def test_a_zip_is_unpacked_and_its_clips_remembered(zipped: Offer, mirror: Mirror, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    assert get(zipped, folder).complete
    sums = "".join(f"{sha256(content)}  {name}\n" for name, content in CLIPS.items()).encode()
    assert contents(folder) == {"SHA256SUMS": sums, **CLIPS}
    assert get(zipped, folder).good == tuple(CLIPS)
    assert mirror.asked.total() == 1
    (folder / "walk_2.bvh").write_bytes(b"changed")
    assert [file.name for file in survey_folder(zipped, folder).damaged] == ["walk_2.bvh"]
    assert get(zipped, folder).complete
    assert contents(folder) == {"SHA256SUMS": sums, **CLIPS}


@pytest.mark.parametrize("fault", ["truncate", "corrupt", "hang", "missing", "endless"])
def test_a_zip_that_does_not_come_leaves_nothing(fault: Fault, zipped: Offer, mirror: Mirror, tmp_path: Path) -> None:
    mirror.fail("lafan1/motion.zip", fault)
    with pytest.raises(DownloadError, match=re.escape(f"{mirror.url}/lafan1/motion.zip: ")):
        get(zipped, tmp_path / "toy")
    assert not contents(tmp_path / "toy")


def test_a_zip_that_a_person_put_there_is_taken(zipped: Offer, mirror: Mirror, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "motion.zip").write_bytes(mirror.files["lafan1/motion.zip"])
    assert not survey_folder(zipped, folder).complete
    assert get(zipped, folder).complete
    assert set(contents(folder)) == {"SHA256SUMS", "motion.zip", *CLIPS}
    assert not mirror.asked


def test_registries_list_what_is_offered() -> None:
    for offer in OFFERS.values():
        registry = read_registry(offer.name)
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in registry)
        assert len({file.name for file in registry}) == len(registry) == (1 if offer.name == "lafan1" else offer.clips)
        section = shipped_file(f"configs/data/{offer.name}.yaml")
        assert section is not None and f"path: {offer.folder}\n" in section.read_text()
    with pytest.raises(CorpusError, match="unknown corpus 'lafan', did you mean lafan1"):
        offer_named("lafan")


@pytest.mark.parametrize("name", offers.BY_HAND)
def test_a_corpus_that_is_fetched_by_hand_says_where(name: str) -> None:
    assert name not in OFFERS and f"| `{name}` |" in (DATA / "README.md").read_text()
    with pytest.raises(CorpusError, match=f"{name} is fetched by hand, from http.*; data/README.md"):
        offer_named(name)


@pytest.mark.parametrize(("name", "classes"), [("bandai-namco-1", (16, 15)), ("bandai-namco-2", (10, 7))])
def test_labels_are_read_from_the_names_of_a_corpus_and_leave_something_to_hold_out(
    name: str, classes: tuple[int, int]
) -> None:
    files = [file.name for file in read_registry(name)]
    config = load_config(baseline("vae"), data=shipped_file(f"configs/data/{name}.yaml")).data
    labels = read_labels(Path(), files, config.labels, config.pattern)
    assert not labels.faults and len(labels.clips) == len(files)
    found = [{clip.classes[label] for clip in labels.clips.values()} for label in labels.names]
    assert sorted(map(len, found)) == sorted(classes)
    split = split_takes([Take(file, labels.cell(file), labels.clips[file].take) for file in files], config.split)
    shares = {there: len(split.files(there)) / len(files) for there in SPLITS}
    assert shares["train"] > 0.6 and shares["validation"] > 0.08 and shares["test"] > 0.08


def test_a_study_says_which_command_fetches_what_is_offered() -> None:
    for name in OFFERS:
        assert f"`motionsynth data download {name}` fetches it" in how_to_get(name, Path("x"))
    assert "data download bandai-namco-2`" in how_to_get("bandai-namco-2-840", Path("x"))
    assert "download" not in how_to_get("mine", Path("x"))


def test_labels_of_lafan1_are_theme_take_and_subject() -> None:
    config = load_config(baseline("vae"), data=shipped_file("configs/data/lafan1.yaml")).data
    files = ["aiming1_subject1.bvh", "fallAndGetUp2_subject3.bvh", "walk10_subject5.bvh"]
    labels = read_labels(Path(), files, config.labels, config.pattern)
    assert labels.names == ("content", "subject") and labels.cell_names == ("content",)
    assert labels.clips[files[1]].classes == {"content": "fallAndGetUp", "subject": "subject3"}
    assert [labels.clips[file].take for file in files] == ["1", "2", "10"]


def test_registries_are_those_of_the_corpus(shared_mocap: Path) -> None:
    lines = (shared_mocap / "bandai-namco.sha256").read_text().splitlines()
    ours = [f"{f.sha256}  {f.path}" for number in (1, 2) for f in read_registry(f"bandai-namco-{number}")]
    assert ours == lines


def test_clips_of_a_list_that_are_missing_come_with_a_remedy(tmp_path: Path) -> None:
    section = shipped_file("configs/data/bandai-namco-2-840.yaml")
    assert section is not None
    listing = section.with_suffix(".txt")
    names = read_clip_names(listing)
    found = offer_with(names)
    assert found is not None and found.name == "bandai-namco-2"
    with pytest.raises(CorpusError) as caught:
        choose_files(tmp_path, names[1:], listing)
    assert f"names: {names[0]}; 'motionsynth data download bandai-namco-2 --out {tmp_path}'" in str(caught.value)
