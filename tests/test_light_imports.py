"""Training and sampling run where there is torch and numpy, and no MLflow, BVH, pytorch3d, Typer or SciPy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLOCKED = ("mlflow", "bvh", "pytorch3d", "typer", "scipy", "simdjson", "orjson", "sklearn", "PIL")

# the interpreter's own way to say that a module is not there
BLOCK = "import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n"

TRAIN = """
import tempfile
from pathlib import Path
import motionsynth.families, motionsynth.nn, motionsynth.losses, motionsynth.training.trainer, motionsynth.runs.sampling
from motionsynth.runs.fit import train_run
from motionsynth.families import FAMILIES, family_class
from motionsynth.runs.run import open_run
from motionsynth.runs.sampling import draw_samples
from tests.training import toy_family
for name in FAMILIES:
    family_class(name)
toy_family.register()
with tempfile.TemporaryDirectory() as folder:
    run = toy_family.make_run(Path(folder) / "run", toy_family.make_config(steps=6))
    train_run(run, toy_family.make_windows(), toy_family.make_windows(11, 1))
    print(tuple(draw_samples(open_run(run.path), 3, seed=0).motion_NTD.shape))
"""


def run_blocked(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK.format(blocked=BLOCKED) + code]
    root = Path(__file__).resolve().parents[1]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=root)


def test_training_and_sampling_need_only_torch_and_numpy() -> None:
    done = run_blocked(TRAIN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(3, 8, 3)"


@pytest.mark.parametrize("module", BLOCKED)
def test_the_block_blocks(module: str) -> None:
    done = run_blocked(f"import {module}")
    assert done.returncode == 1 and f"import of {module} halted" in done.stderr
