"""Clips leave into the user's world: its up axis, unit and frame rate, and upon the clip that they were made of."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionsynth import open_run, read_bvh, write_bvh
from motionsynth.comparison.motions import file_motions
from motionsynth.config import resolve_config
from motionsynth.corpus.corpus import file_up, open_corpus, prepare_clip
from motionsynth.features.encode import decode, encode
from motionsynth.features.placement import Placement, place, placement_of
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.clip import Clip
from motionsynth.motion.measure import detect_units, up_axis
from motionsynth.motion.names import portable_names, rename_joints
from motionsynth.motion.resample import resample
from motionsynth.motion.transform import Z_UP_TO_Y_UP, scale_lengths, to_y_up, turn
from motionsynth.runs.export import Export, Source
from motionsynth.runs.generation import reconstruct
from motionsynth.runs.run import Run
from motionsynth.runs.sampling import draw_samples
from motionsynth.runs.train import train
from tests.cli.invocation import Invoke
from tests.motion.clips import walk
from tests.test_without_posix import without_posix

FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"
TINY = ("train.steps=2", "train.batch_size=4", "train.threads=1", "family.backbone={kind: conv, widths: [8,8,8,8]}")


def z_up(clip: Clip) -> Clip:
    """The same motion in a world whose z points up."""
    return turn(clip, Z_UP_TO_Y_UP.T)


def elsewhere(clip: Clip, seed: int) -> Clip:
    """The same motion, begun somewhere else and heading another way."""
    random = np.random.default_rng(seed)
    angle, (x, z) = random.uniform(-np.pi, np.pi), random.uniform(-300, 300, 2)
    c, s = np.cos(angle), np.sin(angle)
    turned = turn(clip, np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]))
    translations = np.array(turned.translations)
    translations[:, 0] += (x, 0, z)
    return Clip(turned.skeleton, clip.frame_time, turned.angles, translations)


def mixamo(clip: Clip) -> Clip:
    return rename_joints(clip, [f"mixamorig:{name}" for name in clip.skeleton.names])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips with z up, in centimetres, 120 frames a second (written as 0.008333), with names of Mixamo."""
    folder = tmp_path_factory.mktemp("data") / "mocap"
    folder.mkdir()
    for seed in range(12):
        clip = z_up(mixamo(elsewhere(walk(150, 120.0, seed), seed)))
        write_bvh(Clip(clip.skeleton, 0.008333, clip.angles, clip.translations), folder / f"take_{seed:02}.bvh")
    return folder


def trained(corpus: Path, folder: Path, *overrides: str) -> Path:
    config = resolve_config("ae", data=corpus, overrides=(*TINY, *overrides))
    return train(config, run_dir=folder / "run", track=False).run.path


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at 30 frames a second."""
    return trained(corpus, tmp_path_factory.mktemp("runs"), "data.window_frames=16")


@pytest.fixture
def faithful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that gives back what it is given; asked for after the run is trained."""
    monkeypatch.setattr("motionsynth.families.ae.Autoencoder.reconstruct", lambda _, batch: batch.motion_BTD)


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("seed", range(3))
def test_a_decoded_clip_is_placed_upon_its_own(up: str, seed: int) -> None:
    clip = elsewhere(walk(60, 30.0, seed), seed)
    spec = FeatureSpec.for_clip(clip, frame_rate=30.0, metres_per_unit=0.01)
    decoded = decode(encode(clip, spec), spec)
    target = z_up(clip) if up == "z" else clip
    placed = place(decoded, spec, placement_of(clip, spec), "z" if up == "z" else "y")
    moving = slice(spec.moving_joint, None)
    assert np.abs(placed.positions() - target.positions())[:, moving].max() < 5e-3  # of centimetres
    assert np.abs(decoded.positions() - target.positions())[:, moving].max() > 10  # the control
    others = [joint for joint in range(len(spec.names)) if joint != spec.moving_joint]
    assert placed.angles[:, others].tobytes() == decoded.angles[:, others].tobytes()
    assert np.abs(np.diff(placed.angles, axis=0)).max() < 90
    assert place(decoded, spec) is decoded and astuple(placement_of(decoded, spec)) == pytest.approx(
        (0, 0, 0), abs=1e-6
    )


def test_run_json_holds_what_exports_need(run: Path) -> None:
    record = open_run(run).record
    assert (record.up, record.source_rate) == ("z", 120.0)
    assert record.features["frame_rate"] == 30.0


def test_generated_clips_are_in_the_world_of_the_corpus(
    invoke: Invoke, corpus: Path, run: Path, tmp_path: Path
) -> None:
    result = invoke("generate", run, "-n", 2, "--out", tmp_path / "clips")
    assert result.code == 0
    assert "20 joint names changed" in result.err and "'mixamorig:Hips'" in result.err
    assert result.err.endswith("  and 17 more\n")
    theirs = read_bvh(corpus / "take_00.bvh")
    for path in (tmp_path / "clips").glob("*.bvh"):
        clip = read_bvh(path)
        assert up_axis(clip) == "z"
        assert clip.frame_rate == pytest.approx(120) and len(clip) == 15 * 4 + 1
        assert detect_units(clip).name == "cm"
        assert clip.skeleton.names == portable_names(theirs.skeleton.names)
        assert np.abs(clip.positions()[0, 1, :2]).max() < 1e-6 < clip.positions()[0, 1, 2]


def test_options_ask_for_another_world(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    options = ("--up", "y", "--fps", 60, "--units", "m", "--keep-names")
    result = invoke("generate", run, "-n", 1, "--out", tmp_path / "a", *options)
    assert result.code == 0 and not result.err
    assert invoke("generate", run, "-n", 1, "--out", tmp_path / "b").code == 0
    own, usual = read_bvh(tmp_path / "a" / "0000.bvh"), read_bvh(tmp_path / "b" / "0000.bvh")
    assert own.skeleton.names[1] == "mixamorig:Hips"
    assert own.frame_rate == pytest.approx(60)
    expected = resample(to_y_up(scale_lengths(usual, 0.01), "z"), 60)
    assert len(own) == len(expected) == 31
    np.testing.assert_allclose(own.positions(), expected.positions(), rtol=0, atol=2e-6)
    result = invoke("generate", run, "-n", 1, "--out", tmp_path / "c", "--units", "ell")
    assert result.code == 2 and "--units: unknown unit 'ell'; known: m, cm, mm, in" in result.err
    assert not (tmp_path / "c").exists()
    assert invoke("generate", run, "-n", 1, "--out", tmp_path / "c", "--up", "x").code == 2


@pytest.fixture
def fast_run(corpus: Path, tmp_path: Path) -> Path:
    """A run at the rate of the files, so that nothing is filtered."""
    return trained(corpus, tmp_path, "data.window_frames=64", "data.frame_rate=120")


def test_reconstructions_lie_upon_their_clips(corpus: Path, fast_run: Path, faithful: None, tmp_path: Path) -> None:
    for path in sorted(corpus.iterdir())[:3]:
        (written,) = reconstruct(fast_run, [path], tmp_path / path.stem)
        theirs, ours = read_bvh(path), read_bvh(written)
        assert ours.frame_rate == pytest.approx(120) and len(ours) == len(theirs)
        off = np.abs(ours.positions() - theirs.positions())[:, 1:]
        assert off.max() < 0.02  # centimetres, summed up over 150 float32 steps
        away = theirs.positions()[0, 1] - (0, 0, theirs.positions()[0, 1, 2])
        assert np.linalg.norm(away) > 1  # the control: it does not start at the origin


@pytest.mark.usefixtures("faithful")
def test_a_clip_with_another_up_axis_keeps_it(corpus: Path, run: Path, tmp_path: Path) -> None:
    upright = elsewhere(mixamo(walk(150, 120.0, 38)), 38)
    write_bvh(upright, tmp_path / "upright.bvh")
    (written,) = reconstruct(run, [tmp_path / "upright.bvh"], tmp_path / "out")
    ours, theirs = read_bvh(written), resample(resample(upright, 30.0), 120.0)
    assert up_axis(ours) == "y"
    assert np.abs(ours.positions() - theirs.positions()[: len(ours)])[:, 1:].max() < 0.05


def test_a_clip_in_another_unit_keeps_it(run: Path, tmp_path: Path) -> None:
    opened = open_run(run)
    clip = elsewhere(mixamo(walk(150, 120.0, 42)), 42)
    decoded = decode(encode(resample(clip, 30.0), opened.spec()), opened.spec())
    write_bvh(clip, tmp_path / "cm.bvh")
    write_bvh(scale_lengths(clip, 0.01), tmp_path / "m.bvh", decimals=None)
    own, metres = (Source.of(opened, tmp_path / name) for name in ("cm.bvh", "m.bvh"))
    assert own.scale == 1.0 and metres.scale == pytest.approx(0.01)
    assert astuple(metres.start) == pytest.approx(astuple(own.start), abs=1e-3)
    in_cm, in_m = (Export(frame_rate=30.0).apply(decoded, opened, source) for source in (own, metres))
    np.testing.assert_allclose(in_m.positions(), 0.01 * in_cm.positions(), rtol=0, atol=1e-5)
    off = in_cm.positions()[:, 1:] - resample(clip, 30.0).positions()[:, 1:]
    assert np.abs(off).max() < 0.02
    back = Export(frame_rate=30.0, units="cm").apply(decoded, opened, metres)
    np.testing.assert_allclose(back.positions(), in_cm.positions(), rtol=0, atol=1e-3)


def test_a_clip_that_does_not_show_its_up_axis_has_that_of_the_corpus(run: Path) -> None:
    data = open_run(run).config.data
    certain, doubtful = (elsewhere(mixamo(walk(150, 120.0, seed)), seed) for seed in (42, 41))
    assert (file_up(certain, data, "z"), file_up(doubtful, data, "z")) == ("y", "z")
    assert file_up(doubtful, data, None) == "y", "the control: by its pose alone"


def test_generated_clips_are_evaluated_as_they_were_drawn(
    invoke: Invoke,
    corpus: Path,
    run: Path,
    tmp_path: Path,
) -> None:
    """Though they are written with z up, 120 frames a second and other names: interpolation is taken back exactly."""
    assert invoke("generate", run, "-n", 3, "--out", tmp_path / "clips").code == 0
    opened = open_run(run)
    there = open_corpus(opened.config.data, cache=tmp_path / "cache", workers=1)
    read = file_motions(tmp_path / "clips", there)
    drawn = opened.normaliser().denormalise(draw_samples(opened, 3, 0).motion_NTD)
    again = torch.stack([encode(decode(window, there.spec), there.spec) for window in drawn])
    columns = [where for name, where in there.spec.slices.items() if name != "foot_contacts"]
    for where in columns:
        torch.testing.assert_close(read.features_NTD[..., where], again[..., where], rtol=0, atol=2e-4)


def test_a_reconstruction_can_be_reconstructed(corpus: Path, run: Path, tmp_path: Path) -> None:
    (once,) = reconstruct(run, [corpus / "take_03.bvh"], tmp_path / "once")
    opened = open_run(run)
    again = prepare_clip(once, opened.config.data, opened.spec())
    assert again.skeleton.names == opened.spec().names != read_bvh(once).skeleton.names


def test_runs_of_earlier_versions_still_write(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    for key in ("up", "source_rate"):
        del record[key]
    old: Any = object.__new__(Run)
    old.__dict__.update(open_run(run).__dict__)
    old.record = type(old.record).model_validate(record)
    from motionsynth.runs.generation import write_windows

    (path,) = write_windows(old, torch.zeros(1, 16, old.record.width), tmp_path, ["old"])
    clip = read_bvh(path)
    assert clip.frame_rate == pytest.approx(30) and up_axis(clip) == "y"


def test_generating_needs_nothing_that_windows_lacks(corpus: Path, run: Path, tmp_path: Path) -> None:
    generate = ("generate", run, "-n", 2, "--out", tmp_path / "clips")
    back = ("reconstruct", run, corpus / "take_05.bvh", "--out", tmp_path / "back")
    done = without_posix(*generate, "--then", *back, "--then", "runs", "list", "--folder", run.parent)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "clips").glob("*.bvh"))) == 2
    assert len(list((tmp_path / "back").glob("*.bvh"))) == 1
    assert "finished" in done.stdout


def test_convert_prints_what_it_renamed(invoke: Invoke, tmp_path: Path) -> None:
    convert = ("data", "convert", FAULTS / "names_bracket.bvh", tmp_path / "out.bvh", "--portable")
    result = invoke(*convert)
    assert result.code == 0
    assert "2 joint names changed" in result.err
    assert result.err.splitlines()[1:] == [
        "  'LeftUpLeg[1]'   'LeftUpLeg_1'",
        "  'RightUpLeg[1]'  'RightUpLeg_1'",
    ]
    kept = invoke(*convert[:3], tmp_path / "kept.bvh", "--portable", "--keep-names")
    assert kept.code == 0 and not kept.err
    assert read_bvh(tmp_path / "kept.bvh").skeleton.names == ("Hips", "LeftUpLeg[1]", "RightUpLeg[1]")


@pytest.mark.parametrize("times", [2, 3, 4, 10])
def test_what_was_interpolated_comes_back_frame_for_frame(times: int, tmp_path: Path) -> None:
    clip = walk(40, 30.0, seed=2)
    write_bvh(resample(clip, 30.0 * times), tmp_path / "fast.bvh")
    back = resample(read_bvh(tmp_path / "fast.bvh"), 30.0)
    assert len(back) == len(clip)
    assert np.abs(back.positions() - clip.positions()).max() < 1e-5
    recorded = walk(40 * times, 30.0 * times, seed=2)
    filtered = resample(recorded, 30.0)
    assert np.abs(filtered.positions() - recorded.positions()[::times]).max() > 1e-4  # the control: it is low-passed


def test_between_two_clips_the_turn_is_the_shorter_one() -> None:
    first, last = Source(Placement(0.0, 10.0, np.deg2rad(170)), "y"), Source(Placement(8.0, 0.0, np.deg2rad(-150)), "z")
    half = first.toward(last, 0.5)
    assert astuple(half.start) == pytest.approx((4.0, 5.0, np.deg2rad(190)))
    assert first.toward(last, 0.0) == first
    assert np.cos(first.toward(last, 1.0).start.heading - last.start.heading) == pytest.approx(1.0)


def test_placements_are_of_the_first_frame() -> None:
    clip = elsewhere(walk(30), 7)
    spec = FeatureSpec.for_clip(clip, frame_rate=60.0, metres_per_unit=0.01)
    start = placement_of(clip, spec)
    assert (start.x, start.z) == pytest.approx(clip.positions()[0, 1, [0, 2]].tolist())
    assert placement_of(clip[10:], spec) != start
    assert place(decode(encode(clip, spec), spec), spec, Placement(1.0, 2.0, 0.0)).positions()[
        0, 0, ::2
    ] == pytest.approx([1.0, 2.0])
