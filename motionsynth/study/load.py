"""A study's YAML as a plan; every mistake in it is told with its line, before anything trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from motionsynth.config import RunConfig, baseline, load_config, plain_config
from motionsynth.corpus.config import DataConfig
from motionsynth.errors import ConfigError, unknown_word
from motionsynth.families import family_class
from motionsynth.settings import Setting, config_error, located
from motionsynth.study.check import check_arms, check_base, check_hypotheses, check_measure, check_views
from motionsynth.study.contrasts import check_contrast, check_twice
from motionsynth.study.plan import Cell, CorpusEntry, StudyConfig, cell_hash, flat
from motionsynth.yaml_files import YAML_SUFFIXES, YamlFile, dotted, read_yaml

__all__ = ["load_study", "plan_cells", "read_study", "run_of"]


def read_study(path: str | Path) -> YamlFile:
    """A study's YAML as it is written: arms may share what they are made of by ``&name``, ``*name`` and ``<<``.

    Raises:
        ConfigError: as ``read_yaml``.
    """
    return read_yaml(path, aliases=True)


def load_study(path: str | Path) -> StudyConfig:
    """Read a study, and refuse what can be seen to be wrong without reading a clip.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or stands twice, a value does not fit, an arm's run is
            no run or cannot be shown as a view has it, or a hypothesis names an arm, a view, a corpus, an axis or a
            figure that there is not; names file, line and key.
    """
    document = read_study(path)
    try:
        study = StudyConfig.model_validate(located(document.value, StudyConfig, document.path.parent))
    except ValidationError as error:
        raise config_error(error, document, StudyConfig) from error
    _locate_data(study, document.path.parent)
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


def _locate_data(study: StudyConfig, folder: Path) -> None:
    """Put right the paths of data sections, which the model of a study holds as they are written."""
    for entry in study.corpora.values():
        if isinstance(entry.data, dict):
            entry.data.update(located(entry.data, DataConfig, folder))
    for key, value in study.base.items():
        section, _, name = key.partition(".")
        nested = located({section: {name: value} if name else value}, RunConfig, folder)[section]
        study.base[key] = nested[name] if name else nested


def plan_cells(study: StudyConfig, path: Path, *, data: Mapping[str, Path] | None = None) -> list[Cell]:
    """Every cell, seed by seed, so that what is finished is always a whole comparison.

    Args:
        study: the plan.
        path: its file, which errors name.
        data: corpus -> folder of its clips, where that is another than the YAML says.
    """
    document = read_study(path)
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
                section = {**section, "like": plain_config(like)["family"]}
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
    study: StudyConfig, name: str, document: YamlFile, data: Mapping[str, Path]
) -> dict[str, RunConfig | None]:
    """Corpus -> the run of an arm; of landmarks a run that only says how motion is read; None on a grid."""
    found: dict[str, RunConfig | None] = {}
    for corpus in study.corpora_of(name):
        entry = study.corpora[corpus]
        found[corpus] = None if entry.data is None else _config(study, name, corpus, entry, document, data.get(corpus))
    return found


_PINNED: Final = {"threads": 1, "precision": "float32"}
"""Keys of ``train`` that are ``auto`` elsewhere, and what they are in a study that says nothing of them."""


def _config(
    study: StudyConfig, name: str, corpus: str, entry: CorpusEntry, document: YamlFile | None, folder: Path | None
) -> RunConfig:
    arm = study.arms[name]

    named = entry.data if isinstance(entry.data, Path) else None
    file = named if named and named.suffix in YAML_SUFFIXES else None
    section = entry.data if isinstance(entry.data, dict) else {"path": str(named)} if named and not file else {}
    reading = _written(document, ["corpora", corpus, "data"], section, "data.")
    reading += [Setting(("data", "path"), str(folder), f"--data {corpus}={folder}")] if folder else []
    base = _written(document, ["base"], study.base)
    reading += [setting for setting in base if setting.key[0] == "data"]

    try:
        landmark = load_config(baseline(), data=file, overrides=reading)  # reads motion as others do, trains nothing
        if arm.family is None:
            return landmark
        # the YAML of a family may cut motion in a way of its own; here all see the same windows, and have one judge
        windows = [
            Setting(("data", key), getattr(landmark.data, key), "corpora") for key in ("window_frames", "stride_frames")
        ]
        # a cell is to be the same on every machine, and results from before there was an auto keep their keys
        pinned = [Setting(("train", key), value, "studies") for key, value in _PINNED.items()]
        unused = {("train", key) for key in family_class(arm.family).Config.UNUSED}
        used = [setting for setting in base if setting.key not in unused]
        chosen = [*pinned, *reading, *used, *windows, *_written(document, ["arms", name, "set"], arm.set)]
        return _same_everywhere(load_config(baseline(arm.family), data=file, overrides=chosen))
    except ConfigError as error:
        if document is not None and str(error.path).startswith(str(baseline().parent)):
            reason = f"{error.key or ''} {error.reason}".strip()
            raise document.wrong(_place(error, study, name, corpus), reason) from error
        if document is not None and file and str(error.path).startswith(str(file)):
            raise document.wrong(["corpora", corpus, "data"], str(error)) from error
        raise


def _same_everywhere(config: RunConfig) -> RunConfig:
    if key := next((key for key in _PINNED if getattr(config.train, key) == "auto"), None):
        reason = "must be said: a cell is the same on every machine"
        raise ConfigError(baseline(config.family.name), f"train.{key}", reason)
    return config


def _written(
    document: YamlFile | None, place: Sequence[str], section: Mapping[str, Any], prefix: str = ""
) -> list[Setting]:
    """Settings of a run in a section of a study, such as ``{train.steps: 40}``, each with where it stands there."""
    found = []
    for top, value in section.items():
        where = [*place, top]
        stands = f"{document.place_of(where)}: {dotted(where)}" if document else str(dotted(where))
        found += [Setting(tuple((prefix + key).split(".")), part, stands) for key, part in flat({top: value})]
    return found


def _place(error: ConfigError, study: StudyConfig, arm: str, corpus: str) -> list[str]:
    """Where the wrong key of a run stands in the study."""
    key = error.key.split(".") if error.key else []
    for place, section in ((["arms", arm, "set"], study.arms[arm].set), (["base"], study.base)):
        for written in section:
            if key and all(part == other for part, other in zip(key, written.split("."), strict=False)):
                return [*place, written]
    if not key or key[0] == "data":
        return ["corpora", corpus, "data"]
    return ["arms", arm]
