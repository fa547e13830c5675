"""Reading, converting and viewing need nothing that Python on Windows lacks; ``cli/test_export.py`` has generating."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import motionsynth
from motionsynth import read_bvh

HERE = Path(__file__).parent
FAULTS = HERE / "fixtures" / "faults"
PACKAGE = Path(motionsynth.__file__).parent


def run_script(script: Path, *arguments: object, package: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
    """Run a script with motionsynth from where ``package`` is."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def without_posix(*arguments: object, package: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
    """Run commands, ``--then`` between them, in a Python as poor as on Windows."""
    return run_script(HERE / "without_posix.py", *arguments, package=package)


def test_the_fixture_reads_and_opens() -> None:
    done = run_script(FAULTS / "windows_sim.py", FAULTS / "names_colon.bvh")
    assert done.stdout.splitlines() == ["read_bvh ok", "motionsynth.runs.run ok"]


def test_clips_are_inspected_converted_and_viewed(tmp_path: Path) -> None:
    clip, out, page = FAULTS / "names_colon.bvh", tmp_path / "out.bvh", tmp_path / "page.html"
    convert = ("data", "convert", clip, out, "--portable", "--fps", 60)
    view = ("view", out, "--no-open", "--out", page)
    done = without_posix("data", "inspect", clip, "--then", *convert, "--then", *view)
    assert done.returncode == 0, done.stderr
    assert len(read_bvh(out)) == 7
    assert page.stat().st_size > 1000


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
