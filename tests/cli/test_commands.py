"""Every command as its user types it, on a small corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import motionsynth
from motionsynth.config import load_config
from motionsynth.output import MANIFEST
from tests.cli.invocation import Invoke
from tests.corpus.folders import WHO, write_people
from tests.records import change_record

SMALL = (
    "--set",
    "train.batch_size=8",
    "--set",
    "family.backbone={kind: conv, widths: [8,8,8,8]}",
    "--set",
    "train.threads=1",
)


def test_help_lists_every_command(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.code == 0
    for command in ("data", "train", "generate", "evaluate", "metrics", "reconstruct", "runs", "view", "ui", "demo"):
        assert re.search(rf"^\W+{command}\b", result.out, re.MULTILINE)


@pytest.mark.parametrize(
    "command",
    [
        "data make",
        "data inspect",
        "data convert",
        "data clean-feet",
        "train",
        "generate",
        "evaluate",
        "metrics",
        "reconstruct",
        "runs show",
        "view",
        "runs list",
    ],
)
def test_help_texts_have_an_example(invoke: Invoke, command: str) -> None:
    assert "Example" in invoke(*command.split(), "--help").out


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").out.strip() == f"motionsynth {motionsynth.__version__}"


def test_make_walkers(invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "walkers"
    assert invoke("data", "make", "walkers", "--clips", 24, "--out", folder).code == 0
    assert len(list(folder.glob("*.bvh"))) == 24
    assert invoke("data", "make", "runners", "--out", tmp_path / "x").code == 2


def test_inspect_tells_what_is_there(invoke: Invoke, corpus: Path) -> None:
    result = invoke("data", "inspect", corpus)
    assert result.code == 0
    assert "60" in result.out
    assert "Hips" in result.out
    document = json.loads(invoke("data", "inspect", corpus, "--json").out)
    assert len(document["loaded"]) == 60


def test_inspect_lists_the_bones_of_people(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("data", "inspect", write_people(tmp_path), "--pattern", WHO)
    assert re.search(r"^bones, cm +min +mean +max +ann +bob +cyd +dan$", result.out, re.MULTILINE)
    assert re.search(r"^leg +82\.7 +99\.9 +119\.4 +82\.7 +91\.8 +105\.6 +119\.4$", result.out, re.MULTILINE)
    rows = result.out.partition("bones, cm")[2].partition("their rest poses agree")[0].splitlines()
    assert max(map(len, rows[:12])) <= 80 and rows[12].startswith("18 bones of 4 people (actor) differ, most that to ")
    assert "12 of 12 clips (100%, 100% of frames) are shorter than a window of 64 frames" in result.out
    many = invoke("data", "inspect", write_people(tmp_path / "many", {f"p{n:02}": 1 + n / 40 for n in range(12)}, 1))
    assert max(map(len, many.out.partition("bones, cm")[2].partition("bones of")[0].splitlines())) <= 80
    assert many.out.count("bones, cm") > 1, "as many tables as people need"


def test_inspect_refuses_what_is_no_motion(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "bad.bvh").write_text("HIERARCHY\n")
    result = invoke("data", "inspect", tmp_path)
    assert result.code == 2
    assert "bad.bvh:" in result.out + result.err
    assert invoke("data", "inspect", tmp_path / "absent").code == 2


def test_names_that_no_terminal_shows_are_escaped(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_bytes(next(corpus.rglob("*.bvh")).read_bytes())
    (tmp_path / "b\udcff.bvh").write_text("no motion")
    found = invoke("data", "inspect", tmp_path)
    assert found.code == 0
    assert "b\\udcff.bvh:1: not a BVH file" in found.out
    told = json.loads(invoke("data", "inspect", tmp_path, "--json").out)
    assert told["refused"][0]["file"] == "b\udcff.bvh"


def test_convert_does_what_each_option_says(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    source = min(corpus.glob("walk_normal_*.bvh"))
    clip = motionsynth.read_bvh(source)
    out = tmp_path / "out.bvh"
    assert invoke("data", "convert", source, out, "--slice", "5:25", "--units", "m", "--portable").code == 0
    cut = motionsynth.read_bvh(out)
    assert len(cut) == 20
    assert abs(cut.positions() - clip.positions()[5:25] / 100).max() < 2e-5
    assert invoke("data", "convert", source, out, "--fps", 60).code == 0
    assert motionsynth.read_bvh(out).frame_rate == pytest.approx(60)
    assert invoke("data", "convert", source, out, "--mirror").code == 0
    assert abs(motionsynth.read_bvh(out).positions() - clip.positions()).max() > 1


def test_convert_takes_a_folder(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    assert invoke("data", "convert", corpus, tmp_path / "out", "--slice", ":4").code == 0
    written = {path.name for path in (tmp_path / "out").glob("*.bvh")}
    assert written == {path.name for path in corpus.glob("*.bvh")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--slice", "5"), "must look like"),
        (("--slice", "900:"), "no frame is left"),
        (("--units", "yards"), "unknown unit"),
    ],
)
def test_convert_refuses_nonsense(
    invoke: Invoke, corpus: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = invoke("data", "convert", min(corpus.glob("*.bvh")), tmp_path / "out.bvh", *options)
    assert result.code == 2
    assert message in result.err
    assert not list(tmp_path.iterdir())


def test_train_leaves_a_run_that_generates(
    invoke: Invoke, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("train", "gan", "--data", corpus, "--set", "train.steps=3", *SMALL, "--no-track")
    assert result.code == 0, result.err
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("gan-")
    assert json.loads((run / "run.json").read_text())["state"] == "finished"
    samples = run / "samples"
    assert len(list(samples.glob("*.bvh"))) == len(list((samples / "real").glob("*.bvh"))) == 6
    assert (samples / "player.html").stat().st_size > 10_000
    assert (samples / "preview.gif").read_bytes()[:4] == b"GIF8"
    listed = json.loads(invoke("runs", "list", "--json").out)
    assert [item["family"] for item in listed] == ["gan"]
    assert run.name in invoke("runs", "list").out
    assert "train/" in invoke("runs", "show", run).out


def test_dry_run_prints_a_config_that_runs(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = invoke("train", "vae", "--data", corpus, "--set", "train.steps=7", "--dry-run", "--run-dir", run)
    path = tmp_path / "vae.yaml"
    path.write_text(result.out)
    train = load_config(path).train
    assert train.steps == 7
    assert "auto" not in (train.threads, train.precision), "a run keeps what that stands for"
    assert not run.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "vea"), "unknown family 'vea', did you mean vae? known: aae, ae, "),
        (("train", "vae", "--set", "family.latent_dmi=3"), "family.latent_dmi: unknown key, did you mean latent_dim?"),
        (("train", "vae", "--data", "/absent/folder"), "/absent/folder"),
        (("train", "vae", "--config", "/absent.yaml"), "/absent.yaml"),
        (("train", "vae", "--resume"), "--run-dir"),
        (("train", "vae", "--resume", "--run-dir", "/absent"), "/absent: no such run directory"),
        (("train", "vae", "--device", "tpu"), "auto, cpu or cuda"),
        (("generate", "/absent"), "/absent: no such run directory"),
        (("generate", "/absent", "-n", "0"), "greater than or equal to 1"),
        (("reconstruct", "/absent", "/absent.bvh", "--out", "/tmp/x"), "no such file"),
        (("view", "/absent.bvh"), "no such file"),
        (("runs", "show", "/absent"), "/absent"),
        (("runs", "sync", "/absent"), "/absent"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    result = invoke(*arguments)
    assert result.code == 2
    plain = " ".join(re.sub(r"[│╭╮╰╯─]", " ", re.sub(r"\x1b\[[0-9;]*m", "", result.err)).split())
    assert message in plain
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "setting",
    ["family.latent_dim=10000000000000", "family.backbone={kind: conv, widths: [10000000000000,8,8,8]}"],
    ids=["latents", "width"],
)
def test_networks_beyond_this_machine_are_one_line(invoke: Invoke, corpus: Path, tmp_path: Path, setting: str) -> None:
    result = invoke("train", "vae", "--data", corpus, *SMALL, "--set", setting, "--run-dir", tmp_path / "run")
    assert result.code == 2 and "error: family: its networks cannot be built" in result.err
    assert "Traceback" not in result.err and not (tmp_path / "run").exists()


class OutOfMemoryError(RuntimeError):
    """As torch's for GPUs, which no CPU raises."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "error: system: out of memory: no more to be had"),
        (
            OutOfMemoryError("CUDA out of memory. Tried\nmore"),
            "error: system: out of memory: CUDA out of memory. Tried",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 1"), "error: system: out of memory: Default"),
        (RuntimeError("a bug"), "Traceback"),  # negative control
    ],
)
def test_memory_that_runs_out_is_one_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("motionsynth.runs.train.train", fail)
    result = invoke("train", "vae")
    assert result.code == 1 and words in result.err
    assert ("Traceback" in result.err) is (words == "Traceback")


def test_a_run_is_never_overwritten(invoke: Invoke, vae: Path, corpus: Path) -> None:
    result = invoke("train", "vae", "--data", corpus, "--run-dir", vae)
    assert result.code == 2
    assert "--resume" in result.err
    assert invoke("train", "gan", "--resume", "--run-dir", vae).code == 2
    assert invoke("train", "vae", "--resume", "--run-dir", vae).code == 0


def test_same_seed_same_bytes(invoke: Invoke, vae: Path, tmp_path: Path) -> None:
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert invoke("generate", vae, "-n", 5, "--seed", seed, "--out", tmp_path / out).code == 0
    names = [path.name for path in sorted((tmp_path / "a").iterdir())]
    assert names == [MANIFEST, *(f"{index:04}.bvh" for index in range(5))]
    names.remove(MANIFEST)
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()
    clip = motionsynth.read_bvh(tmp_path / "a" / names[0])
    assert len(clip) == 64
    assert clip.skeleton.offsets[0].tolist() == [0, 0, 0]


def test_generate_refuses_a_length_that_the_family_cannot_make(invoke: Invoke, vae: Path, tmp_path: Path) -> None:
    result = invoke("generate", vae, "--frames", 100_000, "--out", tmp_path / "long")
    assert result.code == 2
    assert "frames" in result.err


def test_reconstruct_keeps_names_and_lengths(invoke: Invoke, vae: Path, corpus: Path, tmp_path: Path) -> None:
    clips = sorted(corpus.glob("*.bvh"))[:3]
    assert invoke("reconstruct", vae, *clips, "--out", tmp_path).code == 0
    for path in clips:
        assert len(motionsynth.read_bvh(tmp_path / path.name)) == len(motionsynth.read_bvh(path))


def test_reconstruct_keeps_two_clips_of_one_name_apart(invoke: Invoke, vae: Path, corpus: Path, tmp_path: Path) -> None:
    clips = sorted(corpus.glob("*.bvh"))[:2]
    for folder, clip in zip("ab", clips, strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.bvh").write_bytes(clip.read_bytes())
    assert invoke("reconstruct", vae, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "back").code == 0
    assert invoke("reconstruct", vae, *clips, "--out", tmp_path / "each").code == 0
    for name, clip in zip(("a_x.bvh", "b_x.bvh"), clips, strict=True):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "each" / clip.name).read_bytes()
    assert len(list((tmp_path / "back").glob("*.bvh"))) == 2


def test_a_run_resumes_from_another_folder(
    invoke: Invoke, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus.parent)
    run = tmp_path / "run"
    short = ("--set", "train.steps=2", *SMALL, "--no-track")
    assert invoke("train", "vae", "--data", corpus.name, *short, "--run-dir", run).code == 0
    change_record(run, state="stopped")
    monkeypatch.chdir(tmp_path)
    assert invoke("train", "vae", "--resume", "--no-track", "--run-dir", run).code == 0
    assert json.loads((run / "run.json").read_text())["state"] == "finished"


def test_names_of_runs_are_no_markup(invoke: Invoke, vae: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "a[" / "b]"
    shutil.copytree(vae, copy)
    assert str(copy) in invoke("runs", "show", copy).out
    shutil.copytree(vae, tmp_path / "[red]")
    assert "[red]" in invoke("runs", "list", "--folder", tmp_path).out


def test_a_place_that_cannot_be_written_is_named_as_it_was_given(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    clip = min(corpus.glob("*.bvh"))
    for place in (tmp_path, tmp_path / "absent" / "page.html"):
        result = invoke("view", clip, "--out", place, "--no-open")
        assert result.code == 2
        assert f"{place}: " in result.err
        assert ".tmp" not in result.err


def test_a_file_name_that_is_no_text_is_one_line(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    import os

    clip = min(corpus.glob("*.bvh"))
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.bvh")).write_bytes(clip.read_bytes())
    run = tmp_path / "run"
    result = invoke("train", "vae", "--data", folder, "--set", "train.steps=2", *SMALL, "--no-track", "--run-dir", run)
    assert result.code == 2
    assert "rename" in result.err
    assert "Traceback" not in result.err
    assert not run.exists()


def test_reconstruct_refuses_a_family_without_encoder(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    gan = tmp_path / "gan"
    assert invoke("train", "gan", "--data", corpus, "--set", "train.steps=2", *SMALL, "--no-track", "--run-dir", gan)
    result = invoke("reconstruct", gan, min(corpus.glob("*.bvh")), "--out", tmp_path / "back")
    assert result.code == 2
    assert "no encoder" in result.err


def test_view_writes_one_page(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    clips = sorted(corpus.glob("*.bvh"))[:2]
    page = tmp_path / "page.html"
    assert invoke("view", *clips, "--out", page, "--no-open").code == 0
    assert clips[0].stem in page.read_text()


def test_a_copied_run_still_generates(invoke: Invoke, vae: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "elsewhere"
    shutil.copytree(vae, copy)
    assert invoke("generate", copy, "-n", 2, "--out", tmp_path / "a").code == 0
    assert invoke("generate", vae, "-n", 2, "--out", tmp_path / "b").code == 0
    assert (tmp_path / "a" / "0001.bvh").read_bytes() == (tmp_path / "b" / "0001.bvh").read_bytes()
    (copy / "weights.safetensors").write_bytes(b"no weights")
    assert invoke("generate", copy).code == 2


def test_training_journals_figures_of_its_samples(vae: Path) -> None:
    rows = [json.loads(line) for line in (vae / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["metrics"]["validation/frechet"] > 0
    assert 0 <= rows[-1]["metrics"]["validation/close_to_train"] <= 1


def test_a_bad_file_stops_training_unless_it_may_be_skipped(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "clips"
    shutil.copytree(corpus, folder)
    bad = min(folder.glob("walk_*.bvh"))
    bad.write_text(bad.read_text().replace("Frames:", "Frames: 9", 1))
    command = ("train", "vae", "--data", folder, "--set", "train.steps=2", *SMALL, "--no-track", "--run-dir")
    stopped = invoke(*command, tmp_path / "a")
    assert stopped.code == 2
    assert f"{bad}:" in stopped.err
    assert "--on-bad-file skip" in stopped.err
    assert not (tmp_path / "a").exists()
    skipped = invoke(*command, tmp_path / "b", "--on-bad-file", "skip")
    assert skipped.code == 0
    assert f"skipped {bad}:" in skipped.err
    assert "stop" in invoke(*command, tmp_path / "c", "--on-bad-file", "repair").err


def test_a_diverged_training_is_a_failure_and_not_a_users_mistake(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    endless = ("--set", "family.optimise.all.lr=1e30", "--set", "train.steps=20")
    result = invoke("train", "ae", "--data", corpus, *SMALL, *endless, "--no-track", "--run-dir", tmp_path / "run")
    assert result.code == 3
    assert re.search(r"error: step \d+, phase all: ", result.err)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("command", ["list", "sync"])
def test_a_folder_of_runs_that_is_not_there_is_a_mistake(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name, reason in (("TYPO", "no such folder"), ("file", "is no folder")):
        result = invoke("runs", command, "--folder", name)
        assert (result.code, result.out, result.err) == (2, "", f"error: {name}: {reason}\n")
    # nobody named this one, and nothing has been trained yet
    assert invoke("runs", "list").code == 0


def test_a_pattern_that_is_given_is_taken(invoke: Invoke, corpus: Path) -> None:
    document = json.loads(invoke("data", "inspect", corpus, "--pattern", "(?P<movement>[a-z]+)_", "--json").out)
    assert list(document["classes"]) == ["movement"]
