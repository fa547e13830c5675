"""A corpus by the names of its clips: the same from a folder of these as from a folder of more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from motionsynth.config import RunConfig, config_hash, dump_config, load_config
from motionsynth.corpus.finding import find_files
from motionsynth.corpus.selection import choose_files, names_sha256, read_clip_names
from motionsynth.errors import ConfigError, CorpusError
from motionsynth.families.vae import VAE
from tests.corpus.folders import cell_names, open_folder, write_clips

CONFIGS = Path(__file__).parents[2] / "configs"
WANTED = cell_names(9)


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "all", [*WANTED, *cell_names(4, ["jump_mad"])])


@pytest.fixture
def few(everything: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "few"
    folder.mkdir()
    for name in WANTED:
        shutil.copy(everything / name, folder)
    return folder


def listing(path: Path, names: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# chosen\n\n" + "".join(f"{name}\n" for name in names))
    return path


def test_a_larger_folder_opens_as_the_very_same_corpus(everything: Path, few: Path, tmp_path: Path) -> None:
    chosen = listing(tmp_path / "chosen.txt", WANTED[::-1])
    small = open_folder(few, tmp_path / "cache")
    large = open_folder(everything, tmp_path / "cache", clips=chosen)
    assert large.fingerprint == small.fingerprint
    assert large.splits == small.splits
    assert large.label_names == small.label_names
    of_large, of_small = (corpus.windows("train").as_batch().motion_BTD for corpus in (large, small))
    assert of_large.equal(of_small)
    assert open_folder(everything, tmp_path / "cache").fingerprint != small.fingerprint
    assert f"18 of the 22 files in {everything} are used" in large.report.notes[0]
    assert not small.report.notes
    assert open_folder(few, tmp_path / "cache", clips=chosen).store.from_cache


def test_one_choice_leaves_the_cache_of_another(everything: Path, tmp_path: Path) -> None:
    first, second = (listing(tmp_path / f"{n}.txt", WANTED[:n]) for n in (8, 12))
    for chosen in (first, second):
        assert not open_folder(everything, tmp_path / "cache", clips=chosen).store.from_cache
    assert open_folder(everything, tmp_path / "cache", clips=first).store.from_cache


def test_classes_are_kept_of_the_listed_clips(everything: Path, tmp_path: Path) -> None:
    chosen = listing(tmp_path / "chosen.txt", WANTED)
    corpus = open_folder(everything, tmp_path / "cache", clips=chosen, keep={"content": ["run"]})
    assert set(corpus.labels.clips) == {name for name in WANTED if name.startswith("run")}
    with pytest.raises(CorpusError, match="unknown class 'jump'"):
        open_folder(everything, tmp_path / "cache", clips=chosen, keep={"content": ["jump"]})


def test_a_table_may_tell_of_clips_that_are_not_listed(everything: Path, tmp_path: Path) -> None:
    lines = [f"{path.name},{path.name.split('_')[1]}" for path in everything.glob("*.bvh")]
    table = everything / "labels.csv"
    table.write_text("\n".join(["file,style", *lines]) + "\n")
    chosen = listing(tmp_path / "chosen.txt", WANTED)
    assert open_folder(everything, tmp_path / "cache", clips=chosen).label_names == {"style": ("calm",)}
    table.write_text("\n".join(["file,style", *lines, "nowhere.bvh,calm"]) + "\n")
    with pytest.raises(CorpusError, match="there is no such file"):
        open_folder(everything, tmp_path / "cache", clips=chosen)


def test_clips_that_are_not_there_are_named(few: Path, tmp_path: Path) -> None:
    chosen = listing(tmp_path / "chosen.txt", [*WANTED, *cell_names(4, ["jump_mad"])])
    with pytest.raises(CorpusError) as caught:
        open_folder(few, tmp_path / "cache", clips=chosen)
    assert f"{few}: lacks 4 of the 22 clips that {chosen} names: jump_mad_001.bvh, jump_mad_002.bvh" in str(
        caught.value
    )
    assert "and 1 more; put them there" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# nothing\n\n", "names no clip"),
        (b"a.bvh\nb.bvh\na.bvh\n", r"chosen.txt:3: a.bvh is listed twice, first on line 1"),
        (b"\xff\n", "not UTF-8"),
        (None, "cannot be read as data.clips: No such file"),
    ],
)
def test_lists_that_are_none_are_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "chosen.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_clip_names(path)
    with pytest.raises(ConfigError, match=message):
        config_hash(RunConfig(data={"clips": path}, family=VAE.Config(), train={"steps": 1}))


def test_a_list_lies_beside_the_yaml_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = listing(tmp_path / "data" / "chosen.txt", WANTED)
    section = tmp_path / "data" / "corpus.yaml"
    section.write_text("path: clips\nclips: chosen.txt\n")
    monkeypatch.chdir(tmp_path)
    baseline = CONFIGS / "run" / "vae.yaml"
    config = load_config(baseline, data=Path("data/corpus.yaml"))
    assert config.data.clips == chosen
    assert load_config(baseline, overrides=["data.clips=data/chosen.txt"]).data.clips == chosen
    copy = tmp_path / "run" / "config.yaml"
    copy.parent.mkdir()
    copy.write_text(dump_config(config))
    monkeypatch.chdir("/")
    assert load_config(copy) == config
    copy.write_text(copy.read_text().replace(str(chosen), "../data/chosen.txt"))
    assert load_config(copy).data.clips is not None
    assert load_config(copy).data.clips.samefile(chosen)  # type: ignore[union-attr]


def test_identity_is_that_of_the_names_wherever_the_list_lies(tmp_path: Path) -> None:
    def run(names: list[str] | None, place: str = "here") -> RunConfig:
        clips = None if names is None else listing(tmp_path / place / "chosen.txt", names)
        return RunConfig(data={"clips": clips}, family=VAE.Config(), train={"steps": 1})

    plain = run(None)
    assert "clips" not in dump_config(plain)
    assert config_hash(plain) == config_hash(RunConfig(family=VAE.Config(), train={"steps": 1}))
    hashed = config_hash(run(WANTED))
    assert hashed == config_hash(run(WANTED[::-1], "there"))
    assert len({hashed, config_hash(plain), config_hash(run(WANTED[:-1]))}) == 3


def test_the_shipped_selection_holds_twelve_takes_of_each_cell() -> None:
    names = read_clip_names(CONFIGS / "data" / "bandai-namco-2-840.txt")
    cells = {name.rpartition("_")[0] for name in names}
    assert (len(names), len(cells)) == (840, 70)
    assert names_sha256(names).startswith("becd30aa91fe5870")


def test_a_list_from_windows_names_the_same_clips(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", [f"walk/{name}" for name in WANTED])
    chosen = tmp_path / "chosen.txt"
    chosen.write_bytes("\r\n".join(f"walk\\{name}" for name in WANTED[:8]).encode("utf-16"))
    assert choose_files(folder, find_files(folder).files, chosen) == sorted(f"walk/{name}" for name in WANTED[:8])
    chosen.write_text(f"WALK/{WANTED[0]}\n")
    with pytest.raises(CorpusError, match=rf"WALK/{WANTED[0]} is walk/{WANTED[0]} there: upper and lower case count"):
        choose_files(folder, find_files(folder).files, chosen)
    chosen.write_bytes(b"walk\\a.bvh\ncaf\xe9.bvh\n")
    with pytest.raises(ConfigError, match=r"chosen\.txt:2: is not UTF-8 text"):
        choose_files(folder, [], chosen)
    chosen.unlink()
    os.mkfifo(chosen)
    with pytest.raises(ConfigError, match=r"cannot be read as data\.clips: is a named pipe"):
        choose_files(folder, [], chosen)
