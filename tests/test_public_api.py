"""The names that `import motionsynth` promises."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import motionsynth


@pytest.mark.parametrize("name", motionsynth.__all__)
def test_public_names_exist_and_say_what_they_are(name: str) -> None:
    value = getattr(motionsynth, name)
    assert inspect.getdoc(value)
    assert name in dir(motionsynth)


def test_all_is_sorted_and_complete() -> None:
    assert list(motionsynth.__all__) == sorted(motionsynth._HOMES)


def test_paths_may_be_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    motionsynth.make_walkers("clips", clips=48)
    small = ("family.backbone={components: 8, width: 8}", "family.latent_dim=2", "family.fitted.components=2")
    config = motionsynth.resolve_config("vae", data="clips", overrides=[*small, "train.steps=2", "train.batch_size=4"])
    run = motionsynth.train(config, run_dir="run", track=False).run
    assert motionsynth.resume("run", track=False).run.path == run.path
    generated = motionsynth.generate("run", 2, out="generated")
    back = motionsynth.reconstruct("run", ["clips/walk_normal_001.bvh"], "back")
    motionsynth.convert_path("back", "metres", motionsynth.Conversion(units="m"))
    assert motionsynth.compare(["run"], "page.html").is_file()
    assert all(path.is_file() for path in (*generated, *back, Path("metres") / back[0].name))
    assert motionsynth.inspect_path("clips", workers=1).loaded


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = motionsynth.nothing
