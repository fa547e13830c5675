"""Run directories with a thousand kinds of damage: each is refused in one line, or gives the very same clips."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from motionsynth import run_files
from motionsynth.config import RunConfig, baseline, load_config
from motionsynth.errors import MotionSynthError, RunError
from motionsynth.families import FAMILIES
from motionsynth.features.normalise import Normaliser
from motionsynth.features.spec import FeatureSpec
from motionsynth.motion.bvh import write_bvh
from motionsynth.motion.clip import Clip
from motionsynth.run_files import RunFiles, sealed
from motionsynth.runs.generation import generate
from motionsynth.runs.run import Run, create_run, open_run
from motionsynth.training.checkpoint import Checkpoint, load_newest, save_checkpoint
from motionsynth.training.determinism import build_family
from motionsynth.walkers.body import SKELETON
from tests.bases import plain_basis
from tests.damage import (
    MOST_MIB,
    HangError,
    damaged_bytes,
    damaged_document,
    damaged_json,
    forget_peak,
    in_time,
    peak_mib,
)

Files = dict[str, bytes]
MANIFEST = "checkpoints/30/manifest.json"
COUNT = 1000
SMALL = (
    "data.window_frames=8",
    "family.latent_dim=4",
    "family.backbone={kind: conv, widths: [8, 8]}",
    "family.backbone.mapping_width=8",
)


def spec() -> FeatureSpec:
    offsets = SKELETON.offsets
    standing = Clip(SKELETON, 1 / 30, np.zeros((2, len(SKELETON), 3)), np.stack((offsets, offsets)))
    return FeatureSpec.for_clip(standing, frame_rate=30.0, metres_per_unit=0.01)


def make_run(path: Path, config: RunConfig) -> Path:
    """A small run that is as if it had been trained."""
    features = spec()
    size = config.data.window_frames, features.width
    components = config.family.basis and min(config.family.basis.components, size[0] * size[1])
    run = create_run(
        path,
        config,
        spec=features.to_dict(),
        width=features.width,
        labels={"style": ("calm", "tired")},
        normaliser=Normaliser.fit([torch.randn(50, features.width, generator=torch.Generator())]).tensors(),
        corpus_fingerprint="0" * 64,
        basis=plain_basis(*size, components).tensors() if components else None,
        splits={"seed": 0, "splits": {"train": [{"file": "a.bvh", "cell": "walk", "take": None}]}, "dropped": {}},
        write_skeleton=lambda place: write_bvh(features.reference_clip(), place),
    )
    weights = build_family(config.family, run.shape, 0).state_dict()
    state = {"rule": {0: {"step": torch.tensor(4.0), "names": ("a", None, True)}}, "elapsed": 1.5, "windows": "x"}
    save_checkpoint(run.checkpoints_path, Checkpoint(30, weights, {}, state))
    run.save_weights(weights, {}, state="finished", step=30)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("fuzz") / "run", load_config(baseline("vae"), overrides=SMALL))


@pytest.fixture
def run_dir(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def drawn(run_dir: Path) -> bytes:
    shutil.rmtree(run_dir.parent / "out", ignore_errors=True)
    (clip,) = generate(run_dir, 1, out=run_dir.parent / "out", prior="normal")
    return clip.read_bytes()


def everything(run_dir: Path) -> bytes:
    """All that is read of a run, and a clip drawn from it."""
    run = open_run(run_dir)
    run.spec()
    run.normaliser()
    run.skeleton()
    run.splits()
    run.load_family()
    return drawn(run_dir)


def normalised(run_dir: Path) -> bytes:
    open_run(run_dir).normaliser()
    return drawn(run_dir)


def splits(run_dir: Path) -> bytes:
    return repr(open_run(run_dir).splits()).encode()


def resumed(run_dir: Path) -> bytes:
    """The state that a resumed training goes on from."""
    found = load_newest(run_dir / "checkpoints")
    assert found
    return save(found.weights) + repr(found.state).encode()


def fit_record(name: str, content: bytes, _: Files) -> Files:
    """A ``run.json`` whose checksum fits what it says, where it is JSON at all."""
    try:
        return {name: sealed(json.loads(content))}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {name: content}


def fit_hash(name: str, content: bytes, whole: Files) -> Files:
    """A file, and a ``run.json`` with its hash."""
    record = json.loads(whole["run.json"])
    record["sha256"][name] = hashlib.sha256(content).hexdigest()
    return {name: content, "run.json": sealed(record)}


def fit_manifest(name: str, content: bytes, whole: Files) -> Files:
    """A file of a checkpoint, and a manifest with its hash."""
    manifest = json.loads(whole[MANIFEST])
    if name != MANIFEST:
        manifest["sha256"][Path(name).name] = hashlib.sha256(content).hexdigest()
    return {MANIFEST: json.dumps(manifest).encode(), name: content}


def damaged(content: bytes, chance: random.Random, name: str) -> bytes:
    """Damage to bytes, or to what they mean where that is JSON: the whole file, or the header of safetensors."""
    if chance.random() < 0.5:
        return damaged_bytes(content, chance)
    if name.endswith(".json"):
        return damaged_json(damaged_document(json.loads(content), chance))
    if name.endswith(".safetensors"):
        size = int.from_bytes(content[:8], "little")
        header = damaged_json(damaged_document(json.loads(content[8 : 8 + size]), chance))
        return struct.pack("<Q", chance.choice((len(header), 2**62, 2**31))) + header + content[8 + size :]
    return damaged_bytes(damaged_bytes(content, chance), chance)


DOORS = {
    "run.json": (everything, fit_record),
    "normaliser.safetensors": (normalised, fit_hash),
    "weights.safetensors": (drawn, fit_hash),
    "splits.json": (splits, fit_hash),
    "checkpoints/30/state.pt": (resumed, fit_manifest),
    MANIFEST: (resumed, fit_manifest),
}


def survey(run_dir: Path, name: str, *, fitting: bool, count: int = COUNT) -> Counter[str]:
    """Damage a file again and again; what came of it, counted: refused, the same, or another result."""
    door, fit = DOORS[name]
    whole = {file: (run_dir / file).read_bytes() for file in {name, "run.json", MANIFEST}}
    expected, chance = door(run_dir), random.Random(f"{name} {fitting}")
    assert door(run_dir) == expected, "an intact run gives the same again"
    seen: Counter[str] = Counter()
    for _ in range(count):
        content = damaged(whole[name], chance, name)
        for file, written in (fit(name, content, whole) if fitting else {name: content}).items():
            (run_dir / file).write_bytes(written)
        try:
            with in_time():
                outcome = "same" if door(run_dir) == expected else "other"
        except MotionSynthError as error:
            one_line = "\n" not in str(error) and error.exit_code == 2 and len(str(error)) < 1000
            outcome = "refused" if one_line else str(error)
        seen[outcome] += 1
    for file, content in whole.items():
        (run_dir / file).write_bytes(content)
    return seen


@pytest.fixture(autouse=True)
def _in_short(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)  # a damaged checkpoint is warned of
    # config.yaml is never damaged here, and its hash is still looked at: parsing it is most of the work
    monkeypatch.setattr("motionsynth.runs.run.load_config", cache(load_config))


@pytest.mark.parametrize("fitting", [False, True], ids=["as found", "hashes made to fit"])
@pytest.mark.parametrize("name", DOORS)
def test_a_thousand_kinds_of_damage(run_dir: Path, name: str, fitting: bool) -> None:
    survey(run_dir, name, fitting=fitting, count=5)
    forget_peak()
    before = peak_mib()
    seen = survey(run_dir, name, fitting=fitting)
    assert peak_mib() - before < MOST_MIB
    assert set(seen) <= {"refused", "same", "other"} and seen["refused"] > COUNT / 3
    if not fitting:  # what fits its hashes is what someone wrote: it may say anything that makes sense
        assert seen["other"] == 0


def test_without_the_checksum_other_clips_come_in_silence(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the very same damage, and nobody who looks."""
    monkeypatch.setattr(run_files, "_checksum", lambda document: document["sha256"].get("run.json"))
    assert survey(run_dir, "run.json", fitting=False, count=400)["other"] > 0


def test_without_the_hashes_other_clips_come_in_silence(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunFiles, "read_checked", lambda self, name, record, limit=None: self.read(name, limit=limit))
    assert survey(run_dir, "normaliser.safetensors", fitting=False, count=100)["other"] > 0


def test_a_hang_is_seen(run_dir: Path) -> None:
    """The control of the alarm: a read that waits for ever ends the test, and is no damage to any door."""
    import os
    import time

    with pytest.raises(HangError), in_time(0.2):
        time.sleep(5)
    os.mkfifo(run_dir / "pipe")
    with pytest.raises(HangError), in_time(0.2):
        (run_dir / "pipe").read_bytes()


def sizes(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all whole numbers in a configuration."""
    if isinstance(node, int) and not isinstance(node, bool):
        yield place
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from sizes(value, (*place, key))


def with_size(config: RunConfig, place: tuple[Any, ...], size: int) -> RunConfig | None:
    """A configuration that declares another size; None where it may not."""
    plain = config.family.model_dump(mode="json")
    node = plain
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = size
    try:
        family = type(config.family).model_validate(plain)
    except ValueError:
        return None
    return config.model_copy(update={"family": family})


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Run]:
    folder = tmp_path_factory.mktemp("families")

    def make(family: str, kind: str) -> Run:
        shipped = load_config(baseline(family), overrides=("data.window_frames=16",))
        backbone = {"backbone": {"kind": kind}} if kind else {}
        plain = shipped.family.model_dump(mode="json", exclude={"backbone", "critic"} if backbone else set())
        config = shipped.model_copy(update={"family": type(shipped.family).model_validate({**plain, **backbone})})
        return open_run(make_run(folder / f"{family}-{kind}", config))

    return cache(make)


@pytest.mark.parametrize(
    ("family", "kind"), [*((family, "") for family in FAMILIES), ("vae", "gru"), ("gan", "transformer")]
)
def test_a_declared_size_allocates_nothing(family: str, kind: str, run_of: Callable[[str, str], Run]) -> None:
    run = run_of(family, kind)
    run.load_family()
    refused = 0
    forget_peak()
    before = peak_mib()
    for place in sizes(run.config.family.model_dump(mode="json")):
        for size in (100_000, 10_000_000):
            changed = with_size(run.config, place, size)
            if changed is None:
                continue
            try:
                with in_time():
                    Run(run.files, run.record, changed).load_family()
            except RunError as error:
                refused += "\n" not in str(error)
    assert peak_mib() - before < MOST_MIB
    assert refused


def test_without_the_bound_a_declared_size_does_allocate(run_of: Callable[[str, str], Run]) -> None:
    """The control, at a size that a machine can bear."""
    run = run_of("vae", "")
    changed = with_size(run.config, ("latent_dim",), 1500)
    assert changed
    with pytest.raises(RunError, match="its networks would hold more than"):
        Run(run.files, run.record, changed).load_family()
    forget_peak()
    before = peak_mib()
    build_family(changed.family, run.shape, 0)
    assert peak_mib() - before > MOST_MIB


@pytest.mark.parametrize("key", ["frames", "width"])
@pytest.mark.parametrize("size", [10_000, 1_000_000_000])
def test_a_size_in_run_json_allocates_nothing(run_dir: Path, key: str, size: int) -> None:
    record = json.loads((run_dir / "run.json").read_text())
    if key == "frames" and size <= 10_000:  # as much as a configuration may say
        text = (run_dir / "config.yaml").read_text().replace("window_frames: 8", f"window_frames: {size}")
        (run_dir / "config.yaml").write_text(text)
        record["sha256"]["config.yaml"] = hashlib.sha256(text.encode()).hexdigest()
    (run_dir / "run.json").write_bytes(sealed({**record, key: size}))
    forget_peak()
    before = peak_mib()
    for door in (everything, drawn):
        with pytest.raises(RunError), in_time():
            door(run_dir)
    assert peak_mib() - before < MOST_MIB
