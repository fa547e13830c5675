"""A corpus may be some classes of a folder, or two folders with one skeleton."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from motionsynth.config import RunConfig, config_hash, dump_config
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.corpus.split import SPLITS
from motionsynth.errors import CorpusError
from motionsynth.families.vae import VAE
from motionsynth.features.encode import encode
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.transform import scale_lengths
from tests.corpus.folders import PATTERN, cell_names, clip_of, longer_arm, open_folder, write_clips

CELLS = ("walk_calm", "walk_mad", "run_calm", "run_sad")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", cell_names(6, CELLS))


def all_clips(corpus: Corpus) -> set[str]:
    return {file for split in SPLITS for file in corpus.clips(split)}


def test_only_the_classes_that_are_kept_are_there(folder: Path, tmp_path: Path) -> None:
    whole = open_folder(folder, tmp_path / "cache")
    kept = open_folder(folder, tmp_path / "cache", keep={"style": ["calm", "mad"], "content": ["walk"]})
    assert kept.label_names == {"content": ("walk",), "style": ("calm", "mad")}
    assert all_clips(kept) == {file for file in all_clips(whole) if file.startswith("walk")}
    for split in SPLITS:
        assert set(kept.clips(split)) <= set(whole.clips(split)), "a clip keeps its split"
    assert (kept.report.files, kept.report.left_out, whole.report.left_out) == (24, 12, 0)
    assert "12 files are of classes that data.keep leaves out" in kept.report.lines()
    assert kept.fingerprint != whole.fingerprint


def test_a_choice_and_the_whole_are_cached_side_by_side(folder: Path, tmp_path: Path) -> None:
    keep = {"style": ["calm"]}
    first = [open_folder(folder, tmp_path / "cache", keep=choice).report.from_cache for choice in ({}, keep)]
    again = [open_folder(folder, tmp_path / "cache", keep=choice).report.from_cache for choice in ({}, keep)]
    assert (first, again) == ([False, False], [True, True])


def test_a_choice_of_all_is_the_whole_corpus(folder: Path, tmp_path: Path) -> None:
    whole = open_folder(folder, tmp_path / "cache")
    assert open_folder(folder, tmp_path / "cache", keep={"content": ["run", "walk"]}).fingerprint == whole.fingerprint


def test_bad_files_of_other_classes_do_no_harm(folder: Path, tmp_path: Path) -> None:
    (folder / "run_calm_001.bvh").write_text("nothing\n")
    open_folder(folder, tmp_path / "cache", keep={"content": ["walk"]})
    with pytest.raises(CorpusError, match=r"run_calm_001\.bvh"):
        open_folder(folder, tmp_path / "cache", keep={"content": ["run"]})


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"styel": ["calm"]}, r"data\.keep: unknown label 'styel', did you mean style\? known: content, style"),
        ({"style": ["kalm"]}, r"data\.keep\.style: unknown class 'kalm', did you mean calm\? known: calm, mad, sad"),
        ({"style": ["sad"], "content": ["walk"]}, r"data\.keep: no clip has all of: style sad, content walk"),
    ],
)
def test_what_is_not_there_cannot_be_kept(
    folder: Path, tmp_path: Path, keep: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        open_folder(folder, tmp_path / "cache", keep=keep)


def test_two_folders_join_under_their_names(folder: Path, tmp_path: Path) -> None:
    other = write_clips(tmp_path / "others", cell_names(6, ["walk_calm"]), frames=30)
    alone = [open_folder(place, tmp_path / "cache") for place in (folder, other)]
    both = open_folder(folder, tmp_path / "cache", second=other)
    assert both.label_names["corpus"] == ("clips", "others")
    assert tuple(both.label_names) == ("corpus", "content", "style")
    assert open_folder(folder, tmp_path / "cache", second=other).report.from_cache
    for split in SPLITS:
        expected = [f"clips/{file}" for file in alone[0].clips(split)]
        expected += [f"others/{file}" for file in alone[1].clips(split)]
        assert both.clips(split) == tuple(sorted(expected))
    for corpus, prefix in zip(alone, ("clips", "others"), strict=True):
        name = corpus.clips("train")[0]
        assert both.path(f"{prefix}/{name}") == corpus.path(name)
        expected_TD = encode(read_bvh(corpus.path(name)), both.spec)
        torch.testing.assert_close(both.features(f"{prefix}/{name}"), expected_TD)
    windows = both.windows("train")
    named = [both.label_names["corpus"][i] for i in windows.labels["corpus"].tolist()]
    assert named == [take.partition("/")[0] for take in windows.takes]
    assert both.report.clips == sum(corpus.report.clips for corpus in alone)
    assert "clips/walk/calm" in both.report.cells


def test_the_second_folder_may_be_in_another_unit_and_is_mirrored_too(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "metres"
    other.mkdir()
    for path in folder.iterdir():
        write_bvh(scale_lengths(read_bvh(path), 0.01), other / path.name)
    both = open_folder(folder, tmp_path / "cache", second=other, mirror=True)
    assert both.report.units == "cm and m"
    name = next(file.partition("/")[2] for file in both.clips("train"))
    for mirrored in ("", " (mirrored)"):
        pair = [both.features(f"{place}/{name}{mirrored}") for place in ("clips", "metres")]
        torch.testing.assert_close(*pair, rtol=1e-3, atol=1e-3)


def test_labels_that_one_corpus_lacks_are_left_out_and_told(folder: Path, tmp_path: Path) -> None:
    other = write_clips(tmp_path / "others", [f"{take}.bvh" for take in range(4)])
    (other / "labels.csv").write_text("file,style,actor\n" + "".join(f"{i}.bvh,calm,ann\n" for i in range(4)))
    both = open_folder(folder, tmp_path / "cache", second=other)
    assert tuple(both.label_names) == ("corpus", "style")
    lines = both.report.lines()
    assert "labels of one corpus alone are left out: content, actor" in lines
    assert "labels of clips come from: pattern; of others: csv" in lines


def test_a_bad_file_of_the_second_folder_is_named(folder: Path, tmp_path: Path) -> None:
    other = write_clips(tmp_path / "others", cell_names(4, ["walk_calm"]))
    (other / "walk_calm_001.bvh").write_text("nothing\n")
    with pytest.raises(CorpusError, match=r"1 of 28 files cannot be used: .*others/walk_calm_001\.bvh:1"):
        open_folder(folder, tmp_path / "cache", second=other)
    corpus = open_folder(folder, tmp_path / "cache", second=other, on_bad_file="skip")
    assert [entry.file for entry in corpus.report.skipped] == ["others/walk_calm_001.bvh"]


@pytest.mark.parametrize("change", ["name", "parent", "bone"])
def test_two_skeletons_do_not_join_and_the_joints_are_named(folder: Path, tmp_path: Path, change: str) -> None:
    clip = clip_of(3)
    skeleton = clip.skeleton
    other, told = {
        "name": (
            replace(clip, skeleton=replace(skeleton, names=(*skeleton.names[:-1], "Paw"))),
            f"it lacks {skeleton.names[-1]}; it has Paw",
        ),
        "parent": (
            replace(clip, skeleton=replace(skeleton, parents=(*skeleton.parents[:-1], 17))),
            f"{skeleton.names[-1]} on {skeleton.names[17]}, not {skeleton.names[skeleton.parents[-1]]}",
        ),
        "bone": (longer_arm(clip), "its bone to LeftForeArm differs by 3 units"),
    }[change]
    (tmp_path / "others").mkdir()
    write_bvh(other, tmp_path / "others" / "walk_calm_001.bvh")
    with pytest.raises(CorpusError) as caught:
        open_folder(folder, tmp_path / "cache", second=tmp_path / "others")
    assert f"{tmp_path}/others: cannot join a corpus of another skeleton: " in str(caught.value)
    assert told in str(caught.value)
    write_bvh(clip, tmp_path / "others" / "walk_calm_001.bvh")
    open_folder(folder, tmp_path / "cache", second=tmp_path / "others")


def test_what_is_kept_must_be_in_both_folders(folder: Path, tmp_path: Path) -> None:
    other = write_clips(tmp_path / "others", cell_names(3, ["walk_calm"]))
    kept = open_folder(folder, tmp_path / "cache", second=other, keep={"style": ["calm"]})
    assert kept.label_names == {"corpus": ("clips", "others"), "content": ("run", "walk"), "style": ("calm",)}
    with pytest.raises(CorpusError, match=r"others: data\.keep leaves no clip of this folder"):
        open_folder(folder, tmp_path / "cache", second=other, keep={"style": ["mad"]})


def test_a_folder_does_not_join_itself(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"data\.second: .* is data\.path itself"):
        open_folder(folder, tmp_path / "cache", second=folder)
    twins = [write_clips(tmp_path / place / "data", cell_names(3, ["walk_calm"])) for place in ("a", "b")]
    assert open_folder(twins[0], tmp_path / "cache", second=twins[1]).label_names["corpus"] == ("a-data", "b-data")


def test_a_single_file_joins_as_a_corpus(folder: Path, tmp_path: Path) -> None:
    other = write_clips(tmp_path / "others", cell_names(2, ["walk_calm"]))
    (other / "labels.csv").write_text("file,style\nwalk_calm_001.bvh,calm\nwalk_calm_002.bvh,calm\n")
    config = DataConfig(
        path=folder, second=other / "walk_calm_001.bvh", pattern=PATTERN, window_frames=16, stride_frames=4
    )
    corpus = open_corpus(config, cache=tmp_path / "cache", workers=1)
    assert corpus.label_names["corpus"] == ("clips", "walk_calm_001")


def test_configurations_without_them_are_those_from_before() -> None:
    plain = RunConfig(family=VAE.Config(), train={"steps": 1})
    assert "keep" not in dump_config(plain) and "second" not in dump_config(plain)
    kept = RunConfig(data={"keep": {"style": ["calm"]}, "second": "x"}, family=VAE.Config(), train={"steps": 1})
    assert "keep" in dump_config(kept) and "second" in dump_config(kept)
    assert config_hash(kept) != config_hash(plain)
