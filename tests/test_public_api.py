"""The names that `import motionsynth` promises."""

from __future__ import annotations

import inspect

import pytest

import motionsynth


@pytest.mark.parametrize("name", motionsynth.__all__)
def test_public_names_exist_and_say_what_they_are(name: str) -> None:
    value = getattr(motionsynth, name)
    assert inspect.getdoc(value)
    assert name in dir(motionsynth)


def test_all_is_sorted_and_complete() -> None:
    assert list(motionsynth.__all__) == sorted(motionsynth._HOMES)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = motionsynth.nothing
