"""Reading, converting, viewing and generating need nothing that Python on Windows lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import motionsynth
from motionsynth import read_bvh, workflow

HERE = Path(__file__).parent
FAULTS = HERE / "fixtures" / "faults"
PACKAGE = Path(motionsynth.__file__).parent


def python(script: Path, *arguments: object, package: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
    """Run a script with motionsynth from where ``package`` is."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def without_posix(*arguments: object, package: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
    return python(HERE / "without_posix.py", *arguments, package=package)


def test_the_fixture_reads_and_opens() -> None:
    done = python(FAULTS / "windows_sim.py", FAULTS / "names_colon.bvh")
    assert done.stdout.splitlines() == ["read_bvh ok", "motionsynth.run ok"]


def test_clips_are_inspected_converted_and_viewed(tmp_path: Path) -> None:
    clip, out, page = FAULTS / "names_colon.bvh", tmp_path / "out.bvh", tmp_path / "page.html"
    convert = ("data", "convert", clip, out, "--portable", "--fps", 60)
    view = ("view", out, "--no-open", "--out", page)
    done = without_posix("data", "inspect", clip, "--then", *convert, "--then", *view)
    assert done.returncode == 0, done.stderr
    assert len(read_bvh(out)) == 7
    assert page.stat().st_size > 1000


def test_runs_are_opened_generated_from_and_listed(tmp_path: Path) -> None:
    data, run = tmp_path / "walkers", tmp_path / "run"
    motionsynth.make_walkers(data, clips=12, seed=0)
    small = ("train.steps=2", "train.batch_size=4", "train.threads=1", "family.backbone.widths=[8,8,8,8]")
    workflow.train(workflow.resolve_config("ae", data=data, overrides=small), run_dir=run, track=False)
    generate = ("generate", run, "-n", 2, "--out", tmp_path / "clips")
    back = ("reconstruct", run, min(data.glob("*.bvh")), "--out", tmp_path / "back")
    done = without_posix(*generate, "--then", *back, "--then", "runs", "list", "--folder", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "clips").glob("*.bvh"))) == 2
    assert len(list((tmp_path / "back").glob("*.bvh"))) == 1
    assert "finished" in done.stdout


@pytest.mark.parametrize(
    ("guarded", "bare", "error"),
    [
        ('getattr(os, "O_NONBLOCK", 0)', "os.O_NONBLOCK", "has no attribute 'O_NONBLOCK'"),
        ("import secrets\n", "import secrets\nimport fcntl\n", "import of fcntl halted"),
    ],
)
def test_the_control_without_a_guard_nothing_works(guarded: str, bare: str, error: str, tmp_path: Path) -> None:
    copy = tmp_path / "motionsynth"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    files = copy / "files.py"
    assert guarded in files.read_text()
    files.write_text(files.read_text().replace(guarded, bare))
    done = without_posix("data", "inspect", FAULTS / "names_colon.bvh", package=copy)
    assert done.returncode != 0
    assert error in done.stderr
