"""A folder of clips becomes training data; nothing is left out without being listed."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import open_corpus, prepare_clip
from motionsynth.corpus.split import SPLITS
from motionsynth.errors import CorpusError
from motionsynth.features.encode import encode
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.resample import resample
from motionsynth.motion.transform import scale_lengths, turn
from tests.corpus.folders import cell_names, clip_of, longer_arm, open_folder, write_clips
from tests.motion.clips import walk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", cell_names(8))


def test_windows_are_normalised_pieces_of_the_clips(folder: Path, tmp_path: Path) -> None:
    corpus = open_folder(folder, tmp_path / "cache")
    assert corpus.shape.labels == {"content": 2, "style": 1}
    assert corpus.label_names == {"content": ("run", "walk"), "style": ("calm",)}
    for split in SPLITS:
        windows = corpus.windows(split)
        assert set(windows.takes) == set(corpus.clips(split))
        assert windows.size == (16, corpus.spec.width)
        for i in (0, len(windows) - 1):
            name, start = windows.clips[int(windows.clip_N[i])], int(windows.start_N[i])
            features = encode(read_bvh(folder / name), corpus.spec)[start : start + 16]
            expected = corpus.normaliser.normalise(features)
            found = windows.batch(torch.tensor([i])).motion_BTD[0]
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            assert corpus.label_names["content"][int(windows.labels["content"][i])] == name.split("_")[0]
    assert corpus.windows("train") is corpus.windows("train")


def test_the_normaliser_sees_the_training_split_only(folder: Path, tmp_path: Path) -> None:
    corpus = open_folder(folder, tmp_path / "cache")
    rows = torch.cat([corpus.features(name) for name in corpus.clips("train")])
    assert torch.allclose(corpus.normaliser.mean_D, rows.mean(0), atol=1e-4)
    everything = torch.cat([corpus.features(name) for split in SPLITS for name in corpus.clips(split)])
    assert not torch.allclose(corpus.normaliser.mean_D, everything.mean(0), atol=1e-4)


def test_the_fingerprint_is_of_the_content(folder: Path, tmp_path: Path) -> None:
    def fingerprint(**options: object) -> str:
        return open_folder(folder, tmp_path / "cache", **options).fingerprint

    first = fingerprint()
    assert first == fingerprint()
    copy = write_clips(tmp_path / "elsewhere", cell_names(8))
    assert open_folder(copy, tmp_path / "cache").fingerprint == first
    changes = [{"window_frames": 20}, {"stride_frames": 3}, {"contacts": False}, {"split": {"seed": 1}}]
    changes += [{"mirror": True}, {"frame_rate": 29.0}, {"units": "m"}]
    changes += [{"pattern": r"(?P<content>[a-z]+)_[a-z]+_(?P<take>\d+)"}]
    assert len({first, *(fingerprint(**change) for change in changes)}) == 1 + len(changes)
    write_bvh(clip_of(99), folder / "walk_calm_001.bvh")
    assert fingerprint() != first


def test_short_clips_are_padded_and_reported(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", cell_names(5, ["walk_calm"]))
    write_clips(folder, cell_names(5, ["run_mad"]), frames=9)
    corpus = open_folder(folder, tmp_path / "cache", split={"gap": 0})
    assert corpus.report.padded == {"run/mad": 5}
    assert any("all clips of run/mad" in line for line in corpus.report.lines())
    windows = corpus.windows("train")
    assert set(windows.length_N.tolist()) == {9, 16}
    batch = windows.as_batch()
    assert not batch.motion_BTD[~batch.mask_BT].any()
    assert corpus.report.windows == {split: len(corpus.windows(split)) for split in SPLITS}


BAD = {
    "malformed": ("walk_calm_050.bvh", r"walk_calm_050\.bvh:1: "),
    "unlabelled": ("Nolabel.bvh", r"Nolabel\.bvh: its name does not match data\.pattern"),
    "one frame": ("walk_calm_051.bvh", r"walk_calm_051\.bvh: has 1 frame\(s\)"),
    "stretching": ("walk_calm_052.bvh", r"walk_calm_052\.bvh: bones change length in time: LeftArm"),
    "other skeleton": ("walk_calm_053.bvh", r"walk_calm_053\.bvh: its bone to LeftForeArm differs"),
}


def spoil(folder: Path, kind: str) -> None:
    name, clip = BAD[kind][0], clip_of(50)
    if kind == "malformed":
        (folder / name).write_text("HIERARCHIE\n")
    elif kind == "one frame":
        write_bvh(clip[:1], folder / name)
    elif kind == "stretching":
        skeleton = clip.skeleton
        joint = skeleton.names.index("LeftArm")
        channels = list(skeleton.channels)
        channels[joint] = ("Xposition", "Yposition", "Zposition", *channels[joint])
        translations = clip.translations.copy()
        translations[:, joint, 0] += np.linspace(0, 4, len(clip))
        stretched = replace(clip, skeleton=replace(skeleton, channels=tuple(channels)), translations=translations)
        write_bvh(stretched, folder / name)
    else:
        write_bvh(longer_arm(clip) if kind == "other skeleton" else clip, folder / name)


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_used_stops_or_is_listed(folder: Path, tmp_path: Path, kind: str) -> None:
    assert open_folder(folder, tmp_path / "cache").report.skipped == ()
    spoil(folder, kind)
    name, message = BAD[kind]
    with pytest.raises(CorpusError, match=rf"1 of 17 files cannot be used: .*{message}.*on_bad_file=skip"):
        open_folder(folder, tmp_path / "cache")
    corpus = open_folder(folder, tmp_path / "cache", on_bad_file="skip")
    (skipped,) = corpus.report.skipped
    assert skipped.file == name
    assert corpus.report.files == 17
    assert not any(name in corpus.clips(split) for split in SPLITS)


def test_the_commonest_skeleton_wins_wherever_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for take in range(40):  # 9 files are looked at first: 5 of them of the minority
        clip = clip_of(take)
        minority = take % 5 == 0 or take in (34, 39)
        write_bvh(longer_arm(clip) if minority else clip, folder / f"walk_calm_{take:03d}.bvh")
    corpus = open_folder(folder, tmp_path / "cache", on_bad_file="skip")
    assert len(corpus.report.skipped) == 10
    arm = corpus.spec.names.index("LeftForeArm")
    assert corpus.spec.rest[arm][0] == pytest.approx(27)


def test_takes_do_not_leak(folder: Path, tmp_path: Path) -> None:
    corpus = open_folder(folder, tmp_path / "cache")
    files = [set(corpus.clips(split)) for split in SPLITS]
    assert all(files)
    assert not files[0] & files[1] | files[0] & files[2] | files[1] & files[2]
    recorded = json.loads(json.dumps(corpus.splits))["splits"]
    assert {split: [entry["file"] for entry in recorded[split]] for split in SPLITS} == {
        split: list(corpus.clips(split)) for split in SPLITS
    }


def test_clips_that_share_frames_are_reported_and_kept_on_one_side(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", cell_names(8, ["walk_calm"]), frames=60)
    long = walk(120, 30.0, seed=77)
    for seed in range(12):  # some seed puts the two on different sides
        write_bvh(long[:80], folder / "walk_calm_001.bvh")
        write_bvh(long[40:], folder / "walk_calm_008.bvh")
        corpus = open_folder(folder, tmp_path / "cache", split={"seed": seed, "gap": 0})
        (stretch,) = corpus.report.shared
        assert (stretch.files, stretch.starts, stretch.frames) == (
            ("walk_calm_001.bvh", "walk_calm_008.bvh"),
            (40, 0),
            40,
        )
        sides = [{split for split in SPLITS if name in corpus.clips(split)} for name in stretch.files]
        assert not sides[0] or not sides[1] or sides[0] == sides[1]
        if not all(sides):
            assert "shares frames with" in corpus.splits["dropped"][0]["reason"]
            break
    else:
        pytest.fail("no seed put the two on different sides")


@pytest.mark.parametrize("takes", [1, 2, 3])
def test_tiny_corpora_open(tmp_path: Path, takes: int) -> None:
    folder = write_clips(tmp_path / "clips", cell_names(takes, ["walk_calm"]))
    corpus = open_folder(folder, tmp_path / "cache")
    assert len(corpus.windows("train"))
    assert [bool(len(corpus.windows(split))) for split in SPLITS] == [True, takes == 3, takes > 1]
    assert corpus.windows("validation").size == (16, corpus.spec.width)
    assert corpus.report.lines()


def test_copies_leave_nothing_to_train_on_and_say_so(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", ["walk_calm_001.bvh"], frames=60)
    copy = folder / "walk_calm_002.bvh"
    copy.write_bytes((folder / "walk_calm_001.bvh").read_bytes())
    with pytest.raises(
        CorpusError, match=r"no clip is left to train on: .*_00\d\.bvh: shares frames with .*_00\d\.bvh"
    ):
        open_folder(folder, tmp_path / "cache")
    write_bvh(clip_of(9, 60), copy)
    assert len(open_folder(folder, tmp_path / "cache").windows("train"))


def test_short_clips_without_labels_are_those_of_the_corpus(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", ["a.bvh"], frames=9)
    lines = open_folder(folder, tmp_path / "cache", pattern=None).report.lines()
    assert any(line.endswith("all clips of the corpus") for line in lines)


def test_one_file_is_a_corpus(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", ["walk_calm_001.bvh", "walk_calm_002.bvh"])
    corpus = open_folder(folder / "walk_calm_001.bvh", tmp_path / "cache")
    assert corpus.clips("train") == ("walk_calm_001.bvh",)
    assert corpus.path("walk_calm_001.bvh").is_file()


def test_mirror_images_are_for_training_only(folder: Path, tmp_path: Path) -> None:
    plain, both = (open_folder(folder, tmp_path / "cache", mirror=mirror) for mirror in (False, True))
    assert len(both.windows("train")) == 2 * len(plain.windows("train"))
    assert len(both.windows("test")) == len(plain.windows("test"))
    name = both.clips("train")[0]
    image, original = both.features(f"{name} (mirrored)"), both.features(name)
    assert image.shape == original.shape
    assert not torch.allclose(image, original, atol=0.01)
    with pytest.raises(CorpusError, match="no usable clip"):
        plain.features(f"{name} (mirrored)")


def test_a_skeleton_without_sides_is_not_mirrored(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    clip = clip_of(0)
    names = tuple(f"j{joint}" for joint in range(len(clip.skeleton)))
    nameless = replace(clip, skeleton=replace(clip.skeleton, names=names))
    write_bvh(nameless, tmp_path / "clips" / "walk_calm_001.bvh")
    assert open_folder(tmp_path / "clips", tmp_path / "cache").clips("train")
    with pytest.raises(CorpusError, match=r"data\.mirror: .*left from right"):
        open_folder(tmp_path / "clips", tmp_path / "cache", mirror=True)


def test_a_whole_clip_comes_back_for_viewing(folder: Path, tmp_path: Path) -> None:
    corpus = open_folder(folder, tmp_path / "cache")
    name = corpus.clips("test")[0]
    clip, source = corpus.real_clip(name), read_bvh(folder / name)
    assert len(clip) == len(source)
    height = clip.positions()[:, 1, 1]
    assert np.allclose(height, source.positions()[:, 1, 1], atol=1e-3)
    with pytest.raises(CorpusError, match=r"no usable clip 'nobody\.bvh'"):
        corpus.features("nobody.bvh")
    with pytest.raises(ValueError, match="unknown split"):
        corpus.clips("tset")


def test_rates_axes_and_units_are_brought_to_one(tmp_path: Path) -> None:
    source = walk(80, 60.0, seed=3)
    z_up = turn(source, np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]))
    features = []
    for name, clip in {"plain": source, "turned": z_up, "metres": scale_lengths(source, 0.01)}.items():
        (tmp_path / name).mkdir()
        write_bvh(clip, tmp_path / name / "walk_calm_001.bvh")
        corpus = open_folder(tmp_path / name, tmp_path / "cache")
        assert corpus.spec.frame_rate == 30
        assert corpus.report.up == ("z" if name == "turned" else "y")
        assert corpus.report.units == ("m" if name == "metres" else "cm")
        features.append(corpus.features("walk_calm_001.bvh"))
        assert len(features[-1]) == len(resample(source, 30))
    torch.testing.assert_close(features[1], features[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(features[2], features[0], rtol=1e-3, atol=1e-3)


def test_one_file_is_a_corpus_whatever_a_table_beside_it_lists(folder: Path, tmp_path: Path) -> None:
    first, second = sorted(path.name for path in folder.iterdir())[:2]
    (folder / "labels.csv").write_text(f"file,content\n{first},walk\n{second},run\nabsent.bvh,run\n")
    assert open_folder(folder / first, tmp_path / "cache", labels="auto", pattern=None).label_names == {
        "content": ("walk",)
    }
    with pytest.raises(CorpusError, match="15 of 16 files"):
        open_folder(folder, tmp_path / "cache", labels="auto", pattern=None)


def test_labels_csv_with_parameters(folder: Path, tmp_path: Path) -> None:
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "take", "content", "style", "speed"])
        writer.writerows([name, name[-7:-4], name.split("_")[0], "calm", 1.25] for name in cell_names(8))
    corpus = open_folder(folder, tmp_path / "cache", pattern=None)
    assert corpus.report.labels == "csv"
    assert set(corpus.label_names) == {"content", "style"}
    assert corpus.splits["takes"] == "blocks of neighbours"


def test_a_clip_for_a_trained_run_is_checked(folder: Path, tmp_path: Path) -> None:
    corpus = open_folder(folder, tmp_path / "cache")
    config = DataConfig(path=folder)
    name = corpus.clips("test")[0]
    features = encode(prepare_clip(folder / name, config, corpus.spec), corpus.spec)
    torch.testing.assert_close(features, corpus.features(name))
    spoil(folder, "other skeleton")
    with pytest.raises(CorpusError, match=r"053\.bvh: its bone to LeftForeArm differs"):
        prepare_clip(folder / BAD["other skeleton"][0], config, corpus.spec)


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder"):
        open_corpus(DataConfig(path=tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match="holds no BVH or AMC file"):
        open_corpus(DataConfig(path=tmp_path))
