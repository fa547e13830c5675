"""The page and the GIF hold the motion they were given, and nothing that a name could smuggle in."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from motionsynth.motion.bvh import read_bvh
from motionsynth.motion.clip import Clip
from motionsynth.motion.skeleton import EndSite, Skeleton
from motionsynth.view.figure import stick_figure
from motionsynth.view.gif import write_gif
from motionsynth.view.player import write_player

NAMES = ("Root", "Hips", "Spine", "Head", "Arm_L", "Hand_L", "Arm_R", "Hand_R", "LeftLeg", "lfoot", "RightLeg", "rfoot")
PARENTS = (-1, 0, 1, 2, 2, 4, 2, 6, 1, 8, 1, 10)
OFFSETS = np.array(
    [
        *([0, 0, 0], [0, 90, 0], [0, 50, 0], [0, 15, 0], [20, 0, 0], [50, 0, 0], [-20, 0, 0], [-50, 0, 0]),
        *([10, -5, 0], [0, -80, 0], [-10, -5, 0], [0, -80, 0]),
    ],
    dtype=np.float64,
)
POSITION = ("Xposition", "Yposition", "Zposition")
ROTATION = ("Zrotation", "Xrotation", "Yrotation")


def walker(frames: int = 30, *, frame_time: float = 1 / 30, seed: int = 0, names: tuple[str, ...] = NAMES) -> Clip:
    """A person of 150 cm whose Root stands at the origin and whose Hips travel."""
    channels = (POSITION + ROTATION, POSITION + ROTATION, *(ROTATION for _ in NAMES[2:]))
    sites = (EndSite(3, (0, 20, 0)), EndSite(5, (10, 0, 0)), EndSite(7, (-10, 0, 0)), EndSite(9, (0, 0, 12)))
    skeleton = Skeleton(names, PARENTS, OFFSETS, channels, sites)
    rng = np.random.default_rng(seed)
    phase = np.linspace(0, 6, frames)[:, None, None] + rng.uniform(0, 6, (1, len(NAMES), 3))
    angles = 25 * np.sin(phase)
    angles[:, :2] = 0
    translations = np.tile(OFFSETS, (frames, 1, 1))
    translations[:, 1, 2] += np.linspace(0, 300, frames)
    return Clip(skeleton, frame_time, angles, translations)


def document(path: Path) -> Any:
    match = re.search(r"^const DATA = (.*);$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None
    return json.loads(match[1])


def decode(panel: Any) -> np.ndarray:
    numbers = np.frombuffer(base64.b64decode(panel["data"]), dtype="<i2").reshape(-1, len(panel["parents"]), 3)
    return np.array(panel["centre"]) + panel["scale"] * numbers


class TestFigure:
    def test_the_static_root_is_left_out_and_tips_are_added(self) -> None:
        figure = stick_figure(walker())
        assert figure.names == (*NAMES[1:], "", "", "", "")
        assert figure.centre == 0 and figure.parents[0] == -1
        assert figure.parents[-1] == figure.names.index("lfoot")

    def test_tips_are_placed_by_their_parents_rotation(self) -> None:
        clip = walker()
        figure, hand = stick_figure(clip), NAMES.index("Hand_L")
        tip = len(NAMES)  # the second of the End Sites; Root is not among the nodes
        along = figure.positions[:, tip] - clip.positions()[:, hand]
        turned = clip.rotations()
        world = turned[:, 1] @ turned[:, 2] @ turned[:, 4] @ turned[:, 5]
        np.testing.assert_allclose(along, world @ np.array([10.0, 0, 0]), atol=1e-9)

    def test_sides_come_from_words_and_from_letters_with_a_counterpart(self) -> None:
        figure = stick_figure(walker())
        sides = dict(zip(figure.names[: len(NAMES) - 1], figure.sides, strict=False))
        assert {name for name, side in sides.items() if side == 1} == {"Arm_L", "Hand_L", "LeftLeg", "lfoot"}
        assert {name for name, side in sides.items() if side == 2} == {"Arm_R", "Hand_R", "RightLeg", "rfoot"}
        assert figure.sides[-4:] == (0, 1, 2, 1)

    def test_a_letter_without_counterpart_is_no_side(self) -> None:
        names = (*NAMES[:2], "lowerback", *NAMES[3:])
        assert stick_figure(walker(names=names)).sides[1] == 0

    def test_facing_follows_a_turn_of_the_hips(self) -> None:
        clip = walker()
        angles = clip.angles.copy()
        angles[:] = 0
        ahead = stick_figure(Clip(clip.skeleton, clip.frame_time, angles, clip.translations)).facing
        angles[:, 1, 2] = 70.0  # about y
        turned = stick_figure(Clip(clip.skeleton, clip.frame_time, angles, clip.translations)).facing
        assert ahead == pytest.approx(0.0, abs=1e-9)
        assert np.rad2deg(turned) == pytest.approx(70.0)

    def test_a_clip_that_cannot_be_drawn_is_refused_by_name(self, tmp_path: Path) -> None:
        clip = walker()
        translations = clip.translations.copy()
        translations[7, 1, 0] = np.nan
        broken = Clip(clip.skeleton, clip.frame_time, clip.angles, translations)
        with pytest.raises(ValueError, match="third one: frame 7 has positions that are not finite"):
            write_player([("ok", clip), ("third one", broken)], tmp_path / "p.html")
        with pytest.raises(ValueError, match="empty: a clip without frames"):
            write_gif([("empty", clip[:0])], tmp_path / "p.gif")
        assert list(tmp_path.iterdir()) == []


class TestPlayer:
    def test_positions_survive_to_half_a_quantisation_step(self, tmp_path: Path) -> None:
        clip = walker()
        write_player([("a", clip)], tmp_path / "p.html")
        (panel,) = document(tmp_path / "p.html")["panels"]
        wanted = stick_figure(clip).positions
        assert np.abs(decode(panel) - wanted).max() <= 0.5001 * panel["scale"]
        assert panel["scale"] <= np.ptp(wanted, axis=(0, 1)).max() / 65534 * 1.0001

    def test_the_page_asks_nothing_of_a_network_or_a_store(self, tmp_path: Path) -> None:
        write_player([("a", walker())], tmp_path / "p.html", title="t")
        page = (tmp_path / "p.html").read_text(encoding="utf-8").lower()
        for word in (
            "http:",
            "https:",
            "//cdn",
            " src=",
            "@import",
            "url(",
            "fetch(",
            "localstorage",
            "indexeddb",
            "cookie",
        ):
            assert word not in page
        assert "default-src 'none'" in page

    def test_names_and_titles_cannot_become_markup_or_script(self, tmp_path: Path) -> None:
        nasty = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> /*data*/null"
        nasty += " <!--title--> &lt; \u2028 'é\""
        names = ("</script>", *NAMES[1:])
        write_player([], tmp_path / "p.html", title=nasty, groups={nasty: [(nasty, walker(names=names))]})
        write_player([("a", walker())], tmp_path / "plain.html", title="plain")
        page, plain = ((tmp_path / name).read_text(encoding="utf-8") for name in ("p.html", "plain.html"))
        for tag in ("<script", "</script", "<img", "<!--"):
            assert page.lower().count(tag) == plain.lower().count(tag)
        data = document(tmp_path / "p.html")
        assert data["title"] == data["panels"][0]["caption"] == data["panels"][0]["group"] == nasty

    def test_clips_of_unequal_skeleton_rate_and_length_share_a_page(self, tmp_path: Path) -> None:
        point = Skeleton(("Point",), (-1,), np.zeros((1, 3)), (POSITION,))
        single = Clip(point, 0.5, np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))
        clips = [("one frame", single), ("30", walker(31)), ("120", walker(241, frame_time=1 / 120))]
        write_player(clips, tmp_path / "p.html")
        panels = document(tmp_path / "p.html")["panels"]
        assert [p["frames"] for p in panels] == [1, 31, 241]
        assert [p["step"] for p in panels] == [1, 1, 2]
        assert [len(decode(p)) for p in panels] == [1, 31, 121]
        np.testing.assert_allclose(decode(panels[2]), stick_figure(clips[2][1]).positions[::2], atol=panels[2]["scale"])

    def test_groups_follow_the_ungrouped_clips(self, tmp_path: Path) -> None:
        clip = walker(3)
        write_player([("x", clip)], tmp_path / "p.html", groups={"real": [("y", clip)], "vae": [("z", clip)]})
        panels = document(tmp_path / "p.html")["panels"]
        assert [(p["group"], p["caption"]) for p in panels] == [("", "x"), ("real", "y"), ("vae", "z")]

    def test_twelve_clips_are_written_fast_and_small(self, tmp_path: Path) -> None:
        clips = [(str(k), walker(200, seed=k)) for k in range(12)]
        start = time.perf_counter()
        write_player(clips, tmp_path / "p.html")
        assert time.perf_counter() - start < 2.0
        assert (tmp_path / "p.html").stat().st_size < 400_000

    def test_no_clip_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="at least one clip"):
            write_player([], tmp_path / "p.html", groups={"real": []})

    def test_a_folder_that_is_missing_is_a_users_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            write_player([("a", walker(2))], tmp_path / "missing" / "p.html")
        (tmp_path / "taken").mkdir()
        with pytest.raises(IsADirectoryError):
            write_player([("a", walker(2))], tmp_path / "taken")
        assert [path.name for path in tmp_path.iterdir()] == ["taken"]


class TestGif:
    def test_frames_size_duration_and_loop(self, tmp_path: Path) -> None:
        path = tmp_path / "p.gif"
        clips = [("real", walker(60)), ("vae", walker(30, seed=1)), ("gan", walker(61, frame_time=1 / 60, seed=2))]
        write_gif(clips, path, columns=2, size=(160, 200), frame_rate=15, seconds=4)
        with Image.open(path) as image:
            assert image.size == (320, 400)
            assert image.n_frames == 30
            assert image.info["loop"] == 0
            durations = []
            for frame in range(image.n_frames):
                image.seek(frame)
                durations.append(image.info["duration"])
        assert sum(durations) == 2000 and set(durations) == {60, 70}
        assert path.stat().st_size < 300_000

    def test_figures_move_in_their_colours_and_captions_stay(self, tmp_path: Path) -> None:
        path = tmp_path / "p.gif"
        write_gif([("real", walker(30))], path)
        with Image.open(path) as image:
            first = np.asarray(image.convert("RGB")).astype(int)
            image.seek(8)
            later = np.asarray(image.convert("RGB")).astype(int)
        for colour in ((210, 96, 26), (36, 104, 180), (51, 58, 68)):
            assert (np.abs(first[26:] - colour).max(axis=-1) <= 2).sum() > 50
        assert (first[:24] != 253).any() and np.array_equal(first[:24], later[:24])
        assert (first[26:] != later[26:]).any(axis=-1).sum() > 200

    def test_seconds_cut_and_a_single_frame_is_a_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "p.gif"
        write_gif([("long", walker(300))], path, seconds=1, frame_rate=10)
        with Image.open(path) as image:
            assert image.n_frames == 10
        write_gif([("still", walker(1))], path)
        with Image.open(path) as image:
            assert image.n_frames == 1

    @pytest.mark.parametrize(
        "wrong", [{"columns": 0}, {"frame_rate": 0}, {"frame_rate": 60}, {"seconds": 0}, {"size": (10, 10)}]
    )
    def test_arguments_out_of_range_are_refused(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="a GIF needs"):
            write_gif([("a", walker(2))], tmp_path / "p.gif", **wrong)

    def test_three_clips_of_four_seconds_are_drawn_fast(self, tmp_path: Path) -> None:
        start = time.perf_counter()
        write_gif([(str(k), walker(120, seed=k)) for k in range(3)], tmp_path / "p.gif")
        assert time.perf_counter() - start < 3.0


def test_files_of_every_exporter_are_drawn(shared_mocap: Path, tmp_path: Path) -> None:
    files = sorted(p for p in (shared_mocap / "exporters").glob("*.bvh") if not p.name.startswith("BAD-"))
    clips = [(path.stem, read_bvh(path)) for path in files]
    write_player(clips, tmp_path / "p.html")
    for (name, clip), panel in zip(clips, document(tmp_path / "p.html")["panels"], strict=True):
        wanted = stick_figure(clip).positions[:: panel["step"]]
        assert np.abs(decode(panel) - wanted).max() <= 0.5001 * panel["scale"], name
        assert panel["height"] > 0 and all(parent < node for node, parent in enumerate(panel["parents"])), name
    write_gif(clips, tmp_path / "p.gif", columns=6, seconds=0.2)
    with Image.open(tmp_path / "p.gif") as image:
        assert image.size == (1200, 960)
