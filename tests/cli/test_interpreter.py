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
COMMANDS = """\
--help
train --help
families
metrics recall
theory --only optimal_critic/label_kl
data make walkers --clips 24 --out walkers
data inspect walkers
data convert walkers/idle_normal_001.bvh back.bvh --fps 60 --portable
train vae --data walkers --run-dir run --set train.steps=2 --set train.batch_size=8 --set train.threads=1 --no-track
runs sync run
generate run -n 2 --out clips
view back.bvh --no-open --out page.html
runs list --folder .
runs show run
study status study.yaml
data inspect absent
train vae --data absent
"""
WRONG = 3
"""The last of them."""


def commands_under(folder: Path, *, options: tuple[str, ...] = (), **environment: str) -> tuple[list[int], str]:
    process = subprocess.run(
        [sys.executable, *options, "-c", SCRIPT],
        input=COMMANDS,
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


@pytest.mark.parametrize("environment", [{"PYTHONWARNINGS": "error"}, {"PYTHONOPTIMIZE": "2"}], ids=str)
def test_commands_work_under(tmp_path: Path, environment: dict[str, str]) -> None:
    codes, out = commands_under(tmp_path, **environment)
    assert codes == [0] * (len(codes) - WRONG) + [2] * WRONG, (codes, out)
    assert "Variational autoencoder" in out and "Ctrl-C or SIGTERM writes a checkpoint" in out
    assert "for any D." in out  # a claim of the notes


def test_docstrings_come_back_from_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    import motionsynth.docstrings as module

    kept = docstring(module), docstring(docstring)
    monkeypatch.setattr(module, "__doc__", None)
    monkeypatch.setattr(docstring, "__doc__", None)
    assert (docstring(module), docstring(docstring)) == kept and all(kept)
