"""Examples in docstrings do what they show."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from motionsynth import make_walkers

PACKAGE = Path(__file__).parents[1] / "motionsynth"
MODULES = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def walkers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The working folder, in which examples find ``walkers``."""
    monkeypatch.chdir(tmp_path)
    make_walkers(tmp_path / "walkers", clips=48)


@pytest.mark.usefixtures("walkers")
@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_show(name: str) -> None:
    found = doctest.testmod(import_module(name), optionflags=FLAGS)
    assert found.attempted and not found.failed


def test_there_are_examples_of_the_public_functions() -> None:
    assert len(MODULES) >= 10


def test_a_wrong_example_fails() -> None:
    module = ModuleType("wrong")
    module.__doc__ = ">>> 1 + 1\n3\n"
    assert doctest.testmod(module, optionflags=FLAGS).failed == 1
