"""Real files of thirty writers, with expected positions: 24 load, 6 are refused; skipped where they are absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionsynth import BvhError, Clip, read_bvh, write_bvh
from motionsynth.motion.portable import to_portable

BAD_LINES = {
    "BAD-too-few-values.bvh": (33, "12 values; the hierarchy has 15 channels"),
    "BAD-other-skeletons-rows.bvh": (140, "66 values; the hierarchy has 72 channels"),
    "BAD-no-frames.bvh": (185, "Frames"),
    "BAD-no-motion.bvh": (122, "second HIERARCHY"),
    "BAD-43-joints-66-values.bvh": (276, "66 values"),
    "BAD-declared-but-no-rows.bvh": (133, "3066 frames are declared, 0 rows"),
}


@pytest.fixture(scope="module")
def exporters(shared_mocap: Path) -> dict[Path, dict[str, Any]]:
    folder = shared_mocap / "exporters"
    return {folder / name: entry for name, entry in json.loads((folder / "expected.json").read_text()).items()}


def positions_by_hand(clip: Clip, frame: int) -> np.ndarray[Any, Any]:
    """Forward kinematics once more, joint by joint, so that the file's meaning is checked independently."""
    places, turns = [], []
    for joint, (parent, order) in enumerate(zip(clip.skeleton.parents, clip.skeleton.orders, strict=True)):
        turn = np.eye(3)
        for axis, degrees in zip(order, clip.angles[frame, joint], strict=True):
            c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            k, i, j = ("XYZ".index(axis) + n for n in (0, 1, 2))
            single = np.eye(3)
            single[i % 3, i % 3] = single[j % 3, j % 3] = c
            single[j % 3, i % 3], single[i % 3, j % 3] = s, -s
            assert single[k, k] == 1
            turn = turn @ single
        place = clip.translations[frame, joint]
        places.append(place if parent < 0 else places[parent] + turns[parent] @ place)
        turns.append(turn if parent < 0 else turns[parent] @ turn)
    return np.array(places)


def test_good_files_load_with_the_expected_positions(exporters: dict[Path, dict[str, Any]]) -> None:
    good = {path: entry for path, entry in exporters.items() if entry["expected"] == "loads"}
    assert len(good) == 24
    for path, entry in good.items():
        clip = read_bvh(path)
        assert list(clip.skeleton.names) == entry["joints"]
        assert (len(clip), clip.skeleton.channel_count) == (entry["frames"], entry["channels"])
        assert clip.frame_time == entry["frame_time"]
        expected = np.array(entry["positions"])
        size = np.ptp(expected[0], axis=0).max()
        for frame, places in zip(entry["check_frames"], expected, strict=True):
            allowed = max(1e-6 * size, 1e-6)
            np.testing.assert_allclose(positions_by_hand(clip, frame), places, rtol=0, atol=allowed, err_msg=path.name)
            np.testing.assert_allclose(clip.positions()[frame], places, rtol=0, atol=allowed, err_msg=path.name)


def test_bad_files_are_refused_with_their_line(exporters: dict[Path, dict[str, Any]]) -> None:
    bad = {path for path, entry in exporters.items() if entry["expected"] == "error"}
    assert {path.name for path in bad} == BAD_LINES.keys()
    for path in bad:
        line, reason = BAD_LINES[path.name]
        with pytest.raises(BvhError, match=reason) as caught:
            read_bvh(path)
        assert (caught.value.path, caught.value.line) == (path, line)


def test_good_files_make_the_round_trip(exporters: dict[Path, dict[str, Any]], tmp_path: Path) -> None:
    trip = tmp_path / "trip.bvh"
    for path, entry in exporters.items():
        if entry["expected"] != "loads":
            continue
        clip = read_bvh(path)
        write_bvh(clip, trip, decimals=None)
        exact = read_bvh(trip)
        write_bvh(clip, trip)
        once = read_bvh(trip)
        write_bvh(once, trip)
        for one, other in ((clip, exact), (once, read_bvh(trip))):
            assert one.skeleton == other.skeleton
            assert one.frame_time == other.frame_time
            assert one.angles.tobytes() == other.angles.tobytes()
            assert one.translations.tobytes() == other.translations.tobytes()


def test_portable_copies_keep_world_positions(exporters: dict[Path, dict[str, Any]], tmp_path: Path) -> None:
    for path, entry in exporters.items():
        if entry["expected"] != "loads":
            continue
        clip = read_bvh(path)
        write_bvh(to_portable(clip), tmp_path / "portable.bvh", decimals=None)
        portable = read_bvh(tmp_path / "portable.bvh")
        assert portable.skeleton.channels[0][:3] == ("Xposition", "Yposition", "Zposition")
        assert {len(channels) for channels in portable.skeleton.channels[1:]} == {3}
        before, after = clip.positions(), portable.positions()
        if path.name == "bandai-namco-2.bvh":  # the still root takes over its child's trajectory
            before[:, 0] = before[:, 1]
        size = max(np.ptp(before[0], axis=0).max(), 1.0)
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-6 * size, err_msg=path.name)
