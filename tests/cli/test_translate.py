"""``motionsynth translate`` as its user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import motionsynth
from motionsynth.config import resolve_config
from motionsynth.features.placement import placement_of
from motionsynth.motion.bvh import read_bvh, write_bvh
from motionsynth.motion.resample import resample
from motionsynth.runs.train import train
from tests.cli.invocation import Invoke
from tests.corpus.folders import clip_of

SHORT = ("train.batch_size=8", "train.steps=4", "train.threads=1")
CONV = (
    *SHORT,
    "family.backbone={kind: conv, widths: [8, 8]}",
    "family.critic.widths=[8,8]",
    "family.translator={width: 8, dilations: [1, 2]}",
)
BASIS = (*SHORT, "family.backbone={kind: basis, components: 32, width: 16, layers: 2}")


@pytest.fixture(scope="module", params=[CONV, BASIS], ids=["conv", "basis"])
def cyclegan(request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = resolve_config("cyclegan", data=corpus, overrides=request.param)
    return train(config, run_dir=tmp_path_factory.mktemp("runs") / "cyclegan", track=False).run.path


def test_whole_clips_come_back_under_their_names(invoke: Invoke, cyclegan: Path, corpus: Path, tmp_path: Path) -> None:
    clips = sorted(corpus.glob("walk_normal_*.bvh"))[:2]
    assert len({len(read_bvh(clip)) for clip in clips}) == 2, "of different lengths"
    result = invoke("translate", cyclegan, *clips, "--to", "elderly", "--out", tmp_path)
    assert result.code == 0 and f"2 clips in {tmp_path}" in result.out
    for path in clips:
        before, after = read_bvh(path), read_bvh(tmp_path / path.name)
        assert len(after) == len(before) and after.skeleton.names == before.skeleton.names
        moved = [np.linalg.norm(np.diff(clip.positions()[:, 0, ::2], axis=0), axis=1).sum() for clip in (before, after)]
        assert moved[1] == pytest.approx(moved[0], rel=0.5), "it still walks, over about as much ground"
    other = tmp_path / "other"
    assert invoke("translate", cyclegan, clips[0], "--to", "normal", "--out", other).code == 0
    assert (other / clips[0].name).read_bytes() != (tmp_path / clips[0].name).read_bytes()


def test_what_is_translated_starts_where_its_clip_does(
    invoke: Invoke, cyclegan: Path, corpus: Path, tmp_path: Path
) -> None:
    run = motionsynth.open_run(cyclegan)
    for path in sorted(corpus.glob("walk_elderly_*.bvh"))[:3]:
        assert invoke("translate", cyclegan, path, "--to", "normal", "--out", tmp_path / path.stem).code == 0
        before, after = (placement_of(read_bvh(file), run.spec()) for file in (path, tmp_path / path.stem / path.name))
        assert np.hypot(before.x, before.z) > 5, "it does not start at the origin"
        assert (after.x, after.z) == pytest.approx((before.x, before.z), abs=1e-3)
        # the translator may turn the hips a little; a clip that headed along +Z would be far off
        assert np.cos(after.heading - before.heading) > 0.5


def test_clips_of_any_length_and_rate(invoke: Invoke, cyclegan: Path, corpus: Path, tmp_path: Path) -> None:
    clip = read_bvh(min(corpus.glob("walk_normal_*.bvh")))
    write_bvh(clip[:3], tmp_path / "short.bvh")
    write_bvh(resample(clip, 60), tmp_path / "fast.bvh")
    out = tmp_path / "out"
    assert invoke("translate", cyclegan, tmp_path / "short.bvh", tmp_path / "fast.bvh", "--to", "normal", "-o", out)
    assert len(read_bvh(out / "short.bvh")) == 3
    back = read_bvh(out / "fast.bvh")
    assert back.frame_rate == pytest.approx(30, rel=1e-4) and abs(len(back) - len(clip)) <= 1


def test_mistakes_are_told(invoke: Invoke, cyclegan: Path, corpus: Path, tmp_path: Path) -> None:
    clip = min(corpus.glob("walk_*.bvh"))
    result = invoke("translate", cyclegan, clip, "--to", "eldery", "--out", tmp_path / "x")
    assert result.code == 2
    assert "--to: unknown class 'eldery', did you mean elderly? known: elderly, normal" in result.err
    assert not (tmp_path / "x").exists()
    result = invoke("translate", cyclegan, clip, "--to", "elderly", "--label", "style=normal", "--out", tmp_path / "x")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "error: --label style: is what --to chooses; leave it out" in result.err and "takes none" not in result.err
    write_bvh(clip_of(0), tmp_path / "stranger.bvh")
    result = invoke("translate", cyclegan, tmp_path / "stranger.bvh", "--to", "elderly", "--out", tmp_path / "x")
    assert result.code == 2
    assert "stranger.bvh: its joints differ (it lacks LeftLowerArm, " in result.err
    (tmp_path / clip.name).write_bytes(clip.read_bytes())
    both = invoke("translate", cyclegan, clip, tmp_path / clip.name, "--to", "elderly", "--out", tmp_path / "x")
    names = {f"{path.name}_{clip.name}" for path in (corpus, tmp_path)}
    assert both.code == 0 and {path.name for path in (tmp_path / "x").glob("*.bvh")} == names


def test_a_folder_is_translated_as_a_whole(invoke: Invoke, cyclegan: Path, corpus: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for path in sorted(corpus.glob("walk_normal_*.bvh"))[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "._a.bvh").write_bytes(b"\0")
    (folder / "dead.bvh").symlink_to("nowhere")
    command = ("translate", cyclegan, folder, "--to", "elderly", "--out", out)
    stopped = invoke(*command)
    assert stopped.code == 2 and not out.exists()
    assert "1 of 3 files cannot be used" in stopped.err and "dead.bvh: cannot be read: is a link to" in stopped.err
    skipped = invoke(*command, "--on-bad-file", "skip")
    assert skipped.code == 0 and f"skipped {folder / 'dead.bvh'}: " in skipped.err and "2 clips in" in skipped.out
    refused = invoke(*command, "--on-bad-file", "skip")
    assert refused.code == 2 and "is not empty" in refused.err
    assert invoke(*command, "--on-bad-file", "skip", "--overwrite").code == 0


def test_a_family_that_cannot_says_which_can(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    overrides = ("train.steps=2", "train.batch_size=8", "family.backbone={kind: conv, widths: [8,8,8,8]}")
    config = resolve_config("ae", data=corpus, overrides=overrides)
    run = train(config, run_dir=tmp_path / "ae", track=False).run.path
    result = invoke("translate", run, min(corpus.glob("*.bvh")), "--to", "elderly", "--out", tmp_path / "x")
    assert result.code == 2
    assert "ae has no translators, so it cannot translate; these can: cyclegan" in result.err


def test_there_and_back(invoke: Invoke, cyclegan: Path, corpus: Path, tmp_path: Path) -> None:
    clip = min(corpus.glob("walk_elderly_*.bvh"))
    back = tmp_path / "back"
    assert invoke("reconstruct", cyclegan, clip, "--out", back).code == 0
    assert len(read_bvh(back / clip.name)) == len(read_bvh(clip))
    stray = tmp_path / "stray" / "clip.bvh"
    stray.parent.mkdir()
    stray.write_bytes(clip.read_bytes())
    result = invoke("reconstruct", cyclegan, stray, "--out", tmp_path / "again")
    assert result.code == 2 and "its style is not known; one of elderly, normal; give it by --label" in result.err
    assert invoke("reconstruct", cyclegan, stray, "--label", "style=elderly", "--out", tmp_path / "again").code == 0


def test_it_generates_and_lists_itself(invoke: Invoke, cyclegan: Path, tmp_path: Path) -> None:
    for folder, label in (("a", "elderly"), ("b", "normal")):
        out = tmp_path / folder
        assert invoke("generate", cyclegan, "-n", 3, "--label", f"style={label}", "--out", out).code == 0
        assert len(list(out.glob("*.bvh"))) == 3
    assert motionsynth.open_run(cyclegan).record.labels["style"] == ("elderly", "normal")


def test_two_classes_are_asked_for(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    result = invoke(
        "train", "cyclegan", "--data", corpus, "--no-track", "--run-dir", tmp_path / "run", "--set", "data.keep={}"
    )
    assert result.code == 2
    assert "family.domain: the clips have 4 classes of style" in result.err
    assert "data.keep={style: [A, B]}" in result.err
    assert "style: active, elderly, normal, relaxed" in result.err
    assert not (tmp_path / "run").exists()


def test_two_folders_are_two_domains(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    folders = {}
    for style in ("elderly", "normal"):
        folders[style] = tmp_path / style
        folders[style].mkdir()
        for path in sorted(corpus.glob(f"walk_{style}_*.bvh")):
            (folders[style] / path.name).write_bytes(path.read_bytes())
    overrides = (*CONV, "data.keep={}", f"data.second={folders['normal']}", "family.domain=corpus")
    config = resolve_config("cyclegan", data=folders["elderly"], overrides=overrides)
    run = train(config, run_dir=tmp_path / "run", track=False).run
    assert run.record.labels["corpus"] == ("elderly", "normal")
    clip = min(folders["normal"].glob("*.bvh"))
    assert invoke("translate", run.path, clip, "--to", "elderly", "--out", tmp_path / "out").code == 0
    assert invoke("reconstruct", run.path, clip, "--out", tmp_path / "back").code == 0, "its folder tells its corpus"
