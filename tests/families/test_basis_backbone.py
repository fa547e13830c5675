"""Runs whose networks see coefficients of a basis: from training to generated clips, and back from the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionsynth.config import resolve_config
from motionsynth.corpus.basis import WindowBasis
from motionsynth.errors import ConfigError, RunError
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.capabilities import Encodes, Reconstructs
from motionsynth.families.latent import LatentConfig
from motionsynth.motion.bvh import read_bvh
from motionsynth.runs.generation import generate, reconstruct
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sampling import draw_samples
from motionsynth.runs.train import resume, train
from motionsynth.walkers.corpus import make_walkers
from tests.records import change_record

SMALL = (
    "data.window_frames=16",
    "train.steps=6",
    "train.batch_size=8",
    "family.backbone={kind: basis, components: 24, width: 16, layers: 2}",
)
LATENT = [name for name in FAMILIES if issubclass(family_class(name).Config, LatentConfig)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "walkers"
    make_walkers(folder, clips=12)
    return folder


def trained(name: str, corpus: Path, run_dir: Path, *overrides: str) -> Run:
    config = resolve_config(name, data=corpus, overrides=(*SMALL, *overrides))
    return train(config, run_dir=run_dir, track=False).run


@pytest.fixture(scope="module")
def vae(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained("vae", corpus, tmp_path_factory.mktemp("runs") / "vae")


@pytest.mark.parametrize("name", [*LATENT, "flow", "cyclegan"])
def test_every_family_with_networks_learns_in_a_basis(name: str, corpus: Path, tmp_path: Path) -> None:
    extra = {"infogan": ("family.latent_dim=16",), "cyclegan": ("data.keep={style: [elderly, normal]}",)}.get(name, ())
    run = open_run(trained(name, corpus, tmp_path / "run", *extra).path)
    assert run.shape.basis is not None and run.shape.basis.size == 24
    drawn = draw_samples(run, 3, 0).motion_NTD
    assert drawn.shape == (3, 16, run.record.width)
    assert len(read_bvh(generate(run.path, 2, out=tmp_path / "clips", frames=9)[0])) == 9
    family = run.load_family()
    assert family.longest == 16
    if isinstance(family, Reconstructs) and isinstance(family, Encodes):
        (back,) = reconstruct(run.path, [sorted(corpus.glob("*.bvh"))[0]], tmp_path / "back")
        assert len(read_bvh(back)) > 16


def test_what_is_drawn_lies_in_the_basis(vae: Run) -> None:
    """Projected on it again it is the same; noise (the control) is not."""
    basis = open_run(vae.path).basis()
    assert isinstance(basis, WindowBasis)
    drawn = draw_samples(vae, 4, 0).motion_NTD
    torch.testing.assert_close(basis.decode(basis.encode(drawn)), drawn, atol=1e-3, rtol=1e-3)
    noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))
    assert float((basis.decode(basis.encode(noise)) - noise).std()) > 0.5


def test_a_resumed_run_equals_the_uninterrupted_one(vae: Run, corpus: Path, tmp_path: Path) -> None:
    config = resolve_config("vae", data=corpus, overrides=(*SMALL, "train.checkpoint_every_steps=3"))
    whole = train(config, run_dir=tmp_path / "whole", track=False).run
    again = open_run(tmp_path / "whole")
    (tmp_path / "whole" / "weights.safetensors").unlink()
    (newest,) = [p for p in (tmp_path / "whole" / "checkpoints").iterdir() if p.name == "6"] or [None]
    assert newest is not None
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    change_record(again.path, state="stopped")
    resumed = resume(again.path, track=False).run
    first, second = (draw_samples(one, 2, 0).motion_NTD for one in (whole, resumed))
    assert torch.equal(first, second)
    assert torch.equal(first, draw_samples(vae, 2, 0).motion_NTD)


def test_a_damaged_basis_is_refused(corpus: Path, tmp_path: Path) -> None:
    run = trained("ae", corpus, tmp_path / "run")
    path = run.path / "basis.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"basis\.safetensors: is damaged"):
        generate(run.path, 1, out=tmp_path / "clips")


def test_a_small_corpus_has_as_many_components_as_it_can(corpus: Path, tmp_path: Path) -> None:
    """It trains and draws with the shipped number, which is one at most; said in a line."""
    few = ("data.window_frames=64", "data.stride_frames=64", "family.backbone.components=512")
    config = resolve_config("vae", data=corpus, overrides=(*SMALL, *few))
    told: list[str] = []
    run = open_run(train(config, run_dir=tmp_path / "run", track=False, announce=told.append).run.path)
    basis = run.basis()
    assert isinstance(basis, WindowBasis) and 10 < basis.size < 40
    assert any(f"basis: {basis.size} components (512 were asked for" in line for line in told)
    assert draw_samples(run, 2, 0).motion_NTD.shape == (2, 64, run.record.width)


def test_a_corpus_without_two_whole_windows_is_refused_before_a_directory_is_made(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"family\.backbone: a basis needs two whole windows that differ"):
        trained("vae", corpus, tmp_path / "run", "data.window_frames=9000")
    assert not (tmp_path / "run").exists()
