"""Commands run in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionsynth.cli.app import run as run_app
from tests.cli.invocation import Invoke, Result


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Run ``motionsynth ARGUMENTS`` in this process."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["motionsynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run_app()
        out, err = capsys.readouterr()
        code = left.value.code
        return Result(code if isinstance(code, int) else int(code is not None), out, err)

    return call


@pytest.fixture(scope="session")
def vae(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a VAE that has learnt from them for six steps; tests leave it as it is."""
    from motionsynth.config import resolve_config
    from motionsynth.runs.train import train

    small = (
        "train.steps=6",
        "train.batch_size=8",
        "family.backbone={kind: conv, widths: [8,8,8,8]}",
        "train.threads=1",
    )
    config = resolve_config("vae", data=corpus, overrides=small)
    return train(config, run_dir=tmp_path_factory.mktemp("runs") / "vae", track=False).run.path
