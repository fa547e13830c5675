"""A thousand mutations of each kind of YAML: each loads, or is refused in one line that names its file."""

from __future__ import annotations

import random
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from motionsynth.calibration.plan import load_plan
from motionsynth.config import config_hash, dump_config, load_config
from motionsynth.errors import ConfigError, StudyError
from motionsynth.study.load import load_study, plan_cells
from motionsynth.yaml_files import YamlFile
from tests.damage import HangError, in_time
from tests.yaml_mutations import WORDS, mutations

CONFIGS = Path(__file__).parents[1] / "configs"
VAE = CONFIGS / "run" / "vae.yaml"
COUNT = 1000
LONGEST_SECONDS = 20
"""A load that takes longer hangs; the slowest takes a tenth of a second where the machine has nothing else to do."""


def load_run(path: Path) -> None:
    config = load_config(path)
    kept = path.parent / "run" / "config.yaml"
    kept.write_bytes(dump_config(config).encode())
    assert load_config(kept) == config
    assert config_hash(load_config(kept)) == config_hash(config)


def load_data(path: Path) -> None:
    config_hash(load_config(VAE, data=path))


def load_whole_study(path: Path) -> None:
    plan_cells(load_study(path), path)


KINDS: dict[str, tuple[Callable[[Path], Any], list[Path]]] = {
    "run": (load_run, sorted((CONFIGS / "run").glob("*.yaml"))),
    "data": (load_data, sorted((CONFIGS / "data").glob("*.yaml"))),
    "study": (load_whole_study, [CONFIGS / "study" / "smoke.yaml"]),
    "calibration": (load_plan, [CONFIGS / "study" / "smoke-calibration.yaml"]),
}


def faults(kind: str, folder: Path, count: int) -> tuple[list[str], int]:
    """Failures, and the number of mutations that loaded."""
    load, originals = KINDS[kind]
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "run.json").touch()
    shutil.copy(CONFIGS / "data" / "bandai-namco-2-840.txt", folder)
    path, found, loaded = folder / f"mutated-{kind}.yaml", [], 0
    for number, content in enumerate(mutations([path.read_text() for path in originals], count, seed=14)):
        path.write_bytes(content)
        try:
            with in_time(LONGEST_SECONDS):
                load(path)
            loaded += 1
        except (ConfigError, StudyError) as error:
            message = str(error)
            if path.name not in message or not message.isprintable() or len(message) > 1500:
                found.append(f"{number}: {message!r}")
        except (Exception, HangError):
            found.append(f"{number}: {traceback.format_exc(limit=-3)}")
    return found, loaded


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_mutated_loads_or_is_refused_in_a_line_that_names_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    found, loaded = faults(kind, tmp_path, COUNT)
    assert not found, "\n".join(found[:5])
    assert COUNT / 20 < loaded < COUNT / 2, "mutations neither spare nor break everything"


@pytest.mark.parametrize("kind", ["run", "data"])
def test_without_the_guards_of_the_reader_the_same_mutations_end_in_tracebacks(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unguarded(path: str | Path, **_: Any) -> YamlFile:
        return YamlFile(Path(path), yaml.safe_load(Path(path).read_text()), {})

    monkeypatch.setattr("motionsynth.config.read_yaml", unguarded)
    found, _ = faults(kind, tmp_path, COUNT // 5)
    assert any("Traceback" in fault for fault in found)


def test_a_mutated_override_applies_or_is_named() -> None:
    keys = [".".join(key) for key in leaves(yaml.safe_load(VAE.read_text()))]
    draw, found = random.Random(14), []
    for _ in range(COUNT):
        key = draw.choice(keys)
        key = draw.choice((key, key, key.rpartition(".")[0], f"{key}.x", f"{key}x", f".{key}", key.upper()))
        override = f"{key}={draw.choice(WORDS)}"
        try:
            load_config(VAE, overrides=[override])
        except ConfigError as error:
            if "--set" not in str(error) or not str(error).isprintable():
                found.append(f"{override}: {error}")
        except (Exception, HangError):
            found.append(f"{override}: {traceback.format_exc(limit=-3)}")
    assert not found, "\n".join(found[:5])


def leaves(tree: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if not isinstance(tree, dict):
        yield key
        return
    for name, value in tree.items():
        yield from leaves(value, (*key, name))
