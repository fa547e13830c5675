"""``motionsynth families`` against the families themselves."""

from __future__ import annotations

import json

from motionsynth.families import FAMILIES, family_class
from tests.cli.invocation import Invoke


def test_every_family_is_listed_with_what_it_has(invoke: Invoke) -> None:
    shown = {entry["name"]: entry for entry in json.loads(invoke("families", "--json").out)}
    assert list(shown) == list(FAMILIES)
    for name, entry in shown.items():
        assert tuple(entry["phases"]) == family_class(name).Config.PHASES
        assert all(count > 0 for count in entry["parameters"].values())
        assert entry["summary"].endswith(".")
    assert shown["gan"]["abilities"] == ["sample"]
    assert "reconstruct" in shown["vae"]["abilities"] and "score" in shown["gmm"]["abilities"]


def test_the_table_names_every_family(invoke: Invoke) -> None:
    table = invoke("families").out
    assert all(any(line.startswith(name) for line in table.splitlines()) for name in FAMILIES)
