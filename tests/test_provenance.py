"""The commit of the code: of the package's own checkout, whose settings are not run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from motionsynth import provenance


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose settings run a program when git looks at its files, with a package in it, and one deeper."""
    for folder in (tmp_path / "motionsynth", tmp_path / "venv" / "site-packages" / "motionsynth"):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (program := tmp_path / "program").write_text(f"#!/bin/sh\ntouch '{tmp_path}/run'\n")
    program.chmod(0o755)
    person = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for command in (["init", "-q"], ["add", "motionsynth", "venv"], [*person, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    subprocess.run(["git", "config", "core.fsmonitor", str(program)], cwd=tmp_path, check=True)
    return tmp_path


def test_settings_of_a_repository_are_not_run(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGE", repository / "motionsynth")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True)
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as hooks and scripts set it, for a repository of theirs
    assert provenance.git_commit() == head.stdout.strip() and not (repository / "run").exists()
    monkeypatch.delenv("GIT_DIR")
    subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, check=True)
    assert (repository / "run").exists(), "as git does by itself"


def test_a_repository_around_an_environment_is_not_asked(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = repository / "venv" / "site-packages" / "motionsynth"
    monkeypatch.setattr(provenance, "_PACKAGE", installed)
    assert provenance.git_commit() is None and not (repository / "run").exists()
