"""``motionsynth train --seeds``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from motionsynth.runs.run import open_run
from tests.cli.invocation import Invoke

SMALL = ("train.steps=2", "train.batch_size=8", "family.backbone={kind: basis, components: 32, width: 8, layers: 1}")
OPTIONS = [part for setting in SMALL for part in ("--set", setting)]


def test_seeds_make_runs_beside_one_another_and_what_is_missing_is_made_again(
    invoke: Invoke, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", "gan", "--seeds", "3:5", "--run-dir", "runs/gan", "--no-track")
    made = invoke(*words, "--data", corpus, *OPTIONS)
    assert made.code == 0, made.err
    assert made.out.split() == ["runs/gan-seed-3", "runs/gan-seed-4"]
    assert [open_run(path).config.train.seed for path in sorted(Path("runs").iterdir())] == [3, 4]
    before = Path("runs/gan-seed-4/weights.safetensors").read_bytes()
    assert invoke(*words, "--data", corpus, *OPTIONS).code == 2, "their places are taken"
    shutil.rmtree("runs/gan-seed-4")
    assert invoke(*words, "--resume").code == 0
    assert Path("runs/gan-seed-4/weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "8"), "must look like 0:8"),
        (("--seeds", "4:4"), "must look like 0:8"),
        (("--seeds", "0:99999999"), "must look like 0:8"),
        (("--seeds", "0:2", "--set", "train.seed=3"), "leave out --set train.seed"),
        (("--seeds", "0:2", "--resume"), "--run-dir"),
        (("--seeds", "0:2", "--resume", "--run-dir", "absent"), "absent-seed-0: no such run directory"),
    ],
)
def test_what_cannot_be_is_refused(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = invoke("train", "vae", *words)
    assert refused.code == 2 and message in refused.err.replace("\n", " "), refused.err
    assert not list(tmp_path.iterdir())
