"""Commands run in this process."""

from __future__ import annotations

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
