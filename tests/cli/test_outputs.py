"""No command writes over anything but a regular file, and none finds that out after long work."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from motionsynth import files
from tests.cli.invocation import Invoke
from tests.test_files import irregular, state

LONG_WORK = (
    "motionsynth.calibration.calibrate.open_job",
    "motionsynth.cli.theory._measure",
    "motionsynth.corpus.corpus.open_corpus",
    "motionsynth.corpus.fetch.fetch_missing",
    "motionsynth.walkers.corpus.walker_clip",
    "motionsynth.comparison.reference.open_reference",
    "motionsynth.runs.generation.read_features",
    "motionsynth.runs.latent_walks._decoded",
    "motionsynth.runs.sampling.draw_samples",
    "motionsynth.study.runner.make_plan",
    "motionsynth.view.player.player_html",
)

STUDY = "configs/study/smoke.yaml"
COMMANDS = {
    "view {clip} --no-open --out {out}": ("",),
    "data convert {clip} {out}": ("",),
    "data clean-feet {clip} --out {out}": ("",),
    "data make walkers --clips 24 --out {out}": ("",),
    "data download lafan1 --accept-licence --out {out}": ("",),
    "train vae --data {corpus} --no-track --run-dir {out}": ("",),
    "generate {run} --out {out}": ("",),
    "reconstruct {run} {clip} --out {out}": ("",),
    "translate {run} {clip} --to elderly --out {out}": ("",),
    "interpolate {run} --seeds 0 1 --out {out}": ("", "player.html"),
    "traverse {run} --out {out}": ("", "player.html"),
    "evaluate {run} --out {out}": ("", "scores.json", "report.html"),
    "calibrate {corpus} --out {out}": ("", "calibration.json", "report.html", "doses"),
    "extractor train {corpus} --out {out}": ("",),
    f"study report {STUDY} --results {{out}}": ("", "report.html", "report.md", "figures"),
    f"study run {STUDY} --runs {{corpus}}/runs --results {{out}}": ("", "report.html", "report.md", "figures"),
    "theory --figures {out}": ("",),
    "demo --data {corpus} --out {out}": ("", "player.html", "runs"),
}
CASES = [(command, inside) for command, places in COMMANDS.items() for inside in places]


def words(command: str, corpus: Path, vae: Path, out: Path) -> list[str]:
    return [word.format(clip=min(corpus.glob("*.bvh")), corpus=corpus, run=vae, out=out) for word in command.split()]


@pytest.mark.parametrize("kind", ["device", "pipe"])
@pytest.mark.parametrize(("command", "inside"), CASES, ids=[f"{c.partition(' {')[0]} {i}".strip() for c, i in CASES])
def test_a_device_stays_a_device(
    invoke: Invoke,
    corpus: Path,
    vae: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    inside: str,
    kind: str,
) -> None:
    def long_work(*_: object, **__: object) -> NoReturn:
        raise AssertionError("long work was begun")

    for name in LONG_WORK:
        monkeypatch.setattr(name, long_work)
    out = tmp_path / "out"
    if inside:
        out.mkdir()
    place = irregular(kind, out / inside if inside else out)
    before = state(place.parent)
    result = invoke(*words(command, corpus, vae, out))
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1 + result.err.startswith("check 1/1") and f"error: {place}: " in result.err
    assert state(place.parent) == before


def test_without_the_refusal_a_device_is_replaced(
    invoke: Invoke, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "refuse_irregular", lambda path: None)
    place = irregular("device", tmp_path / "out")
    assert invoke("view", min(corpus.glob("*.bvh")), "--no-open", "--out", place).code == 0
    assert place.is_file()


FULL = {
    "view {clip} --no-open --out {out}": "{out}",
    "data convert {clip} {out}.bvh": "{out}.bvh",
    "data make walkers --clips 24 --out {out}": "{out}",
    "train vae --data {corpus} --no-track --run-dir {out}": "{out}",
    "generate {run} -n 1 --out {out}": "{out}/0000.bvh",
    "traverse {run} --code 0 -n 2 --out {out}": "{out}/z0/00.bvh",
}


@pytest.mark.parametrize("command", FULL)
def test_a_full_disk_is_no_fault_of_the_user(
    invoke: Invoke, corpus: Path, vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    out = tmp_path / "out"
    result = invoke(*words(command, corpus, vae, out))
    assert result.code == 1, result.err
    last = result.err.splitlines()[-1]
    assert last.startswith(f"error: {FULL[command].format(out=out)}")
    assert "No space left on device" in last and " free" in last and ".tmp" not in last
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
