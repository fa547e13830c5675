"""A study's YAML as a plan; every mistake in it is told with its line, before anything trains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from motionsynth.errors import ConfigError, unknown_word
from motionsynth.study.check import check_arms, check_base, check_hypotheses, check_measure, check_views
from motionsynth.study.contrasts import check_contrast, check_twice
from motionsynth.study.plan import Cell, CorpusEntry, StudyConfig, cell_hash, flat

if TYPE_CHECKING:
    from motionsynth.config import RunConfig

__all__ = ["Document", "load_study", "plan_cells", "run_of"]


class Document:
    """The text of a study's YAML, for telling on which line a key stands.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)

    def wrong(self, key: Sequence[str | int], reason: str) -> ConfigError:
        """The error that names file, line and dotted key; the line of the nearest parent where a key is absent."""
        node, line = self._root, 0
        for part in key:
            found = self._child(node, part)
            if found is None:
                break
            node, line = found
        return ConfigError(f"{self.path}:{line + 1}", ".".join(map(str, key)) or None, reason)

    @staticmethod
    def _child(node: Any, part: str | int) -> tuple[Any, int] | None:
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if name.value == str(part):
                    return value, name.start_mark.line
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            return node.value[part], node.value[part].start_mark.line
        return None


def load_study(path: str | Path) -> StudyConfig:
    """Read a study, and refuse what can be seen to be wrong without reading a clip.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or stands twice, a value does not fit, an arm's run is
            no run or cannot be shown as a view has it, or a hypothesis names an arm, a view, a corpus, an axis or a
            figure that there is not; names file, line and key.
    """
    from motionsynth.config import config_error, read_yaml

    path = Path(path)
    plain = read_yaml(path)
    document = Document(path)
    try:
        study = StudyConfig.model_validate(plain)
    except ValidationError as error:
        told = config_error(error, path, StudyConfig, ())
        key = [part for part in error.errors()[0]["loc"] if "[" not in str(part)]  # a kind of value, as dict[str,any]
        raise document.wrong(key, told.reason) from error
    check_base(study, document)
    check_arms(study, document)
    check_measure(study, document)
    check_hypotheses(study, document)
    check_twice(study, document)
    check_contrast(study, document)
    for name, arm in study.arms.items():
        configs = _configs(study, name, document, {})
        config = next(iter(configs.values()))
        if arm.family is not None and config is not None:
            check_views(name, arm, config, document)
    return study


def plan_cells(study: StudyConfig, path: Path, *, data: Mapping[str, Path] | None = None) -> list[Cell]:
    """Every cell, seed by seed, so that what is finished is always a whole comparison.

    Args:
        study: the plan.
        path: its file, which errors name.
        data: corpus -> folder of its clips, where that is another than the YAML says.
    """
    from motionsynth.config import plain_config

    document = Document(path)
    if stranger := next((name for name in data or {} if name not in study.corpora), None):
        raise ConfigError("--data", stranger, unknown_word("corpus", stranger, study.corpora))
    cells = []
    for arm_name, arm in study.arms.items():
        for corpus, config in _configs(study, arm_name, document, data or {}).items():
            section: dict[str, Any] = {"density": study.corpora[corpus].density}
            if config:
                section = plain_config(config)["data"]
            if arm.landmark == "untrained":
                like = _config(study, str(arm.set["like"]), corpus, study.corpora[corpus], document, None)
                section = {**section, "like": like.family.model_dump(mode="json")}
            for seed in study.seeds_of(arm_name):
                run = _seeded(config, seed) if config and arm.family else None
                key = cell_hash(corpus, arm, run, seed, section)
                cells.append(Cell(study.name, arm_name, corpus, seed, run, key, config.data if config else None))
    first: dict[str, Cell] = {}
    for cell in cells:
        if (other := first.setdefault(cell.key, cell)) is not cell:
            raise document.wrong(["arms", cell.arm], f"is {other.arm} again: make them views of one arm")
    order = {name: place for place, name in enumerate(study.corpora)}
    return sorted(cells, key=lambda cell: (study.arms[cell.arm].tier == "B", cell.seed, order[cell.corpus]))


def run_of(study: StudyConfig, arm: str, corpus: str, *, folder: Path) -> RunConfig:
    """The run of an arm on a corpus whose clips lie in a folder, of seed 0."""
    found = _config(study, arm, corpus, study.corpora[corpus], None, folder)
    return _seeded(found, 0)


def _seeded(config: RunConfig, seed: int) -> RunConfig:
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})


def _configs(
    study: StudyConfig, name: str, document: Document, data: Mapping[str, Path]
) -> dict[str, RunConfig | None]:
    """Corpus -> the run of an arm; of landmarks a run that only says how motion is read; None on a grid."""
    found: dict[str, RunConfig | None] = {}
    for corpus in study.corpora_of(name):
        entry = study.corpora[corpus]
        found[corpus] = None if entry.data is None else _config(study, name, corpus, entry, document, data.get(corpus))
    return found


def _config(
    study: StudyConfig, name: str, corpus: str, entry: CorpusEntry, document: Document | None, folder: Path | None
) -> RunConfig:
    from motionsynth.config import load_config
    from motionsynth.families import family_class
    from motionsynth.workflow import baseline

    arm = study.arms[name]
    section = entry.data if isinstance(entry.data, Mapping) else {}
    reading = [(f"data.{key}", value) for key, value in section.items()]
    reading += [("data.path", str(folder))] if folder else []
    base = list(flat(study.base))
    reading += [(key, value) for key, value in base if key.startswith("data.")]

    def loaded(family: str, chosen: Sequence[tuple[str, Any]]) -> RunConfig:
        overrides = [f"{key}={json.dumps(value)}" for key, value in chosen]
        data = entry.data if isinstance(entry.data, Path) else None
        return load_config(baseline(family), data=data, overrides=overrides)

    try:
        landmark = loaded("vae", reading)  # reads motion as the others do, and trains nothing
        if arm.family is None:
            return landmark
        # the YAML of a family may cut motion in a way of its own; here all see the same windows, and have one judge
        windows = [(f"data.{key}", getattr(landmark.data, key)) for key in ("window_frames", "stride_frames")]
        unused = {f"train.{key}" for key in family_class(arm.family).Config.UNUSED}
        used = [(key, value) for key, value in base if key not in unused]
        return loaded(arm.family, [*reading, *used, *windows, *flat(arm.set)])
    except ConfigError as error:
        if document is None:
            raise
        raise document.wrong(_place(error, study, name, corpus), f"{error.key or ''} {error.reason}".strip()) from error


def _place(error: ConfigError, study: StudyConfig, arm: str, corpus: str) -> list[str]:
    """Where the wrong key of a run stands in the study."""
    key = str(error.key or "")
    for place, section in ((["arms", arm, "set"], study.arms[arm].set), (["base"], study.base)):
        for written in section:
            if key.startswith(written) or (key and written.startswith(key)):
                return [*place, written]
    if key.startswith("data.") or not key:
        return ["corpora", corpus, "data"]
    return ["arms", arm]
