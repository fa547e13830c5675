"""What is written reads back: at six decimals from the second trip on, with all digits from the first."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionsynth import BvhError, Clip, EndSite, Skeleton, read_bvh, write_bvh
from motionsynth.motion.bvh_layout import CHANNEL_NAMES

FIXTURES = Path(__file__).parents[1] / "fixtures" / "bvh"


def assert_same(one: Clip, other: Clip) -> None:
    """Equal to the bit, the sign of zero included."""
    assert one.skeleton == other.skeleton
    assert one.skeleton.offsets.tobytes() == other.skeleton.offsets.tobytes()
    assert one.frame_time == other.frame_time
    assert one.angles.tobytes() == other.angles.tobytes()
    assert one.translations.tobytes() == other.translations.tobytes()


def assert_rounded(one: Skeleton, other: Skeleton) -> None:
    """Equal, but for OFFSETs, which have six decimals."""
    tips = tuple(replace(end, offset=whole.offset) for end, whole in zip(one.end_sites, other.end_sites, strict=True))
    assert replace(one, offsets=other.offsets, end_sites=tips) == other
    bones = [[*map(tuple, s.offsets), *(end.offset for end in s.end_sites)] for s in (one, other)]
    assert np.abs(np.subtract(*bones)).max() <= 0.51e-6


def check_trips(clip: Clip, folder: Path) -> None:
    """With all digits the first trip is exact, at six decimals the second."""
    path = folder / "trip.bvh"
    write_bvh(clip, path, decimals=None)
    assert_same(read_bvh(path), clip)
    write_bvh(clip, path)
    once = read_bvh(path)
    first = path.read_bytes()
    assert_rounded(once.skeleton, clip.skeleton)
    small = np.abs(clip.angles) < 1e6
    assert np.abs(once.angles - clip.angles)[small].max(initial=0) <= 0.51e-6
    write_bvh(once, path)
    assert_same(read_bvh(path), once)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", ["figure.bvh", "still_root.bvh"])
def test_fixtures_make_the_round_trip(name: str, tmp_path: Path) -> None:
    check_trips(read_bvh(FIXTURES / name), tmp_path)


numbers = st.floats(allow_nan=False, allow_infinity=False, width=64) | st.floats(-200, 200)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}\x7f", min_codepoint=32), min_size=1)


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    """Any skeleton of 1 to 200 joints, any channels, and any motion that they hold."""
    count = draw(st.integers(1, 8) | st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    parents, stack = [-1], [0]
    for joint in range(1, count):  # depth-first order: a joint hangs on the last branch
        del stack[random.integers(1, len(stack) + 1) :]
        parents.append(stack[-1])
        stack.append(joint)
    channels = [tuple(random.permutation(CHANNEL_NAMES)[: random.choice([0, 1, 3, 6])].tolist()) for _ in parents]
    channels[random.integers(count)] = tuple(random.permutation(CHANNEL_NAMES)[:3].tolist())
    labels = draw(st.lists(names.map(lambda name: name.strip(" \t")).filter(bool), min_size=1, max_size=4))
    childless = sorted(set(range(count)) - set(parents))
    ends = tuple(
        EndSite(j, tuple(random.normal(size=3).tolist()), "tip" * (j % 2)) for j in childless if random.random() < 0.7
    )
    offsets = random.normal(0, 10, (count, 3)) * random.choice([1, 1e-9, 1e12])
    skeleton = Skeleton(
        tuple(labels[j % len(labels)] for j in range(count)), tuple(parents), offsets, tuple(channels), ends
    )
    frames = draw(st.integers(1, 4))
    angles, translations = np.zeros((frames, count, 3)), np.tile(offsets, (frames, 1, 1))
    odd = np.array(draw(st.lists(numbers, min_size=1, max_size=8)))
    for joint, listed in enumerate(channels):
        turns = sum(name.endswith("rotation") for name in listed)
        angles[:, joint, :turns] = random.choice(odd, (frames, turns)) + random.normal(0, 90, (frames, turns))
        for name in listed:
            if name.endswith("position"):
                translations[:, joint, "XYZ".index(name[0])] = random.choice(odd, frames)
    angles[~np.isfinite(angles)] = 0.0
    return Clip(skeleton, draw(st.floats(1e-6, 10)), angles, translations)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(clip=clips())
def test_any_clip_makes_the_round_trip(clip: Clip, tmp_path: Path) -> None:
    check_trips(clip, tmp_path)


def test_end_sites_beside_children_keep_their_order(tmp_path: Path) -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    tips = tuple(EndSite(joint, (float(tip), 0.0, 0.0)) for tip, joint in enumerate((0, 2, 1, 0, 0)))
    check_trips(replace(clip, skeleton=replace(clip.skeleton, end_sites=tips)), tmp_path)
    wrong = replace(clip, skeleton=replace(clip.skeleton, end_sites=(tips[1], tips[2], tips[1])))
    with pytest.raises(BvhError, match="not in file order"):
        write_bvh(wrong, tmp_path / "wrong.bvh")


@pytest.mark.parametrize(("decimals", "text"), [(0, "90.0"), (2, "90.12"), (6, "90.123457"), (None, "90.12345678901")])
def test_decimals(decimals: int | None, text: str, tmp_path: Path) -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    angles = clip.angles.copy()
    angles[0, 0, 0] = 90.12345678901
    write_bvh(replace(clip, angles=angles), tmp_path / "clip.bvh", decimals=decimals)
    assert (tmp_path / "clip.bvh").read_text().splitlines()[-3].split()[3] == text


@pytest.mark.parametrize("decimals", [-1, 16])
def test_decimals_out_of_range(decimals: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="decimals"):
        write_bvh(read_bvh(FIXTURES / "figure.bvh"), tmp_path / "clip.bvh", decimals=decimals)


def renamed(clip: Clip, name: str) -> Clip:
    return replace(clip, skeleton=replace(clip.skeleton, names=(name, *clip.skeleton.names[1:])))


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a{", "}", "a{b}", "", " a", "a ", "a\t", "a\0", "\ud800"])
def test_names_that_would_not_read_back_are_refused(name: str, tmp_path: Path) -> None:
    clip = read_bvh(FIXTURES / "figure.bvh")
    write_bvh(renamed(clip, "a b: ä"), tmp_path / "control.bvh")
    with pytest.raises(BvhError, match="name"):
        write_bvh(renamed(clip, name), tmp_path / "clip.bvh")
    assert not (tmp_path / "clip.bvh").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("array", ["angles", "translations"])
def test_values_that_are_not_finite_are_refused_and_nothing_is_left(array: str, value: float, tmp_path: Path) -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    path = tmp_path / "clip.bvh"
    write_bvh(clip, path)
    before = path.read_bytes()
    broken = getattr(clip, array).copy()
    broken[2, 1, 0] = value
    with pytest.raises(BvhError, match="'Hips' has a value that is not finite in frame 2"):
        write_bvh(replace(clip, **{array: broken}), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.bvh"]


def test_motion_that_no_channel_holds_is_refused(tmp_path: Path) -> None:
    clip = read_bvh(FIXTURES / "figure.bvh")
    for array, joint, axis, reason in (
        ("translations", 1, 2, "'Left Leg.001' moves along Z"),
        ("angles", 2, 1, "'rig:LeftKnee' turns about Y"),
    ):
        lost = getattr(clip, array).copy()
        lost[1, joint, axis] += 1e-3
        with pytest.raises(BvhError, match=reason):
            write_bvh(replace(clip, **{array: lost}), tmp_path / "clip.bvh")
        lost[1, joint, axis] -= 1e-3 - 1e-9  # lost in the sixth decimal anyway
        write_bvh(replace(clip, **{array: lost}), tmp_path / "clip.bvh")


def test_skeletons_that_no_file_can_hold_are_refused(tmp_path: Path) -> None:
    clip = read_bvh(FIXTURES / "still_root.bvh")
    skeleton = clip.skeleton
    for changes, reason in (
        ({"channels": (("Xrotation", "Yrotation"), *skeleton.channels[1:])}, "0, 1, 3 or 6"),
        ({"channels": (("Xrotation",) * 3, *skeleton.channels[1:])}, "twice"),
        ({"channels": (("Wrotation",), *skeleton.channels[1:])}, "unknown channel"),
        ({"channels": ((), (), ())}, "no joint has a channel"),
        ({"offsets": np.full((3, 3), np.nan)}, "OFFSET is not finite"),
    ):
        with pytest.raises(BvhError, match=reason):
            write_bvh(replace(clip, skeleton=replace(skeleton, **changes)), tmp_path / "clip.bvh")
    figure = read_bvh(FIXTURES / "figure.bvh")
    crossed = replace(figure.skeleton, parents=(-1, 0, 1, 0, 1), end_sites=())
    with pytest.raises(BvhError, match="depth-first"):
        write_bvh(replace(figure, skeleton=crossed), tmp_path / "clip.bvh")
    with pytest.raises(BvhError, match="no frame"):
        write_bvh(clip[:0], tmp_path / "clip.bvh")
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_one_error(tmp_path: Path) -> None:
    clip = read_bvh(FIXTURES / "figure.bvh")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "absent" / "clip.bvh", tmp_path / "folder", tmp_path / "fifo", tmp_path / ("x" * 300)):
        with pytest.raises(BvhError, match=r"cannot be written|not a file"):
            write_bvh(clip, path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["fifo", "folder"]
    assert (tmp_path / "fifo").is_fifo()


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, path = read_bvh(FIXTURES / "figure.bvh"), tmp_path / "clip.bvh"
    path.write_text("old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bvh(clip, path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.bvh"]


FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"


def numbers_of(path: Path) -> list[str]:
    """Every number of a file, as it is written."""
    words = path.read_text().replace("OFFSET", "\0").split()
    return [word for word in words if re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", word)]


@pytest.mark.parametrize(
    ("name", "expected"), [("tiny_angles", ["0.000003", "-0.000007"]), ("tiny_offset", ["0.000013"])]
)
def test_tiny_numbers_have_no_exponent(name: str, expected: list[str], tmp_path: Path) -> None:
    clip = read_bvh(FAULTS / f"{name}.bvh")
    write_bvh(clip, tmp_path / "clip.bvh")
    written = numbers_of(tmp_path / "clip.bvh")
    assert set(expected) <= set(written)
    assert not [number for number in written if "e" in number.lower()]
    assert not [number for number in written if len(number.partition(".")[2]) > 6]
    assert "e-" in "".join(map(repr, clip.angles.ravel().tolist() + clip.skeleton.offsets.ravel().tolist()))


@pytest.mark.parametrize("decimals", [6, None])
def test_no_number_has_an_exponent_or_is_minus_nothing(decimals: int | None, tmp_path: Path) -> None:
    """Numbers as small and as large as there are, in rows, OFFSETs, End Sites and the frame time."""
    clip, path = read_bvh(FIXTURES / "still_root.bvh"), tmp_path / "clip.bvh"
    odd = np.array([3e-6, -9e-6, 1e-5, -4e-7, 5e-324, 1.5e16, -1.7e308, 1e22, 0.1 + 0.2])
    angles, offsets = np.resize(odd, clip.angles.shape), np.resize(odd[::-1], clip.skeleton.offsets.shape)
    translations = np.resize(odd[1:], clip.translations.shape)
    tips = tuple(replace(end, offset=(1e-7, -2e-6, 3e20)) for end in clip.skeleton.end_sites)
    assert tips
    channels = tuple(tuple(CHANNEL_NAMES) for _ in clip.skeleton.names)
    skeleton = replace(clip.skeleton, offsets=offsets, end_sites=tips, channels=channels)
    wild = Clip(skeleton, 2e-6, angles, translations)
    write_bvh(wild, path, decimals=decimals)
    written = numbers_of(path)
    assert len(written) >= angles.size + translations.size + offsets.size
    assert not [number for number in written if "e" in number.lower()]
    if decimals is None:
        assert_same(read_bvh(path), wild)
    else:
        assert not [number for number in written if float(number) == 0 and number.startswith("-")]
        assert read_bvh(path).frame_time == 2e-6
    write_bvh(read_bvh(path), tmp_path / "again.bvh", decimals=decimals)
    assert (tmp_path / "again.bvh").read_bytes() == path.read_bytes()
