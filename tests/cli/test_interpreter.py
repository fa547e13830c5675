"""Commands work however the interpreter was started: warnings as errors, without docstrings and assertions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from motionsynth.docstrings import docstring

# one process for all of them, because loading torch takes longer than they do
SCRIPT = """
import sys
from motionsynth.cli.app import run
codes = []
for line in sys.stdin:
    sys.argv = ["motionsynth", *line.split()]
    try:
        run()
    except SystemExit as left:
        codes.append(left.code or 0)
sys.stdout.flush()
print()
print(codes, __debug__)
"""
OPTIMISED = """\
--help
train --help
families
theory --only optimal_critic/label_kl
"""
"""Commands that show docstrings."""
WARNED = """\
metrics recall
data convert walkers/idle_normal_001.bvh back.bvh --fps 60 --portable
view back.bvh --no-open --out page.html
runs sync run
"""
COMMANDS = """\
data make walkers --clips 24 --out walkers
data inspect walkers
train vae --data walkers --run-dir run --set train.steps=2 --set train.batch_size=8 --set train.threads=1 --no-track
runs list --folder .
{}study status study.yaml
data inspect absent
train vae --data absent
"""
WRONG = 3
"""The last of them."""


def commands_under(folder: Path, further: str, **environment: str) -> tuple[list[int], str]:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=COMMANDS.format(further),
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"}
        | environment
        | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"},
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr and "Warning" not in process.stderr, process.stderr
    codes, _, debug = process.stdout.splitlines()[-1].rpartition(" ")
    assert debug == str("PYTHONOPTIMIZE" not in environment)
    return json.loads(codes), process.stdout


def test_commands_work_where_warnings_are_errors(tmp_path: Path) -> None:
    codes, out = commands_under(tmp_path, WARNED, PYTHONWARNINGS="error")
    assert codes == [0] * (len(codes) - WRONG) + [2] * WRONG, (codes, out)


def test_commands_work_without_docstrings_and_assertions(tmp_path: Path) -> None:
    codes, out = commands_under(tmp_path, OPTIMISED, PYTHONOPTIMIZE="2")
    assert codes == [0] * (len(codes) - WRONG) + [2] * WRONG, (codes, out)
    assert "Variational autoencoder" in out  # a family's module
    assert "Ctrl-C or SIGTERM writes a checkpoint" in out  # a command
    assert "for any D." in out  # a claim of the notes


def test_docstrings_come_back_from_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    import motionsynth.docstrings as module

    kept = docstring(module), docstring(docstring)
    monkeypatch.setattr(module, "__doc__", None)
    monkeypatch.setattr(docstring, "__doc__", None)
    assert (docstring(module), docstring(docstring)) == kept and all(kept)
