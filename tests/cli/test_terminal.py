"""Names out of files reach the terminal as text: nothing in them steers it."""

from __future__ import annotations

import ast
import csv
import io
import json
import logging
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import motionsynth.cli
from motionsynth.cli import terminal
from motionsynth.cli.progress import StageBar
from motionsynth.printable import printable
from tests.cli.invocation import Invoke

STEERING = "\x1b]0;stolen\x07\x1b[2J\u202e\u2028\x9b"
HOSTILE = f"{STEERING}\n"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069]")
JOINT = "\u202e\u2067"
"""Characters that names of joints may hold: a BVH file with more is refused, and its refusal printed."""
FORGED = f"{HOSTILE}forged"
SMALL = ("train.steps=2", "train.batch_size=8", "train.threads=1", "family.backbone={kind: conv, widths: [8,8,8,8]}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose folder, names, joints, takes and classes are hostile, a broken one among them."""
    from motionsynth.walkers.corpus import make_walkers

    folder = tmp_path_factory.mktemp("data")
    make_walkers(folder / "walkers", clips=24, seed=3)
    out = folder / f"corpus{FORGED}"
    out.mkdir()
    with (folder / "walkers" / "labels.csv").open(newline="") as file:
        rows = [{key: row[key] for key in ("file", "take", "content", "style")} for row in csv.DictReader(file)]
    for index, row in enumerate(rows):
        text = (folder / "walkers" / row["file"]).read_text().replace("LeftFoot", f"Left{JOINT}Foot")
        row["file"] = f"clip{FORGED}{index}.bvh"
        (out / row["file"]).write_text(text)
        row["take"] += FORGED
        row["content"] += FORGED
    (out / f"broken{FORGED}.bvh").write_text(f"HIERARCHY\nROOT {STEERING}\n")
    rows.append({"file": f"broken{FORGED}.bvh", "take": "broken", "content": rows[0]["content"], "style": "normal"})
    with (out / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ("file", "take", "content", "style"))
        writer.writeheader()
        writer.writerows(rows)
    return out


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from motionsynth.config import resolve_config
    from motionsynth.runs.train import train

    config = resolve_config(
        "vae", data=corpus, overrides=("data.on_bad_file=skip", *SMALL, "family.condition=[content]")
    )
    path = tmp_path_factory.mktemp("runs") / f"vae{FORGED}"
    return train(config, run_dir=path, track=False).run.path


def clip_of(corpus: Path) -> Path:
    return next(path for path in sorted(corpus.glob("*.bvh")) if path.name.startswith("clip"))


def check_plain(text: str) -> None:
    assert not RAW.search(text), ascii(text)
    assert not re.search("^forged", text, re.MULTILINE), ascii(text)


def commands(corpus: Path, run: Path, out: Path) -> dict[str, tuple[int, list[object]]]:
    clip, train = clip_of(corpus), ["train", "vae", "--no-track", "--data", corpus]
    absent = corpus / f"absent{FORGED}.bvh"
    small = [word for key in SMALL for word in ("--set", key)]
    return {
        "inspect": (0, ["data", "inspect", corpus]),
        "inspect clip": (0, ["data", "inspect", clip]),
        "inspect pattern": (0, ["data", "inspect", corpus, "--pattern", f"(?P<x>{STEERING[0]}).*"]),
        "convert": (0, ["data", "convert", clip, out / f"{FORGED}.bvh"]),
        "convert broken": (2, ["data", "convert", corpus, out / "all"]),
        "train": (0, [*train, "--on-bad-file", "skip", *small, "--run-dir", out / f"run{FORGED}"]),
        "train stops": (2, [*train, *small, "--run-dir", out / "stops"]),
        "train taken": (2, [*train, "--run-dir", run]),
        "train set": (2, [*train, "--set", f"data.{FORGED}=1"]),
        "train family": (2, ["train", FORGED]),
        "generate": (0, ["generate", run, "-n", "1", "--out", out / f"generated{FORGED}"]),
        "generate label": (2, ["generate", run, "-n", "1", "--label", f"content={FORGED}"]),
        "reconstruct": (0, ["reconstruct", run, clip, "--out", out / f"back{FORGED}"]),
        "reconstruct strange": (2, ["reconstruct", run, absent, "--out", out]),
        "interpolate": (0, ["interpolate", run, "--seeds", 0, 1, "-n", 2, "--out", out / f"between{FORGED}"]),
        "traverse": (2, ["traverse", run, "--code", FORGED]),
        "evaluate": (2, ["evaluate", corpus, "--reference", f"{corpus}:tset"]),
        "evaluate extractor": (2, ["evaluate", run, "--extractor", corpus]),
        "calibrate": (2, ["calibrate", corpus, "--config", absent]),
        "extractor": (2, ["extractor", "show", corpus]),
        "runs list": (0, ["runs", "list", "--folder", run.parent]),
        "runs typo": (2, ["runs", "list", "--folder", absent]),
        "runs show": (0, ["runs", "show", run]),
        "runs show none": (2, ["runs", "show", corpus]),
        "study": (2, ["study", "status", absent]),
        "view": (0, ["view", clip, "--no-open", "--out", out / f"page{FORGED}.html"]),
        "usage": (2, ["data", "inspect", corpus, FORGED]),
        "command": (2, [FORGED]),
        "option": (2, ["generate", run, f"--{FORGED}"]),
        "number": (2, ["generate", run, "-n", FORGED]),
        "traceback": (2, ["-v", "data", "inspect", absent]),
        "theory": (2, ["theory", "--only", FORGED]),
        "metrics": (2, ["metrics", FORGED]),
        "families": (0, ["families"]),
        "handbook": (0, ["metrics", "--markdown"]),
    }


def test_no_command_prints_a_name_raw(
    invoke: Invoke, corpus: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, (code, arguments) in commands(corpus, run, tmp_path).items():
        result = invoke(*arguments)
        assert result.code == code, (name, result.err)
        check_plain(result.out + result.err)
        logging.getLogger().handlers.clear()
    assert RAW.search(str(corpus)) and RAW.search(str(clip_of(corpus))) and "\n" in str(run)


def test_without_the_escaping_they_would(
    invoke: Invoke, corpus: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raw(text: str, *, keep: str = "") -> str:
        return text

    monkeypatch.setattr(terminal, "printable", raw)
    monkeypatch.setattr("motionsynth.cli.app.printable", raw)
    for name in ("inspect", "train stops", "runs list", "runs show", "usage", "convert"):
        result = invoke(*commands(corpus, run, tmp_path)[name][1])
        with pytest.raises(AssertionError):
            check_plain(result.out + result.err)


def test_json_holds_the_very_names(invoke: Invoke, corpus: Path, run: Path) -> None:
    result = invoke("data", "inspect", corpus, "--json")
    check_plain(result.out)
    document = json.loads(result.out)
    assert document["path"] == str(corpus)
    assert {file["file"] for file in document["loaded"]} == {path.name for path in corpus.glob("clip*.bvh")}
    result = invoke("runs", "list", "--folder", run.parent, "--json")
    check_plain(result.out)
    assert [summary["path"] for summary in json.loads(result.out)] == [str(run)]


def test_a_printed_configuration_holds_the_very_names(invoke: Invoke, corpus: Path) -> None:
    result = invoke("train", "vae", "--data", corpus, "--dry-run")
    check_plain(result.out)
    assert yaml.safe_load(result.out)["data"]["path"] == str(corpus)


@pytest.mark.parametrize("width", [200, 60])
def test_bars_on_a_terminal_show_names_as_text(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None, highlight=False)
    with StageBar(console) as stage:
        for done in range(3):
            stage(f"cell [red]{FORGED}", done, 2)
    shown = out.getvalue()
    assert "stolen" in shown and "\x1b]" not in shown and "\u202e" not in shown and "\nforged" not in shown


def test_log_messages_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger()
    before = logger.handlers[:]
    logger.handlers.clear()
    try:
        terminal.log_to_terminal(logging.WARNING)
        logging.getLogger("motionsynth").warning("damaged: %s", FORGED)
    finally:
        logger.handlers[:] = before
    err = capsys.readouterr().err
    check_plain(err)
    assert err.count("\n") == 1 and err.startswith("WARNING: damaged: \\x1b]0;")


def test_what_is_text_stays_as_it_is() -> None:
    for text in (
        "walk_001.bvh",
        "行走.bvh",
        "Gehen – schräg.bvh",
        "מהלך.bvh",
        "C:\\mocap\\walk.bvh",
        "e\u0301",
        "👍🏽",
    ):
        assert printable(text) == text
    assert printable("a\tb\r\n\x1b\x9b\u202e\u200f\U000e0041\udcff") == (
        "a\\tb\\r\\n\\x1b\\x9b\\u202e\\u200f\\ue0041\\udcff".replace("\\ue0041", "\\U000e0041")
    )
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_commands_print_through_the_terminal_module_alone() -> None:
    folder = Path(motionsynth.cli.__file__).parent
    around = {"echo", "secho", "print", "escape", "Console"}
    for path in folder.glob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                called = ast.unparse(node.func)
                assert called not in {"typer.echo", "typer.secho", "print", "rich.print"}, f"{path}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and node.module in ("rich.markup", "rich", "typer"):
                assert not around & {alias.name for alias in node.names}, f"{path}:{node.lineno}"
