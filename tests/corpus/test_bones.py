"""People of several sizes on one set of bones: same rotations, feet that stand, and rest poses that are one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionsynth.comparison.reference import open_reference
from motionsynth.config import RunConfig, config_hash, dump_config
from motionsynth.corpus.bones import SAME_DIRECTION, leg_length, mean_bones, put_on
from motionsynth.corpus.corpus import Corpus, open_corpus, prepare_clip
from motionsynth.corpus.labels import read_labels
from motionsynth.corpus.split import SPLITS
from motionsynth.errors import ConfigError, CorpusError
from motionsynth.families.gmm import GMM
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.bvh import write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import FloatArray
from motionsynth.motion.transform import order_joints, scale_lengths, turn
from motionsynth.runs.begin import new_run, resolve_data
from motionsynth.runs.run import open_run
from tests.corpus.folders import (
    PEOPLE,
    WHO,
    clip_of,
    longer_arm,
    of_size,
    open_folder,
    turned_at_rest,
    write_people,
)

REPOSITORY = Path(__file__).resolve().parents[2]
LEG = (9**2 + 4**2) ** 0.5 + 42 + 40
"""Pelvis to hip, to knee, to ankle."""


def spec_of(clip: Clip) -> FeatureSpec:
    return FeatureSpec.for_clip(clip, frame_rate=30.0, metres_per_unit=0.01)


def long_legs(clip: Clip, ratio: float) -> Clip:
    """The same rotations and path of a person whose legs, hips included, are longer and nothing else."""
    names = ("LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot")
    joints = [clip.skeleton.names.index(name) for name in names]
    offsets, translations = clip.skeleton.offsets.copy(), clip.translations.copy()
    offsets[joints] *= ratio
    translations[:, joints] *= ratio
    return replace(clip, skeleton=replace(clip.skeleton, offsets=offsets), translations=translations)


def standing(clip: Clip) -> Clip:
    """The same clip with the pelvis where it has to be for the left foot to stay in one place."""
    foot, mover = clip.skeleton.names.index("LeftFoot"), clip.skeleton.names.index("Hips")
    translations = clip.translations.copy()
    translations[:, mover] += (5.0, 3.0, 20.0) - clip.positions()[:, foot]
    return replace(clip, translations=translations)


def drift(clip: Clip) -> float:
    """How far the left foot strays."""
    return float(np.ptp(clip.positions()[:, clip.skeleton.names.index("LeftFoot")], axis=0).max())


def test_a_person_twice_as_large_who_does_the_same_is_the_same() -> None:
    clip = clip_of(0)
    moved, ratio = put_on(scale_lengths(clip, 2.0), spec_of(clip))
    assert ratio == pytest.approx(0.5)
    assert np.allclose(moved.positions(), clip.positions(), atol=1e-9)
    assert np.array_equal(moved.angles, clip.angles)
    assert np.allclose(moved.skeleton.offsets, clip.skeleton.offsets)


def test_one_who_has_these_bones_stays_as_it_is() -> None:
    clip = clip_of(0)
    assert put_on(clip, spec_of(clip)) == (clip, 1.0)


def test_a_foot_that_stands_does_so_on_legs_of_another_length() -> None:
    clip = standing(long_legs(clip_of(0), 1.25))
    moved, ratio = put_on(clip, spec_of(clip_of(0)))
    assert ratio == pytest.approx(0.8)
    assert drift(clip) < 1e-9 and drift(moved) < 1e-9
    foot = clip.skeleton.names.index("LeftFoot")
    assert np.allclose(moved.positions()[:, foot], 0.8 * clip.positions()[:, foot])
    # controls: with the path as it was, or scaled by the size of the whole body, it slides
    mover = clip.skeleton.names.index("Hips")
    for factor in (1 / ratio, 0.95 / ratio):
        translations = moved.translations.copy()
        translations[:, mover] *= factor
        assert drift(replace(moved, translations=translations)) > 0.5


def test_legs_reach_from_the_moving_joint_to_the_foot() -> None:
    clip = clip_of(0)
    spec = spec_of(clip)
    assert leg_length(spec, clip.translations[0]) == pytest.approx(LEG)
    toed = replace(
        spec,
        names=(*spec.names, "LeftToes"),
        parents=(*spec.parents, spec.names.index("LeftFoot")),
        orders=(*spec.orders, "ZXY"),
        rest=(*spec.rest, (0.0, -3.0, 12.0)),
    )
    assert leg_length(toed, toed.rest_array) == pytest.approx(LEG + (3**2 + 12**2) ** 0.5 / 2)


def test_without_names_the_whole_body_is_measured() -> None:
    spec = spec_of(clip_of(0))
    nameless = replace(spec, names=tuple(f"j{number}" for number in range(len(spec.names))))
    every = np.linalg.norm(clip_of(0).translations[0][list(spec.joints_below)], axis=-1).sum()
    assert leg_length(nameless, clip_of(0).translations[0]) == pytest.approx(every)


def bones(size: float = 1.0, degrees: float = 0.0) -> FloatArray:
    clip = turned_at_rest(clip_of(0), degrees)
    spec = spec_of(clip)
    return spec.rest_array * size


def test_every_person_counts_once() -> None:
    found = mean_bones([bones(1.0)] * 9 + [bones(1.0 + 1e-6)] + [bones(1.4)])
    assert np.allclose(found, bones(1.2))


def test_lengths_and_directions_are_averaged_apart() -> None:
    found = mean_bones([bones(1.0, 10.0), bones(1.2, -10.0)])
    assert np.allclose(np.linalg.norm(found, axis=-1), np.linalg.norm(bones(1.1), axis=-1))
    assert np.allclose(found, bones(1.1))


def test_one_whose_rest_pose_differs_has_no_part_in_the_mean() -> None:
    alike = [bones(1.0), bones(1.2), bones(1.4)]
    assert np.allclose(mean_bones([*alike, bones(3.0, 60.0)]), bones(1.2))
    assert np.allclose(mean_bones([bones(3.0, 90.0), *alike[:2], bones(2.0, 60.0)]), bones(1.1))
    assert np.allclose(mean_bones([bones(1.3), bones(1.0, 45.0)]), bones(1.3)), "of two who differ the first is kept"
    assert np.allclose(mean_bones([bones(1.3), bones(1.0, 180.0)]), bones(1.3))
    assert not np.allclose(mean_bones([*alike, bones(3.0, 15.0)]), bones(1.2))


@pytest.mark.parametrize(("degrees", "fits"), [(19.0, True), (-19.0, True), (21.0, False), (180.0, False)])
def test_bones_may_point_twenty_degrees_elsewhere(degrees: float, fits: bool) -> None:
    assert np.degrees(np.arccos(SAME_DIRECTION)) == pytest.approx(20.0, abs=0.1)
    clip = of_size(turned_at_rest(clip_of(0), degrees), 1.1)
    if fits:
        put_on(clip, spec_of(clip_of(0)))
        return
    cosine = f"{np.cos(np.radians(degrees)):.2f}"
    with pytest.raises(ValueError, match=rf"rest pose is not.*cosine {cosine}.*at least 0\.94.*LeftForeArm"):
        put_on(clip, spec_of(clip_of(0)))


def test_where_a_short_bone_points_does_not_matter() -> None:
    short = clip_of(0)
    joint = short.skeleton.names.index("LeftHand")
    offsets, translations = short.skeleton.offsets.copy(), short.translations.copy()
    offsets[joint] = translations[:, joint] = (0.5, 0.0, 0.0)
    short = replace(short, skeleton=replace(short.skeleton, offsets=offsets), translations=translations)
    put_on(of_size(turned_at_rest(short, 90.0, "LeftHand"), 1.1), spec_of(short))


# A corpus of several people


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def opened(folder: Path, cache: Path, **options: Any) -> Corpus:
    return open_folder(folder, cache, **({"pattern": WHO, "bones": "mean", "hold_out": "actor"} | options))


def test_people_of_several_sizes_are_refused_by_default_with_the_way_on(folder: Path, cache: Path) -> None:
    with pytest.raises(CorpusError, match=r"9 of 12 files.*all its bones are 0\.9 times.*data\.bones=mean"):
        opened(folder, cache, bones="same")
    longer = write_people(cache / "longer", {"ann": 1.0})
    write_bvh(longer_arm(clip_of(50)), longer / "walk_bob_1.bvh")
    with pytest.raises(CorpusError, match=r"its bone to LeftForeArm differs by .* units; data\.bones=mean"):
        opened(longer, cache, bones="same")


def test_all_are_brought_to_the_mean_of_their_bones(folder: Path, cache: Path) -> None:
    corpus = opened(folder, cache)
    assert len(corpus.split.of_file) == 12 and not corpus.skipped
    mean = float(np.mean(list(PEOPLE.values())))
    expected = spec_of(clip_of(0)).rest_array * mean
    assert np.allclose(corpus.spec.rest_array, expected, atol=1e-5)
    assert np.allclose(corpus.spec.end_sites[0].offset, (0.0, 18.0 * mean, 0.0), atol=1e-4)
    # whoever is large or small: what is learnt is the motion of a person of the mean size
    alike = opened(write_people(cache / "alike", dict.fromkeys(PEOPLE, mean)), cache, bones="same")
    for name in sorted(corpus.split.of_file):
        assert torch.allclose(corpus.features(name), alike.features(name), atol=1e-4)
    assert any(
        f"12 files are brought to the bones of the corpus: rotations kept, the way travelled multiplied by "
        f"{mean / 1.3:.3f} to {mean / 0.9:.3f}" in note
        for note in corpus.report.notes
    )


def test_the_bones_of_a_file_are_taken_whatever_its_unit_order_and_motion(folder: Path, cache: Path) -> None:
    other = scale_lengths(of_size(clip_of(77), 1.05), 0.01)
    names = [*other.skeleton.names[:2], *other.skeleton.names[14:], *other.skeleton.names[2:14]]
    write_bvh(order_joints(other, names)[:1], cache / "bones.bvh", decimals=None)
    corpus = opened(folder, cache, bones=cache / "bones.bvh")
    assert np.allclose(corpus.spec.rest_array, 1.05 * spec_of(clip_of(0)).rest_array, atol=1e-5)
    assert corpus.spec.names == clip_of(0).skeleton.names and corpus.store.units == "cm"


def test_features_of_other_bones_are_kept_apart(folder: Path, cache: Path) -> None:
    place = cache / "apart"
    file = cache / "apart.bvh"
    write_bvh(of_size(clip_of(0), 1.2)[:2], file)
    choices: list[Any] = ["mean", file]
    assert [opened(folder, place, bones=bones).report.from_cache for bones in choices] == [False, False]
    assert [opened(folder, place, bones=bones).report.from_cache for bones in choices] == [True, True]
    assert len({opened(folder, place, bones=bones).fingerprint for bones in choices}) == 2
    # a file counts by what is in it, wherever it lies
    moved = file.rename(cache / "moved.bvh")
    assert opened(folder, place, bones=moved).report.from_cache
    write_bvh(of_size(clip_of(0), 1.25)[:2], moved)
    assert not opened(folder, place, bones=moved).report.from_cache


def test_a_file_of_bones_with_other_joints_is_named(folder: Path, cache: Path) -> None:
    other = clip_of(0)
    names = ("Root", *other.skeleton.names[1:])
    write_bvh(replace(other, skeleton=replace(other.skeleton, names=names)), cache / "other.bvh")
    with pytest.raises(
        CorpusError, match=r"data\.bones: .*other\.bvh: its joints differ \(it lacks Reference; it has Root\)"
    ):
        opened(folder, cache, bones=cache / "other.bvh")
    with pytest.raises(ConfigError, match=r"none\.bvh: cannot be read as data\.bones"):
        opened(folder, cache, bones=cache / "none.bvh")


def test_one_whose_rest_pose_differs_is_named_and_has_no_part(tmp_path: Path, cache: Path) -> None:
    folder = write_people(tmp_path / "clips")
    alone = opened(folder, cache)
    odd = of_size(turned_at_rest(clip_of(90), 45.0), 1.7)
    write_bvh(odd, folder / "walk_eve_1.bvh")
    with pytest.raises(CorpusError, match=r"1 of 13 files cannot be used: .*walk_eve_1\.bvh: its rest pose is not"):
        opened(folder, cache)
    corpus = opened(folder, cache, on_bad_file="skip")
    assert [entry.file for entry in corpus.skipped] == ["walk_eve_1.bvh"]
    assert corpus.spec == alone.spec
    write_bvh(of_size(turned_at_rest(clip_of(90), 10.0), 1.7), folder / "walk_eve_1.bvh")  # control
    assert not opened(folder, cache).skipped


def test_two_rigs_in_one_folder_are_refused_with_their_joints(tmp_path: Path, cache: Path) -> None:
    folder = write_people(tmp_path / "clips")
    clip = clip_of(0)
    names = tuple(name.replace("Left", "L_") for name in clip.skeleton.names)
    write_bvh(replace(clip, skeleton=replace(clip.skeleton, names=names)), folder / "walk_eve_1.bvh")
    with pytest.raises(CorpusError, match=r"walk_eve_1\.bvh: its joints differ \(it lacks LeftArm.*; it has L_Arm"):
        opened(folder, cache)


def test_the_rig_of_most_files_is_taken_whatever_their_sizes(tmp_path: Path, cache: Path) -> None:
    folder, odd = tmp_path / "clips", clip_of(0)
    folder.mkdir()
    names = ("Root", *odd.skeleton.names[1:])
    for number in range(12):  # those looked at first are of the other rig, and no five of the others share their bones
        write_bvh(of_size(clip_of(number), 1 + number / 40), folder / f"z_ann_{number}.bvh")
    for number in range(8):
        other = replace(odd, skeleton=replace(odd.skeleton, names=names))
        write_bvh(other, folder / f"a_bob_{number}.bvh")
    corpus = opened(folder, cache, pattern=r"(?P<content>[a-z]+)_", hold_out="take", on_bad_file="skip")
    assert len(corpus.split.of_file) == 12 and corpus.spec.names == odd.skeleton.names


def test_a_person_of_another_size_in_another_unit_is_scaled_and_named(tmp_path: Path, cache: Path) -> None:
    folder = write_people(tmp_path / "clips")
    plain = opened(folder, cache)
    path = folder / "walk_dan_1.bvh"
    write_bvh(scale_lengths(of_size(clip_of(31), PEOPLE["dan"]), 0.01), path, decimals=None)
    corpus = opened(folder, cache)
    assert any("1 file is in m" in note and "walk_dan_1.bvh" in note for note in corpus.report.notes)
    assert torch.allclose(corpus.features(path.name), plain.features(path.name), atol=1e-3)


def test_a_clip_of_a_stranger_is_read_as_those_of_the_corpus(folder: Path, cache: Path) -> None:
    corpus = opened(folder, cache)
    stranger = cache / "stranger.bvh"
    write_bvh(turn(of_size(clip_of(5), 0.8), np.eye(3)), stranger)
    clip = prepare_clip(stranger, corpus.config, corpus.spec, up="y")
    assert corpus.spec.mismatch(clip.skeleton, clip.translations[0]) is None
    with pytest.raises(CorpusError, match=r"stranger\.bvh: .*data\.bones=mean"):
        prepare_clip(stranger, corpus.config.model_copy(update={"bones": "same"}), corpus.spec, up="y")


def test_two_folders_join_on_the_bones_of_the_first(folder: Path, cache: Path) -> None:
    other = write_people(cache / "others", {"eve": 0.7, "fay": 0.8})
    with pytest.raises(CorpusError, match=r"two corpora need one skeleton: data\.bones=mean"):
        opened(write_people(cache / "one", {"gus": 1.0}), cache, bones="same", second=other, hold_out="take")
    both = opened(folder, cache, second=other)
    assert both.spec == opened(folder, cache).spec and len(both.split.of_file) == 18


# The run directory


def config_of(folder: Path, **data: Any) -> RunConfig:
    section = {"path": folder, "pattern": WHO, "window_frames": 16, "stride_frames": 4, **data}
    return RunConfig(data=section, family=GMM.Config(), train={"passes": 2})


def test_a_run_keeps_the_bones_that_a_file_gave(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "bones.bvh"
    third = scale_lengths(clip_of(0), 1 / 3)  # numbers without end
    write_bvh(of_size(third, 3.1)[:2], file, decimals=None)
    for choice in ("mean", file):
        config = config_of(folder, bones=choice, hold_out="actor")
        corpus = open_corpus(config.data, workers=1)
        run = new_run(tmp_path / f"run-{Path(choice).stem}", config, corpus)
        file.unlink(missing_ok=True)
        again = open_corpus(open_run(run.path).data, workers=1)
        assert again.fingerprint == run.record.corpus_fingerprint == corpus.fingerprint
        assert run.spec() == corpus.spec
        assert np.array_equal(run.skeleton().offsets, corpus.spec.rest_array)
        if choice == "mean":
            write_bvh(of_size(third, 3.1)[:2], file, decimals=None)
    assert [len(again.clips(split)) for split in SPLITS] == [6, 3, 3]


def test_a_run_is_held_against_other_people_on_its_own_bones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path / "cache"))
    config = config_of(folder, bones="mean", hold_out="actor")
    run = new_run(tmp_path / "run", config, open_corpus(config.data, workers=1))
    others = write_people(tmp_path / "others", {"eve": 0.7, "fay": 0.8, "gus": 0.85})
    (tmp_path / "others.yaml").write_text(f"path: {others}\nbones: mean\nhold_out: take\n")
    for place in (others, tmp_path / "others.yaml"):
        assert open_reference(f"{place}:train", run).corpus.spec == run.spec()
    alone = open_reference(f"{tmp_path / 'others.yaml'}:train", None).corpus.spec
    assert np.abs(alone.rest_array - run.spec().rest_array).max() > 1.0  # control: theirs are others


def test_configurations_that_do_not_say_it_are_those_from_before(folder: Path, tmp_path: Path) -> None:
    plain = config_of(folder)
    assert "bones" not in dump_config(plain) and "hold_out" not in dump_config(plain)
    write_bvh(clip_of(0), tmp_path / "a.bvh")
    write_bvh(clip_of(0), tmp_path / "b.bvh")
    first, second = (config_hash(config_of(folder, bones=tmp_path / name)) for name in ("a.bvh", "b.bvh"))
    assert first == second, "a file counts by what is in it"
    write_bvh(clip_of(1), tmp_path / "b.bvh")
    hashes = [config_hash(config_of(folder, **{k: v})) for k, v in {"bones": "mean", "hold_out": "actor"}.items()]
    assert len({config_hash(plain), first, config_hash(config_of(folder, bones=tmp_path / "b.bvh")), *hashes}) == 5


def test_a_file_of_bones_counts_from_the_yaml_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bvh(clip_of(0), tmp_path / "mine.bvh")
    (tmp_path / "mean").mkdir()  # which is no file of bones
    for word, meant in (("mean", "mean"), ("mine.bvh", tmp_path / "mine.bvh")):
        (tmp_path / "data.yaml").write_text(f"path: clips\nbones: {word}\n")
        assert resolve_data(tmp_path / "data.yaml").bones == meant
    monkeypatch.chdir(tmp_path)
    assert resolve_data(Path("x"), overrides=["data.bones=mine.bvh"]).bones == tmp_path / "mine.bvh"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("maen", r"data\.bones: no such file: .*maen; it is same, mean or a BVH file"),
        ("3", r"data\.bones: must be text, as 3 is in quotes"),
        ("''", r"data\.bones: names nothing"),
    ],
)
def test_what_is_no_bones_is_refused(value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_data(Path("x"), overrides=[f"data.bones={value}"])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("actr", r"data\.hold_out: unknown label 'actr', did you mean actor\? known: actor, content, take"),
        ("content", r"data\.hold_out: the only content is walk, so none can be held out"),
    ],
)
def test_what_cannot_be_held_out_is_refused(folder: Path, cache: Path, label: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        opened(folder, cache, hold_out=label)


def test_whole_people_are_held_out(folder: Path, cache: Path) -> None:
    corpus = opened(folder, cache)
    people = [{file.split("_")[1] for file in corpus.clips(split)} for split in SPLITS]
    assert sorted(name for names in people for name in names) == sorted(PEOPLE)
    assert [len(names) for names in people] == [2, 1, 1]
    assert corpus.splits["hold_out"] == "actor"
    assert corpus.fingerprint != opened(folder, cache, hold_out="take").fingerprint


@pytest.mark.parametrize("name", ["HDM_bd_kickLFront1Reps_001_120.amc", "hdm05_kickLFront1Reps_bd_014.bvh"])
def test_hdm05_is_labelled_by_its_names_and_holds_out_people(name: str) -> None:
    data = resolve_data(REPOSITORY / "configs/data/hdm05.yaml")
    assert (data.bones, data.hold_out, data.window_frames) == ("mean", "actor", 32)
    labels = read_labels(Path(), [name], data.labels, data.pattern)
    assert labels.clips[name].classes == {"content": "kickLFront1Reps", "actor": "bd"} and labels.cell_names == (
        "content",
    )
