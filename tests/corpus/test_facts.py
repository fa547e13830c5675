"""Facts of single files: up axis, unit, order of joints, rate, and the joint that travels."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from motionsynth.comparison.motions import file_motions
from motionsynth.corpus import plan, settling
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.conform import skeleton_signature
from motionsynth.corpus.convert import convert_path
from motionsynth.corpus.corpus import Corpus, open_corpus, prepare_clip
from motionsynth.corpus.facts import Facts, fact_notes
from motionsynth.corpus.inspect import Inspection, inspect_path
from motionsynth.corpus.plan import EncodeSettings
from motionsynth.errors import CorpusError
from motionsynth.features.encode import encode
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.convert import Conversion
from motionsynth.motion.measure import Up, detect_up, jumps_at_start, skeleton_height, up_axis
from motionsynth.motion.transform import order_joints, scale_lengths, to_y_up, turn
from tests.corpus.folders import PATTERN, cell_names, clip_of, longer_arm, open_folder, write_clips

FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
MIXED = ("mixed_up", "root_motion", "mixed_units", "wrong_frame_time", "tpose_first", "joint_order")


def open_fault(name: str, cache: Path, **options: object) -> Corpus:
    return open_corpus(DataConfig(path=FAULTS / name, **options), cache=cache, workers=1)


def features(corpus: Corpus) -> dict[str, torch.Tensor]:
    return {clip.file: corpus.features(clip.file) for clip in corpus.store.clips}


def above_feet(clip: Clip) -> np.ndarray:
    """(3,) how far the head is from the feet, along each axis, as a share of the height."""
    positions, names = clip.positions(), clip.skeleton.names
    feet = [names.index("LeftFoot"), names.index("RightFoot")]
    return (positions[:, names.index("Head")] - positions[:, feet].mean(1)).mean(0) / skeleton_height(clip)


# up axis


def test_each_file_is_turned_by_its_own_up_axis(tmp_path: Path) -> None:
    corpus = open_fault("mixed_up", tmp_path)
    assert len(corpus.store.clips) == 6
    for clip in corpus.store.clips:
        x, y, z = above_feet(corpus.real_clip(clip.file))
        assert y > 0.8 and abs(x) < 0.2 and abs(z) < 0.2, clip.file
    assert corpus.report.up == "z"
    assert (
        "2 files are y up, the other 4 z up; each is turned by its own axis: yup_4.bvh, yup_5.bvh"
        in corpus.report.notes
    )


def test_by_the_vote_of_the_folder_a_file_would_lie_on_its_side(tmp_path: Path) -> None:
    corpus = open_fault("mixed_up", tmp_path, up="z")  # the control: one axis for all
    assert above_feet(corpus.real_clip("zup_0.bvh"))[1] > 0.8
    assert abs(above_feet(corpus.real_clip("yup_4.bvh"))[1]) < 0.2


def test_a_corpus_with_files_turned_has_another_fingerprint_than_with_one_axis_for_all(tmp_path: Path) -> None:
    assert open_fault("mixed_up", tmp_path).fingerprint != open_fault("mixed_up", tmp_path, up="z").fingerprint


@pytest.mark.parametrize("majority", ["y", "z"])
def test_more_files_than_were_looked_at_decide_which_axis_is_the_corpus(tmp_path: Path, majority: str) -> None:
    """Nine of 21 files are looked at first: 5 of them of the minority."""
    source = read_bvh(FAULTS / "mixed_up" / "yup_4.bvh")
    minority = sorted(set(np.linspace(0, 20, 9).round().astype(int).tolist()))[:5]
    for number in range(21):
        z_up = (majority == "z") != (number in minority)
        write_bvh(turn(source, Z_UP) if z_up else source, tmp_path / f"{number:02d}.bvh")
    found = inspect_path(tmp_path, workers=1)
    assert found.skeletons[0].up == majority
    assert [file.file for file in found.loaded if file.up != majority] == [f"{n:02d}.bvh" for n in minority]


def lying(clip: Clip, place: tuple[float, float, float]) -> Clip:
    """A y-up person laid on the back, head along +z, hips 8 % of the height above the floor and at ``place`` there."""
    laid = turn(clip, np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]))
    names, positions = laid.skeleton.names, laid.positions()
    hips = positions[:, names.index("Hips")]
    wanted = np.array(place) + np.array([0, 0.08 * skeleton_height(clip), 0])
    translations = laid.translations.copy()
    translations[:, 0] += wanted - hips
    return replace(laid, translations=translations)


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (30.0, 0.0, -50.0), (-200.0, 0.0, 400.0)])
def test_a_person_who_lies_is_not_stood_up(tmp_path: Path, place: tuple[float, float, float]) -> None:
    names = ("yup_4.bvh", "yup_5.bvh")
    for name in names:
        shutil.copy(FAULTS / "mixed_up" / name, tmp_path)
    prone = lying(read_bvh(FAULTS / "mixed_up" / names[0]), place)
    assert up_axis(prone) == "z"
    assert detect_up(prone) == Up("z", certain=False)
    write_bvh(prone, tmp_path / "zz_prone.bvh")
    corpus = open_corpus(DataConfig(path=tmp_path), cache=tmp_path / "cache", workers=1)
    assert abs(above_feet(corpus.real_clip("zz_prone.bvh"))[1]) < 0.2
    (note,) = (note for note in corpus.report.notes if "zz_prone.bvh" in note)
    assert note.startswith("1 file seems z up, but perhaps the person lies: taken to be y up like the others")


@pytest.mark.parametrize("axis", ["y", "z"])
def test_people_who_stand_and_walk_show_their_axis_for_certain(axis: str) -> None:
    for path in sorted((FAULTS / "mixed_up").glob("*.bvh")):
        upright = to_y_up(read_bvh(path))
        clip = turn(upright, Z_UP) if axis == "z" else upright
        assert detect_up(clip) == Up(axis, certain=True)
        on_the_spot = clip.translations.copy()
        on_the_spot[:, 0] = on_the_spot[0, 0]
        assert detect_up(replace(clip, translations=on_the_spot)) == Up(axis, certain=True)


def test_real_people_who_stand_are_certain_and_who_lie_are_not(shared_mocap: Path) -> None:
    certain = [detect_up(read_bvh(path)) for path in sorted((shared_mocap / "exporters").glob("[abcm]*.bvh"))]
    assert Up("z", certain=True) in certain and Up("y", certain=True) in certain


# unit


def test_features_of_files_in_another_unit_are_those_of_their_twins(tmp_path: Path) -> None:
    corpus = open_fault("mixed_units", tmp_path)
    assert len(corpus.store.clips) == 6 and corpus.spec.metres_per_unit == 0.01
    assert "2 files are in m, 100 times smaller: scaled: m_4.bvh, m_5.bvh" in corpus.report.notes
    for file in ("m_4.bvh", "m_5.bvh"):
        twin = encode(scale_lengths(read_bvh(FAULTS / "mixed_units" / file), 100.0), corpus.spec)
        torch.testing.assert_close(corpus.features(file), twin, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("unit", ["m", "mm", "in"])
def test_files_that_data_convert_brought_to_another_unit_join_those_they_come_from(tmp_path: Path, unit: str) -> None:
    for path in sorted((FAULTS / "mixed_units").glob("cm_*.bvh")):
        shutil.copy(path, tmp_path)
    list(convert_path(tmp_path / "cm_0.bvh", tmp_path / "converted.bvh", Conversion(units=unit)))
    corpus = open_corpus(DataConfig(path=tmp_path), cache=tmp_path / "cache", workers=1)
    torch.testing.assert_close(corpus.features("converted.bvh"), corpus.features("cm_0.bvh"), rtol=1e-3, atol=2e-4)
    assert any(f"in {unit}, " in note and note.endswith(": converted.bvh") for note in corpus.report.notes)


def test_a_factor_that_is_no_unit_is_named_and_not_scaled(tmp_path: Path) -> None:
    write_clips(tmp_path, cell_names(3, ["walk_calm"]))
    write_bvh(scale_lengths(clip_of(9), 1.08), tmp_path / "walk_calm_009.bvh")
    with pytest.raises(CorpusError, match=r"009\.bvh: all its bones are 1\.08 times as long.*another size"):
        open_folder(tmp_path, tmp_path / "cache")


def test_another_person_in_another_unit_is_another_person(tmp_path: Path) -> None:
    write_clips(tmp_path, cell_names(3, ["walk_calm"]))
    write_bvh(scale_lengths(longer_arm(clip_of(9)), 0.01), tmp_path / "walk_calm_009.bvh")
    with pytest.raises(CorpusError, match=r"009\.bvh: its bone to .* differs by"):
        open_folder(tmp_path, tmp_path / "cache")


# order of joints


def test_joints_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    corpus = open_fault("joint_order", tmp_path)
    assert corpus.spec.names == read_bvh(FAULTS / "joint_order" / "plain_0.bvh").skeleton.names
    for file in ("reordered_4.bvh", "reordered_5.bvh"):
        clip = read_bvh(FAULTS / "joint_order" / file)
        assert clip.skeleton.names != corpus.spec.names
        ordered = order_joints(clip, corpus.spec.names)
        names = clip.skeleton.names
        before, after = clip.positions(), ordered.positions()
        for joint, name in enumerate(ordered.skeleton.names):
            np.testing.assert_array_equal(after[:, joint], before[:, names.index(name)])
        write_bvh(ordered, tmp_path / "twin.bvh")
        alone = encode(read_bvh(tmp_path / "twin.bvh"), corpus.spec)
        torch.testing.assert_close(corpus.features(file), alone, rtol=1e-5, atol=1e-5)
        prepared = encode(prepare_clip(FAULTS / "joint_order" / file, corpus.config, corpus.spec), corpus.spec)
        torch.testing.assert_close(prepared, corpus.features(file))
    assert any(
        note.startswith("2 files list their joints in another order, matched by name") for note in corpus.report.notes
    )


def test_end_sites_go_with_their_joints() -> None:
    clip = read_bvh(FAULTS / "joint_order" / "reordered_4.bvh")
    plain = read_bvh(FAULTS / "joint_order" / "plain_0.bvh").skeleton
    ordered = order_joints(clip, plain.names).skeleton
    assert ordered == plain
    assert order_joints(clip, clip.skeleton.names) is clip
    assert order_joints(clip, [*clip.skeleton.names[:-1], "Tail"]) is clip
    assert skeleton_signature(clip) == skeleton_signature(order_joints(clip, plain.names))


@pytest.mark.parametrize("change", ["m", "reordered"])
def test_a_clip_for_a_trained_run_may_be_in_another_unit_or_order(tmp_path: Path, change: str) -> None:
    corpus = open_fault("joint_order", tmp_path)
    clip = read_bvh(FAULTS / "joint_order" / "plain_0.bvh")
    other = read_bvh(FAULTS / "joint_order" / "reordered_4.bvh").skeleton.names
    write_bvh(scale_lengths(clip, 0.01) if change == "m" else order_joints(clip, other), tmp_path / "clip.bvh")
    prepared = prepare_clip(tmp_path / "clip.bvh", corpus.config, corpus.spec)
    torch.testing.assert_close(encode(prepared, corpus.spec), corpus.features("plain_0.bvh"), rtol=1e-3, atol=2e-4)


CONTROLS = {
    "mixed_units": ("_unit_ratios", lambda metres: {}, r"all its bones are 0\.01 times as long"),
    "joint_order": ("order_joints", lambda clip, names: clip, "its joints are in another order"),
}


@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_without_the_match_these_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    guard, instead, message = CONTROLS[name]
    monkeypatch.setattr(f"motionsynth.corpus.conform.{guard}", instead)
    with pytest.raises(CorpusError, match=rf"2 of 6 files cannot be used: .*{message}"):
        open_fault(name, tmp_path)


def test_clips_to_be_judged_may_be_in_another_unit_and_that_is_named(tmp_path: Path) -> None:
    corpus = open_fault("mixed_units", tmp_path / "cache", window_frames=16)
    clip = read_bvh(FAULTS / "mixed_units" / "cm_0.bvh")
    for name, one in {"a": clip, "b": clip, "c": scale_lengths(clip, 0.01)}.items():
        write_bvh(one, tmp_path / f"{name}.bvh")
    judged = file_motions(tmp_path, corpus)
    assert judged.takes == ("a.bvh", "b.bvh", "c.bvh")
    torch.testing.assert_close(judged.features_NTD[2], judged.features_NTD[0], rtol=1e-3, atol=2e-4)
    assert judged.notes == ("1 file is in m, 100 times smaller: scaled: c.bvh",)


# the joint that travels


def test_root_motion_rigs_train_alone_and_their_hips_come_back_where_they_were(tmp_path: Path) -> None:
    corpus = open_fault("root_motion", tmp_path)
    assert len(corpus.store.clips) == 6
    hips = corpus.spec.names.index("Hips")
    assert corpus.spec.moving_joint == hips
    for file in features(corpus):
        source = read_bvh(FAULTS / "root_motion" / file)
        decoded, wanted = corpus.real_clip(file).positions(), source.positions()
        ways = [positions[:, hips] - positions[:1, hips] * (1, 0, 1) for positions in (decoded, wanted)]
        turned = turn_to(ways[0], ways[1])
        np.testing.assert_allclose(turned, ways[1], atol=2e-5 * skeleton_height(source))
        spans = [np.linalg.norm(p[:, 2:, None] - p[:, None, 2:], axis=-1) for p in (decoded[:3], wanted[:3])]
        np.testing.assert_allclose(spans[0], spans[1], atol=1e-4 * skeleton_height(source))


def turn_to(way: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """A (T, 3) way turned about +Y so that it ends in the direction of another: features know no heading."""
    angles = [np.arctan2(one[-1, 0], one[-1, 2]) for one in (way, wanted)]
    c, s = np.cos(angles[1] - angles[0]), np.sin(angles[1] - angles[0])
    return way @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def with_root_held(clip: Clip) -> Clip:
    """The rig with the way over the ground moved down to the hips, so that the root stands still."""
    translations = clip.translations.copy()
    translations[:, 1] += translations[:, 0] - translations[:1, 0]
    translations[:, 0] = translations[0, 0]
    return replace(clip, translations=translations)


@pytest.mark.parametrize("odd", ["root held", "hips held"])
def test_files_of_one_rig_may_move_different_joints(tmp_path: Path, odd: str) -> None:
    for path in sorted((FAULTS / "root_motion").glob("*.bvh")):
        shutil.copy(path, tmp_path)
    clip = read_bvh(tmp_path / "take_0.bvh")
    if odd == "hips held":
        translations = clip.translations.copy()
        translations[:, 1] = translations[0, 1]
        clip = replace(clip, translations=translations)
    write_bvh(with_root_held(clip) if odd == "root held" else clip, tmp_path / "take_9.bvh")
    corpus = open_corpus(DataConfig(path=tmp_path), cache=tmp_path / "cache", workers=1)
    assert corpus.spec.names[corpus.spec.moving_joint] == "Hips"
    if odd == "root held":
        torch.testing.assert_close(corpus.features("take_9.bvh"), corpus.features("take_0.bvh"), rtol=1e-4, atol=1e-4)
    else:
        wanted = "the trajectory is the path of Hips; in 1 file only Root moves it: take_9.bvh"
        assert wanted in corpus.report.notes


def test_hips_that_move_in_a_few_files_alone_carry_the_trajectory_of_all(tmp_path: Path) -> None:
    """Nine of 20 files are looked at first, and none of the two in which the hips move."""
    clip = read_bvh(FAULTS / "root_motion" / "take_0.bvh")
    held = clip.translations.copy()
    held[:, 1] = held[0, 1]
    probed = set(np.linspace(0, 19, 9).round().astype(int).tolist())
    lifted = sorted(set(range(20)) - probed)[:2]
    for number in range(20):
        moved = clip if number in lifted else replace(clip, translations=held)
        write_bvh(moved, tmp_path / f"{number:02d}.bvh")
    corpus = open_corpus(DataConfig(path=tmp_path, split={"gap": 0}), cache=tmp_path / "cache", workers=1)
    assert corpus.skipped == ()
    assert corpus.spec.names[corpus.spec.moving_joint] == "Hips"


# rate, rest pose


def test_an_odd_frame_rate_is_named(tmp_path: Path) -> None:
    (note,) = (note for note in open_fault("wrong_frame_time", tmp_path).report.notes if "frames a second" in note)
    assert note.startswith("1 file declares 24 frames a second, where 5 of 6 declare 120: take_3.bvh")


def test_rates_that_differ_by_rounding_are_one() -> None:
    rates = {"a": 30.0, "b": 30.0, "c": 1 / 0.0333, "d": 29.97}
    assert fact_notes({file: Facts(rate) for file, rate in rates.items()}, "Hips", 30.0) == ()
    assert fact_notes({file: Facts(rate) for file, rate in (rates | {"e": 25.0}).items()}, "Hips", 30.0) != ()


def test_a_rest_pose_in_frame_0_is_named_with_what_cuts_it(tmp_path: Path) -> None:
    corpus = open_fault("tpose_first", tmp_path)
    (note,) = (note for note in corpus.report.notes if "jump" in note)
    assert note.startswith("6 files jump between frames 0 and 1") and "--slice 1:" in note
    list(convert_path(FAULTS / "tpose_first", tmp_path / "cut", Conversion(frames=slice(1, None))))
    cut = open_corpus(DataConfig(path=tmp_path / "cut"), cache=tmp_path, workers=1)
    assert not any("jump" in note for note in cut.report.notes)


def test_fast_motion_is_no_jump() -> None:
    clip = clip_of(1)
    assert not jumps_at_start(clip)
    assert not jumps_at_start(replace(clip, angles=clip.angles * 5))
    assert not jumps_at_start(clip[:3])


# inspect and open_corpus


def assert_agreement(found: Inspection, corpus: Corpus) -> None:
    assert set(found.usable) == {file.file for file in found.loaded} & set(corpus._stored)
    reasons = {refusal.file: refusal.reason for refusal in (*found.refused, *found.unusable)}
    labels = {entry.file for entry in corpus.skipped if entry.file in found.unlabelled and entry.file not in reasons}
    assert reasons == {entry.file: entry.reason for entry in corpus.skipped if entry.file not in labels}
    assert set(found.notes) <= set(corpus.report.notes)
    about_files = [note for note in corpus.report.notes if "file" in note]
    assert list(found.notes) == about_files


@pytest.mark.parametrize("name", MIXED)
def test_inspect_names_what_training_names(tmp_path: Path, name: str) -> None:
    found = inspect_path(FAULTS / name, workers=1)
    assert len(found.usable) == 6
    assert_agreement(found, open_fault(name, tmp_path))
    json.dumps(found.to_dict())


def test_inspect_shows_what_each_file_is() -> None:
    up = {file.file: file.up for file in inspect_path(FAULTS / "mixed_up", workers=1).loaded}
    assert up == {name: name[0] for name in up}
    units = {file.file: file.units for file in inspect_path(FAULTS / "mixed_units", workers=1).loaded}
    assert units == {name: name.split("_")[0] for name in units}
    assert len(inspect_path(FAULTS / "joint_order", workers=1).skeletons) == 1


def test_inspect_and_training_refuse_the_same_files_for_the_same_reasons(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", cell_names(4))
    write_bvh(longer_arm(clip_of(50)), folder / "walk_calm_050.bvh")
    write_bvh(clip_of(51)[:1], folder / "walk_calm_051.bvh")
    write_bvh(scale_lengths(clip_of(52), 1.1), folder / "walk_calm_052.bvh")
    write_bvh(clip_of(53), folder / "Nolabel.bvh")
    (folder / "walk_calm_054.bvh").write_text("HIERARCHIE\n")
    found = inspect_path(folder, labels="pattern", pattern=PATTERN, workers=1)
    corpus = open_folder(folder, tmp_path / "cache", labels="pattern", on_bad_file="skip")
    assert len(found.usable) == 8 and len(found.unusable) == 3 and len(found.refused) == 1
    assert_agreement(found, corpus)


def test_inspect_says_of_each_file_why_none_can_be_used(tmp_path: Path) -> None:
    for name in ("a.bvh", "b.bvh"):
        write_bvh(clip_of(1)[:1], tmp_path / name)
    found = inspect_path(tmp_path, workers=1)
    assert (len(found.loaded), found.usable) == (2, ())
    assert [refusal.reason for refusal in found.unusable] == [
        f"{tmp_path / n}: fewer than 2 frames" for n in ("a.bvh", "b.bvh")
    ]


def test_inspect_reads_with_the_settings_that_training_has_by_default() -> None:
    assert EncodeSettings() == EncodeSettings.of(DataConfig())


def test_a_corpus_of_one_kind_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_clips(tmp_path / "clips", cell_names(6))
    made: list[int] = []
    make = plan.make_plan

    def counted(*arguments: object, **options: object) -> plan.Plan:
        made.append(1)
        return make(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(settling, "make_plan", counted)
    corpus = open_folder(folder, tmp_path / "cache")
    assert made == [1]
    assert not any("file" in note for note in corpus.report.notes)
    assert {clip.facts._replace(mover="") for clip in corpus.store.clips} == {
        Facts(corpus.store.clips[0].facts.frame_rate)
    }
