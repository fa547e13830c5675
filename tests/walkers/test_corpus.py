"""The walkers corpus: what it promises about modes, feet, spectrum, takes and shared frames, measured on the clips."""

from __future__ import annotations

import csv
import itertools
import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from motionsynth.errors import CorpusError
from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import FloatArray
from motionsynth.walkers.body import TOE_HEIGHT
from motionsynth.walkers.corpus import (
    CELLS,
    OVERLAPPING,
    SKELETON,
    WalkerParameters,
    count_clips,
    make_walkers,
    plan_walkers,
    walker_clip,
)

SMALL = 60
TOES = [SKELETON.names.index(side + "Toes") for side in ("Left", "Right")]
FEET = [SKELETON.names.index(side + "Foot") for side in ("Left", "Right")]
RATE = 30.0


def cell_of(parameters: WalkerParameters) -> str:
    return f"{parameters.content}/{parameters.style}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "walkers"
    make_walkers(path, clips=SMALL, seed=3)
    return path


@pytest.fixture(scope="module")
def clips() -> list[tuple[WalkerParameters, Clip]]:
    """Four hundred clips in memory, the rare cell among them four times."""
    return [(w.parameters, walker_clip(w.parameters)) for w in plan_walkers(400, seed=1)[0]]


@pytest.fixture(scope="module")
def positions(clips: list[tuple[WalkerParameters, Clip]]) -> list[FloatArray]:
    return [clip.positions() for _, clip in clips]


# ------------------------------------------------------------------ the files


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_same_seed_same_bytes(folder: Path, tmp_path: Path) -> None:
    make_walkers(tmp_path / "again", clips=SMALL, seed=3)
    assert contents(tmp_path / "again") == contents(folder)
    make_walkers(tmp_path / "other", clips=SMALL, seed=4)
    other, first = contents(tmp_path / "other"), contents(folder)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)


def test_labels_give_the_clips_back(folder: Path) -> None:
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["file", "take", "content", "style"]
    assert len(rows) == SMALL == len({row["file"] for row in rows})
    assert {row["file"] for row in rows} == {path.name for path in folder.glob("*.bvh")}
    for row in rows[::6]:
        made, read = walker_clip(WalkerParameters.from_row(row)), read_bvh(folder / row["file"])
        assert read.skeleton == made.skeleton == SKELETON
        assert read.frame_time == made.frame_time == 1 / RATE
        np.testing.assert_array_equal(read.angles, made.angles)
        np.testing.assert_array_equal(read.translations, made.translations)


def test_description_tells_what_is_known(folder: Path) -> None:
    told = json.loads((folder / "walkers.json").read_text())
    assert (told["seed"], told["clips"], told["units"], told["frame_rate"], told["version"]) == (
        3,
        SMALL,
        "cm",
        RATE,
        1,
    )
    assert sum(cell["weight"] for cell in told["cells"]) == pytest.approx(1.0, abs=1e-12)
    assert sum(cell["clips"] for cell in told["cells"]) == SMALL
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ranges = {cell["name"]: cell["ranges"] for cell in told["cells"]}
    for row in rows:
        for name, (low, high) in ranges[f"{row['content']}/{row['style']}"].items():
            assert low <= float(row[name]) <= high


def test_finished_corpus_is_left_alone(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    make_walkers(folder, clips=SMALL, seed=3)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_what_is_not_this_corpus_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="other parameters"):
        make_walkers(folder, clips=SMALL, seed=4)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(CorpusError, match="holds no walkers corpus"):
        make_walkers(tmp_path / "mine", clips=2)
    with pytest.raises(CorpusError, match="not a folder"):
        make_walkers(tmp_path / "mine" / "notes.txt", clips=2)
    assert contents(tmp_path / "mine") == {"notes.txt": b"keep me"}
    (tmp_path / "empty").mkdir()
    make_walkers(tmp_path / "empty", clips=2)
    names = {path.name for path in (tmp_path / "empty").iterdir()}
    assert len(names) == 4
    min((tmp_path / "empty").glob("*.bvh")).unlink()
    with pytest.raises(CorpusError, match="1 files are gone"):
        make_walkers(tmp_path / "empty", clips=2)


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        assert total == 40
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_walkers(tmp_path / "walkers", clips=40, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from motionsynth.walkers.corpus import make_walkers\n"
        "make_walkers(Path(sys.argv[1]), clips=40, progress=lambda done, total: done == 5 and os.kill(os.getpid(), 9))"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "walkers")], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "walkers").exists()
    make_walkers(tmp_path / "walkers", clips=4)
    assert len(contents(tmp_path / "walkers")) == 6


def test_progress_counts_every_clip(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_walkers(tmp_path / "walkers", clips=7, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 7) for done in range(1, 8)]


# ------------------------------------------------------------------ the plan


def test_cells_have_their_weights() -> None:
    weights = {name: cell.weight for name, cell in CELLS.items()}
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert len(weights) >= 8
    assert len(set(weights.values())) > 5
    assert min(weights.values()) == pytest.approx(0.01)
    walkers, _ = plan_walkers(1000, seed=0)
    counts = Counter(cell_of(w.parameters) for w in walkers)
    assert counts == {name: round(1000 * weight) for name, weight in weights.items()}
    expected = [1000 * weight for weight in weights.values()]
    assert chisquare([counts[name] for name in weights], expected).pvalue > 0.99
    for total in (1, 7, 137, 2048):
        counted = count_clips(total)
        assert sum(counted.values()) == total
        assert all(abs(counted[name] - total * weight) < 1 for name, weight in weights.items())


@pytest.mark.parametrize(("clips", "seed"), [(0, 0), (-3, 0), (5, -1)])
def test_misuse_is_refused(clips: int, seed: int) -> None:
    with pytest.raises(ValueError, match=r"at least one|negative"):
        plan_walkers(clips, seed)


def test_every_parameter_is_uniform_on_its_range() -> None:
    """The last takes of many series: the walk from take to take has had its chance to spoil the distribution."""
    last: dict[tuple[int, str, int], WalkerParameters] = {}
    for seed in range(12):
        for walker in plan_walkers(1000, seed)[0]:
            last[seed, cell_of(walker.parameters), walker.series] = walker.parameters
    p_values = {}
    for name in ("walk/normal", "run/active", "raise/elderly", "squat/active"):
        chosen = [p for (_, cell, _), p in last.items() if cell == name]
        for key, (low, high) in CELLS[name].ranges.items():
            values = (np.array([getattr(p, key) for p in chosen]) - low) / (high - low)
            p_values[name, key] = kstest(values, "uniform").pvalue
    assert min(p_values.values()) > 0.01 / len(p_values)


def test_takes_are_in_order_and_neighbours_near_duplicates() -> None:
    walkers, _ = plan_walkers(1000, seed=0)
    cell = CELLS["walk/normal"]
    takes = [w for w in walkers if cell_of(w.parameters) == cell.name]
    assert [w.take for w in takes] == list(range(1, len(takes) + 1))
    assert all(w.file == f"walk_normal_{w.take:03d}.bvh" for w in takes)
    unit = np.array([[(getattr(w.parameters, k) - a) / (b - a) for k, (a, b) in cell.ranges.items()] for w in takes])
    gaps = np.abs(np.diff(unit, axis=0)).mean(axis=1)
    same = np.array([a.series == b.series for a, b in itertools.pairwise(takes)])
    assert 0.4 < same.mean() < 0.9
    assert gaps[same].max() < 0.06 < 0.15 < gaps[~same].min()


def test_clip_lengths_vary() -> None:
    frames = np.array([w.parameters.frames for w in plan_walkers(1000, seed=0)[0]])
    assert 40 <= frames.min() < 64
    assert frames.max() <= 200
    assert 95 <= np.median(frames) <= 135
    assert 0.01 < np.mean(frames < 64) < 0.15


def test_a_gap_between_all_cells_but_one_pair() -> None:
    """Two cells are apart where some parameter's ranges do not touch."""
    whole = {name: defaultdict(lambda: (0.0, 0.0), cell.ranges) for name, cell in CELLS.items()}
    touching = []
    for first, second in itertools.combinations(CELLS, 2):
        names = {*CELLS[first].ranges, *CELLS[second].ranges}
        a, b = whole[first], whole[second]
        if all(a[name][0] <= b[name][1] and b[name][0] <= a[name][1] for name in names):
            touching.append((first, second))
    assert touching == [OVERLAPPING]


# ------------------------------------------------------------------ shared stretches


def rows(clip: Clip) -> list[bytes]:
    return [row.tobytes() for row in np.concatenate([clip.translations[:, 0], clip.angles.reshape(len(clip), -1)], 1)]


def test_recorded_stretches_are_shared_bit_for_bit_and_nothing_else_is() -> None:
    walkers, shared = plan_walkers(400, seed=1)
    assert len(plan_walkers(1000, seed=0)[1]) == 8
    assert len(shared) == 3
    where: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for walker in walkers:
        for frame, row in enumerate(rows(walker_clip(walker.parameters))):
            where[row].append((walker.file, frame))
    found = {tuple(places) for places in where.values() if len(places) > 1}
    declared = {
        tuple((file, start + k) for file, start in zip(s.files, s.starts, strict=True))
        for s in shared
        for k in range(s.length)
    }
    assert found == declared
    assert all(105 <= s.length <= 145 for s in shared)


def test_shared_stretches_survive_the_files(folder: Path) -> None:
    (stretch,) = json.loads((folder / "walkers.json").read_text())["shared_stretches"]
    first, second = (rows(read_bvh(folder / file)) for file in stretch["files"])
    (a, b), length = stretch["starts"], stretch["length"]
    assert first[a : a + length] == second[b : b + length]
    assert a + length == len(first)


# ------------------------------------------------------------------ the motion


def planted(toe: FloatArray) -> np.ndarray:
    """(T-1, 2) whether a toe joint is on the plateau at both ends of each frame step."""
    down = np.abs(toe[..., 1] - TOE_HEIGHT) < 1e-4
    return np.asarray(down[1:] & down[:-1])


def slide(toe: FloatArray) -> float:
    """Greatest horizontal speed of a planted toe joint in cm/s."""
    speed = np.linalg.norm(np.diff(toe[..., ::2], axis=0), axis=-1) * RATE
    return float(speed[planted(toe)].max(initial=0.0))


def test_planted_feet_do_not_slide(clips: list[tuple[WalkerParameters, Clip]], positions: list[FloatArray]) -> None:
    shares = defaultdict(list)
    for (parameters, _), world in zip(clips, positions, strict=True):
        toe = world[:, TOES]
        assert slide(toe) < 0.1, cell_of(parameters)
        assert toe[..., 1].min() > TOE_HEIGHT - 1e-4, cell_of(parameters)
        shares[parameters.content].append(planted(toe).mean())
    assert np.mean(shares["walk"]) > 0.5
    assert 0.15 < np.mean(shares["run"]) < 0.4
    assert np.mean(shares["idle"]) == 1.0
    pushed = positions[0][:, TOES] + np.arange(len(positions[0]))[:, None, None] * np.array([0.1, 0.0, 0.0])
    assert slide(pushed) > 2.0  # the measure sees a slide of 3 cm/s


def test_nothing_goes_through_the_floor(
    clips: list[tuple[WalkerParameters, Clip]], positions: list[FloatArray]
) -> None:
    for (parameters, clip), world in zip(clips, positions, strict=True):
        assert world[..., 1].min() >= TOE_HEIGHT - 1e-4, cell_of(parameters)
        turned = world_rotations(clip)
        heel = world[:, FEET] + turned[:, FEET] @ np.array([0.0, -9.0, -5.0])
        tip = world[:, TOES] + turned[:, TOES] @ np.array([0.0, -1.5, 6.5])
        assert heel[..., 1].min() > -1e-3, cell_of(parameters)
        assert tip[..., 1].min() > 0.5, cell_of(parameters)


def world_rotations(clip: Clip) -> FloatArray:
    out = clip.rotations()
    for joint, parent in enumerate(clip.skeleton.parents):
        if parent >= 0:
            out[:, joint] = out[:, parent] @ out[:, joint]
    return out


def test_a_human_body_moves(clips: list[tuple[WalkerParameters, Clip]], positions: list[FloatArray]) -> None:
    """Bones keep their length, knees bend backwards only, no joint jumps, arms swing against the legs."""
    knees = [SKELETON.names.index(side + "LowerLeg") for side in ("Left", "Right")]
    lengths = np.linalg.norm(SKELETON.offsets[1:], axis=1)
    for (parameters, clip), world in zip(clips, positions, strict=True):
        bones = np.linalg.norm(world[:, 1:] - world[:, list(SKELETON.parents[1:])], axis=-1)
        np.testing.assert_allclose(bones, np.broadcast_to(lengths, bones.shape), atol=1e-9)
        local = clip.rotations()
        flexion = np.degrees(np.arctan2(local[:, knees, 2, 1], local[:, knees, 1, 1]))
        assert flexion.min() > 0.0, cell_of(parameters)
        assert flexion.max() < 140.0, cell_of(parameters)
        step = np.swapaxes(local[:-1], -1, -2) @ local[1:]
        turned = np.degrees(np.arccos(np.clip((np.trace(step, axis1=-2, axis2=-1) - 1) / 2, -1, 1)))
        assert turned.max() < 40.0, cell_of(parameters)


def test_arms_swing_against_legs(clips: list[tuple[WalkerParameters, Clip]], positions: list[FloatArray]) -> None:
    names = SKELETON.names
    for (parameters, _), world in zip(clips, positions, strict=True):
        if parameters.content != "walk" or parameters.style == "elderly":
            continue
        heading = np.radians(parameters.heading + parameters.turn_rate * np.arange(len(world)) / RATE)
        forward = np.stack([np.sin(heading), 0 * heading, np.cos(heading)], -1)
        ahead = np.einsum("tjc,tc->tj", world - world[:, :1], forward)
        leg, arm = (ahead[:, names.index("Left" + part)] for part in ("Foot", "Hand"))
        assert np.corrcoef(leg, arm)[0, 1] < -0.5


def test_parameters_are_seen_in_the_motion(
    clips: list[tuple[WalkerParameters, Clip]], positions: list[FloatArray]
) -> None:
    for (p, _), world in zip(clips, positions, strict=True):
        seconds = (len(world) - 1) / RATE
        if p.content in ("walk", "run"):
            went = np.linalg.norm(world[-1, 0, ::2] - world[0, 0, ::2])
            arc = np.radians(p.turn_rate) * seconds
            chord = p.cadence * p.step_length * seconds * np.sinc(arc / 2 / np.pi)
            assert went == pytest.approx(chord, abs=10.0)
        if p.content == "idle":
            assert np.linalg.norm(world[:, 0] - world[0, 0], axis=-1).max() < 6.0
        start = world[0, 0, ::2] - (p.start_x, p.start_z)
        assert np.linalg.norm(start) < 20.0 or p.skip


def test_frames_outside_the_performance_are_refused() -> None:
    parameters = plan_walkers(5)[0][0].parameters
    whole = walker_clip(parameters)
    part = walker_clip(replace(parameters, skip=10, frames=20))
    np.testing.assert_array_equal(part.angles, whole.angles[10:30])
    with pytest.raises(ValueError, match="not within"):
        walker_clip(replace(parameters, skip=1))


def test_corners_of_the_ranges_stay_within_the_body() -> None:
    generator = np.random.default_rng(0)
    for cell in CELLS.values():
        some = next(w.parameters for w in plan_walkers(200)[0] if cell_of(w.parameters) == cell.name)
        for _ in range(12):
            corner = {name: ends[generator.integers(2)] for name, ends in cell.ranges.items()}
            values = {name: getattr(some, name) for name in WalkerParameters.__dataclass_fields__} | corner
            assert np.isfinite(walker_clip(WalkerParameters(**values)).angles).all()


# ------------------------------------------------------------------ the spectrum


def windows(world: FloatArray) -> Iterator[FloatArray]:
    """64-frame windows (64, 66) of positions relative to where the hips are over the floor."""
    relative = (world - world[:, :1] * np.array([1.0, 0.0, 1.0])).reshape(len(world), -1)
    for start in range(0, len(world) - 63, 32):
        cut = relative[start : start + 64]
        yield (cut - cut.mean(axis=0)) * np.hanning(64)[:, None]


@pytest.fixture(scope="module")
def spectra(clips: list[tuple[WalkerParameters, Clip]], positions: list[FloatArray]) -> dict[str, FloatArray]:
    by_cell: dict[str, list[FloatArray]] = defaultdict(list)
    for (parameters, _), world in zip(clips, positions, strict=True):
        for window in windows(world):
            by_cell[cell_of(parameters)].append((np.abs(np.fft.rfft(window, axis=0)) ** 2).mean(axis=1))
    return {name: np.mean(found, axis=0) for name, found in by_cell.items()}


FREQUENCIES = np.fft.rfftfreq(64, 1 / RATE)


def test_spectrum_is_broad_and_falls_five_decades(spectra: dict[str, FloatArray]) -> None:
    whole = np.sum([CELLS[name].weight * spectrum for name, spectrum in spectra.items()], axis=0)
    assert 1e-6 < whole[-3:].mean() / whole.max() < 5e-5
    band = (FREQUENCIES > 2) & (FREQUENCIES < 14)
    for name, spectrum in spectra.items():
        slope, _ = np.polyfit(np.log10(FREQUENCIES[band]), np.log10(spectrum[band]), 1)
        assert -6.5 < slope < -2.0, name
        # Broadband: between the harmonics of the steps the power falls to no more than a fiftieth of the trend.
        trend = np.polyval(
            np.polyfit(np.log10(FREQUENCIES[band]), np.log10(spectrum[band]), 2), np.log10(FREQUENCIES[band])
        )
        assert (np.log10(spectrum[band]) - trend).min() > -1.7, name


def test_cells_differ_in_energy_above_five_hertz(spectra: dict[str, FloatArray]) -> None:
    energy = {name: spectrum[FREQUENCIES > 5].sum() for name, spectrum in spectra.items()}
    mean = sum(CELLS[name].weight * value for name, value in energy.items())
    relative = {name: value / mean for name, value in energy.items()}
    assert min(relative.values()) < 0.02
    assert max(relative.values()) > 1.4
    assert relative["idle/normal"] < relative["walk/elderly"] < relative["walk/normal"] < relative["run/active"]
    assert relative["raise/elderly"] < 0.1 * relative["raise/active"]


# ------------------------------------------------------------------ modes as a classifier sees them


def summary(p: WalkerParameters, world: FloatArray) -> FloatArray:
    """Mean and spread of the joints seen from the hips, and how fast the hips go: nothing that names a parameter."""
    relative = world - world[:, :1] * np.array([1.0, 0.0, 1.0])
    across = world[:, SKELETON.names.index("LeftUpperLeg")] - world[:, SKELETON.names.index("RightUpperLeg")]
    left = across[:, ::2] / np.linalg.norm(across[:, ::2], axis=-1, keepdims=True)
    axes = np.stack([left, np.stack([-left[:, 1], left[:, 0]], -1)], axis=1)
    planar = np.einsum("tab,tjb->tja", axes, relative[..., ::2])
    speed = np.einsum("tab,tb->ta", axes[1:], np.diff(world[:, 0, ::2], axis=0)) * RATE
    yaw = np.unwrap(np.arctan2(left[:, 1], left[:, 0]))
    joined = np.concatenate([planar.reshape(len(world), -1), relative[..., 1]], axis=1)
    quick = np.diff(joined, axis=0)
    rate = (yaw[-1] - yaw[0]) / len(yaw)
    return np.concatenate(
        [joined.mean(0), np.log(joined.std(0) + 0.1), np.log(quick.std(0) + 0.1), speed.mean(0), [rate]]
    )


def test_one_pair_of_modes_overlaps_and_the_others_stand_apart(
    clips: list[tuple[WalkerParameters, Clip]], positions: list[FloatArray]
) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.02)
    labels = np.array([cell_of(p) for p, _ in clips])
    fitted.fit([summary(p, world) for (p, _), world in zip(clips, positions, strict=True)], labels)
    fresh = [w.parameters for w in plan_walkers(200, seed=2)[0]]
    guessed = fitted.predict([summary(p, walker_clip(p).positions()) for p in fresh])
    truth = np.array([cell_of(p) for p in fresh])
    pair = np.isin(truth, OVERLAPPING)
    assert np.mean(guessed[~pair] == truth[~pair]) > 0.98
    assert np.isin(guessed[pair], OVERLAPPING).all()
    assert 0.05 < np.mean(guessed[pair] != truth[pair]) < 0.4
