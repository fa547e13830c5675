"""Folders in and folders out, by every command that takes or writes one."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from motionsynth.extractors.store import save_extractor
from motionsynth.motion.bvh import read_bvh
from motionsynth.output import MANIFEST
from motionsynth.runs.begin import resolve_data
from motionsynth.runs.generation import SHOWN
from motionsynth.runs.run import open_run
from tests.cli.invocation import Invoke
from tests.corpus.folders import write_clips

FAULTS = Path(__file__).parents[1] / "fixtures" / "faults"
SMALL = ("train.steps=2", "train.batch_size=8", "train.threads=1", "family.backbone={kind: conv, widths: [8,8,8,8]}")
TINY = [word for text in ("data.window_frames=16", *SMALL) for word in ("--set", text)]


COUNT = 12
"""Clips of `spoilt` that can be used."""


@pytest.fixture(scope="module")
def judge(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from motionsynth.corpus.corpus import open_corpus
    from motionsynth.extractors.fitting import train_extractor

    folder = tmp_path_factory.mktemp("judges") / "judge"
    save_extractor(train_extractor(open_corpus(resolve_data(corpus)), networks=False), folder)
    return folder


@pytest.fixture
def spoilt(corpus: Path, tmp_path: Path) -> Path:
    """A part of the corpus with what a Mac leaves behind, and a dead link."""
    folder = tmp_path / "spoilt"
    folder.mkdir()
    for path in corpus.glob("walk_normal_*.bvh"):
        os.link(path, folder / path.name)
    (folder / "._walk_normal_001.bvh").write_bytes(b"\0\5\26\7")
    (folder / "walk_dead.bvh").symlink_to(tmp_path / "gone.bvh")
    return folder


Command = Callable[[Path, Path, Path, Path, Path], tuple[object, ...]]
"""Corpus, spoilt folder, run, extractor and output to the words of a command."""


def evaluation(generated: Path, reference: Path, judge: Path, out: Path) -> tuple[object, ...]:
    return (
        *("evaluate", generated, "--reference", reference, "--extractor", judge, "--metrics", "jerk_ratio"),
        *("--features", "pca", "-n", 16, "--bootstrap", 0, "--no-real-clips", "--out", out),
    )


COMMANDS: dict[str, Command] = {
    "train": lambda corpus, folder, run, judge, out: (
        *("train", "vae", "--data", folder, "--no-track", "--run-dir", out),
        *(word for text in SMALL for word in ("--set", text)),
    ),
    "view": lambda corpus, folder, run, judge, out: ("view", folder, "--out", out, "--no-open"),
    "convert": lambda corpus, folder, run, judge, out: ("data", "convert", folder, out, "--slice", ":4"),
    "clean-feet": lambda corpus, folder, run, judge, out: ("data", "clean-feet", folder, "--out", out),
    "reconstruct": lambda corpus, folder, run, judge, out: ("reconstruct", run, folder, "--out", out),
    "evaluate": lambda corpus, folder, run, judge, out: evaluation(folder, corpus, judge, out),
    "evaluate against it": lambda corpus, folder, run, judge, out: evaluation(corpus, folder, judge, out),
    "extractor": lambda corpus, folder, run, judge, out: ("extractor", "train", folder, "--no-networks", "--out", out),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_one_policy_for_files_that_cannot_be_used(
    invoke: Invoke, corpus: Path, spoilt: Path, vae: Path, judge: Path, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "out"
    words = COMMANDS[command](corpus, spoilt, vae, judge, out)
    stopped = invoke(*words)
    assert stopped.code == 2, stopped.err
    dead = f"{spoilt / 'walk_dead.bvh'}: cannot be read: is a link to nothing"
    assert re.search(
        rf"error: .*1 of {COUNT + 1} files cannot be used: {re.escape(dead)}; --on-bad-file skip", stopped.err
    )
    assert not out.exists()
    skipped = invoke(*words, "--on-bad-file", "skip")
    assert skipped.code == 0, skipped.err
    assert f"skipped {dead}" in skipped.err
    assert "._walk" not in skipped.out + skipped.err
    assert invoke(*words, "--on-bad-file", "repair").code == 2


def test_calibration_goes_by_the_policy_too(invoke: Invoke, spoilt: Path, tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    train = ("extractor", "train", spoilt, "--no-networks", "--out", judge, "--set", "data.on_bad_file=skip")
    assert invoke(*train, "--on-bad-file", "stop").code == 0, "--set has the last word"
    words = ("calibrate", spoilt, "--extractor", judge, "--dry-run", "-n", 16, "--repeats", 3, "--features", "pca")
    assert "1 of 13 files cannot be used" in invoke(*words).err
    skipped = invoke(*words, "--on-bad-file", "skip")
    assert skipped.code == 0, skipped.err
    assert f"skipped {spoilt / 'walk_dead.bvh'}: " in skipped.err


def test_inspect_refuses_what_the_others_refuse(invoke: Invoke, spoilt: Path) -> None:
    document = json.loads(invoke("data", "inspect", spoilt, "--json").out)
    assert len(document["loaded"]) == COUNT
    assert [file["file"] for file in document["refused"]] == ["walk_dead.bvh"]


def test_hidden_files_stop_nobody(invoke: Invoke, tmp_path: Path) -> None:
    folder = FAULTS / "apple_double"
    assert invoke("data", "convert", folder, tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [MANIFEST, "take_0.bvh", "take_1.bvh"]
    assert invoke("view", folder, "--out", tmp_path / "page.html", "--no-open").code == 0
    assert "take_1" in (tmp_path / "page.html").read_text()


def test_clips_of_two_runs_are_never_mixed(invoke: Invoke, vae: Path, corpus: Path, tmp_path: Path) -> None:
    out, clip = tmp_path / "clips", min(corpus.glob("walk_*.bvh"))
    assert invoke("generate", vae, "-n", 4, "--out", out).code == 0
    before = sorted(path.name for path in out.iterdir())
    for words in (
        ("generate", vae, "-n", 2, "--seed", 1, "--out", out),
        ("reconstruct", vae, clip, "--out", out),
        ("interpolate", vae, "--seeds", 0, 1, "-n", 2, "--out", out),
        ("traverse", vae, "--code", 1, "-n", 2, "--out", out),
        ("data", "convert", corpus, out, "--slice", ":4"),
    ):
        refused = invoke(*words)
        assert refused.code == 2
        assert f"{out}: is not empty (it holds 0000.bvh and 3 more)" in refused.err and "--overwrite" in refused.err
        assert sorted(path.name for path in out.iterdir()) == before
        replaced = invoke(*words, "--overwrite")
        assert replaced.code == 0, replaced.err
        assert not (out / "0003.bvh").exists()
        shutil.rmtree(out)
        assert invoke("generate", vae, "-n", 4, "--out", out).code == 0
    (out / "mine.bvh").write_bytes(clip.read_bytes())
    refused = invoke("generate", vae, "-n", 2, "--out", out, "--overwrite")
    assert refused.code == 2 and "holds mine.bvh, which motionsynth did not write there" in refused.err
    assert len(list(out.glob("*.bvh"))) == 5


def test_no_command_replaces_what_it_reads(invoke: Invoke, vae: Path, corpus: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    assert invoke("generate", vae, "-n", 2, "--out", clips).code == 0
    before = {path: path.read_bytes() for path in clips.iterdir()}
    first, second = (str(clips / name) for name in ("0000.bvh", "0001.bvh"))
    link = tmp_path / "link"
    link.symlink_to(clips)
    for words in (
        ("reconstruct", vae, clips, "--out", clips, "--overwrite"),
        ("reconstruct", vae, first, "--out", link, "--overwrite"),
        ("interpolate", vae, first, second, "--out", clips, "--overwrite"),
        ("view", clips, "--out", first, "--no-open"),
    ):
        result = invoke(*words)
        assert result.code == 2 and re.search("made of|one of the clips to show", result.err), result.err
    assert {path: path.read_bytes() for path in clips.iterdir()} == before
    other = corpus / "walk_normal_001.bvh"  # negative control: clips from elsewhere do replace them
    assert invoke("reconstruct", vae, other, "--out", clips, "--overwrite").code == 0
    assert not (clips / "0000.bvh").exists()


def test_a_run_replaces_its_own_samples(invoke: Invoke, vae: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(vae, run)
    samples = run / "samples"
    real = sorted(path.name for path in (samples / "real").iterdir())
    page, gif = ((samples / name).read_bytes() for name in ("player.html", "preview.gif"))
    for _ in range(2):
        assert invoke("generate", run, "-n", 3, "--seed", 7).code == 0
        assert sorted(path.name for path in samples.glob("*.bvh")) == ["0000.bvh", "0001.bvh", "0002.bvh"]
    assert sorted(path.name for path in (samples / "real").iterdir()) == real and len(real) == SHOWN
    assert (samples / "player.html").read_bytes() != page and (samples / "preview.gif").read_bytes() != gif
    for command in (("interpolate", run, "--seeds", 0, 1, "-n", 3), ("traverse", run, "--code", 2, "-n", 2)):
        for _ in range(2):
            assert invoke(*command).code == 0
    (samples / "0000.bvh").write_text("edited by hand")
    refused = invoke("generate", run, "-n", 3)
    assert refused.code == 2 and "0000.bvh was changed since motionsynth wrote it" in refused.err
    assert (samples / "0000.bvh").read_text() == "edited by hand"


def test_what_is_in_the_way_of_samples_is_told_before_training(invoke: Invoke, vae: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(vae, run)
    (run / "samples" / "mine.bvh").write_text("kept")
    open_run(run).update(state="stopped")
    rows = (run / "metrics.jsonl").read_bytes()
    refused = invoke("train", "vae", "--resume", "--run-dir", run, "--no-track")
    assert refused.code == 2 and "holds mine.bvh" in refused.err and (run / "metrics.jsonl").read_bytes() == rows
    (run / "samples" / "mine.bvh").unlink()
    assert invoke("train", "vae", "--resume", "--run-dir", run, "--no-track").code == 0


def test_a_run_finishes_whatever_its_clips_are_called(invoke: Invoke, tmp_path: Path) -> None:
    long = "走" * 83
    names = [f"{folder}/00{take}.bvh" for folder in ("walk", "run", "CON") for take in range(1, 6)]
    names += [f"{long}/{'走' * 82}{take}.bvh" for take in range(1, 6)] + [f"{long}/{'x' * 250}{take}" for take in "1"]
    folder = write_clips(tmp_path / "clips", [name if name.endswith(".bvh") else f"{name}.bvh" for name in names])
    command = ("train", "vae", "--data", folder, *TINY, "--set", "data.labels=none", "--no-track", "--run-dir")
    result = invoke(*command, tmp_path / "run")
    assert result.code == 0, result.err
    real = sorted(path.name for path in (tmp_path / "run" / "samples" / "real").iterdir())
    assert len(real) == SHOWN and all(len(name.encode()) <= 255 for name in real)
    back = invoke("reconstruct", tmp_path / "run", folder, "--out", tmp_path / "back")
    assert back.code == 0, back.err
    written = sorted(path.name for path in (tmp_path / "back").glob("*.bvh"))
    assert len(written) == len({name.casefold() for name in written}) == len(names)
    assert {"walk_001.bvh", "run_001.bvh", "CON_001.bvh", f"{'走' * 82}1.bvh"} <= set(written)


def test_samples_of_one_name_do_not_hide_one_another(invoke: Invoke, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", [f"{name}/001.bvh" for name in "abcdefghij"])
    words = (*TINY, "--set", "data.labels=none", "--set", "data.split.validation=0.4")
    result = invoke("train", "vae", "--data", folder, *words, "--no-track", "--run-dir", tmp_path / "run")
    assert result.code == 0, result.err
    real = sorted((tmp_path / "run" / "samples" / "real").iterdir())
    assert len(real) == len({read_bvh(path).angles.tobytes() for path in real}) == SHOWN
    assert all(re.fullmatch(r"[a-j]_001_\d{4}\.bvh", path.name) for path in real)
    assert len({path.name[2:] for path in real}) < SHOWN, "by the names of the files alone some were lost"
