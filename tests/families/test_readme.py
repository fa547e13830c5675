"""The page that tells how to add a family, followed to the letter in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "motionsynth" / "families" / "README.md"
STEP = re.compile(r"^### \d\. (?P<what>[^\n]+)\n\n```\w+\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the example added, as a reader of the page would."""
    folder = tmp_path_factory.mktemp("project")
    skip = shutil.ignore_patterns("__pycache__")
    for part in ("motionsynth", "configs", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", folder)
    file, line, yaml, command = steps()
    for what, text in (file, yaml):
        (folder / path_in(what)).write_text(text, encoding="utf-8")
    registry = folder / path_in(line[0])
    source = registry.read_text(encoding="utf-8")
    assert source.count("] = {\n") == 1
    registry.write_text(source.replace("] = {\n", "] = {\n" + line[1]), encoding="utf-8")
    run(folder, command[1].split()[1:])
    return folder


def steps() -> list[tuple[str, str]]:
    found = [(step["what"], step["text"]) for step in STEP.finditer(PAGE.read_text(encoding="utf-8"))]
    assert len(found) == 4
    return found


def path_in(what: str) -> str:
    found = re.search(r"`([^`]+)`", what)
    assert found
    return found[1]


def run(folder: Path, arguments: list[str]) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_is_short() -> None:
    assert len(steps()[0][1].splitlines()) < 60


def test_the_example_keeps_the_contract(copy: Path) -> None:
    shown = run(copy, ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/families/test_contract.py", "-k", "dae"])
    passed = re.search(r"(\d+) passed", shown)
    assert passed and int(passed[1]) >= 15, shown


def test_the_example_keeps_the_style(copy: Path) -> None:
    path = path_in(steps()[0][0])
    run(copy, ["-m", "ruff", "check", "--no-cache", path])
    run(copy, ["-m", "ruff", "format", "--no-cache", "--check", path])


def test_the_example_trains_and_is_listed(copy: Path) -> None:
    assert "without" not in run(copy, ["-m", "motionsynth", "train", "dae", "--dry-run"])
    assert '"dae"' in run(copy, ["-m", "motionsynth", "families", "--json"])
    run(copy, ["-m", "motionsynth", "data", "make", "walkers", "--clips", "40", "--out", "data/walkers"])
    small = ["--set", "train.steps=2", "--set", "data.stride_frames=32", "--no-track", "--run-dir", "runs/dae"]
    run(copy, ["-m", "motionsynth", "train", "dae", *small])
    run(copy, ["-m", "motionsynth", "generate", "runs/dae", "-n", "2", "--out", "clips"])
    assert len(list((copy / "clips").glob("*.bvh"))) == 2
