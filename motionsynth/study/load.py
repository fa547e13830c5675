"""A study's YAML as a plan; every mistake in it is told with its line, before anything trains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from motionsynth.errors import ConfigError, MotionSynthError, unknown_word
from motionsynth.study.plan import ArmConfig, Cell, CorpusEntry, HypothesisConfig, StudyConfig, cell_hash, flat

if TYPE_CHECKING:
    from motionsynth.config import RunConfig

__all__ = ["Document", "load_study", "plan_cells", "run_of"]

_OWN: Final = {"memoriser": {"windows"}, "low_pass": {"hz"}, "untrained": {"like"}}
"""What ``set`` may hold for landmarks."""


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
        ConfigError: the file cannot be read, a key is unknown, a value does not fit, an arm's run is no run, or a
            hypothesis names an arm, a view, a corpus or a figure that there is not; names file, line and key.
    """
    from motionsynth.config import config_error, read_yaml

    path = Path(path)
    plain = read_yaml(path)
    document = Document(path)
    try:
        study = StudyConfig.model_validate(plain)
    except ValidationError as error:
        told = config_error(error, path, StudyConfig, ())
        raise document.wrong(error.errors()[0]["loc"], told.reason) from error
    _check_arms(study, document)
    _check_hypotheses(study, document)
    for arm in study.arms:
        _configs(study, arm, document, {})
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
    family = arm.family or "vae"
    unused = {f"train.{key}" for key in family_class(family).Config.UNUSED}
    section = entry.data if isinstance(entry.data, Mapping) else {}
    chosen = [(f"data.{key}", value) for key, value in section.items()]
    chosen += [("data.path", str(folder))] if folder else []
    chosen += [(key, value) for key, value in flat(study.base) if key not in unused]
    if arm.family is None:  # a landmark reads motion as the others do, and trains nothing
        chosen = [(key, value) for key, value in chosen if key.startswith("data.")]
    else:
        chosen += list(flat(arm.set))
    overrides = [f"{key}={json.dumps(value)}" for key, value in chosen]
    try:
        return load_config(
            baseline(family), data=entry.data if isinstance(entry.data, Path) else None, overrides=overrides
        )
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


def _check_arms(study: StudyConfig, document: Document) -> None:
    from motionsynth.families import FAMILIES

    for name, arm in study.arms.items():
        if arm.family is not None and arm.family not in FAMILIES:
            reason = unknown_word(f"family {arm.family!r}", arm.family, FAMILIES)
            raise document.wrong(["arms", name, "family"], reason)
        for corpus in arm.corpora or ():
            if corpus not in study.corpora:
                raise document.wrong(["arms", name, "corpora"], unknown_word("corpus", corpus, study.corpora))
        if not study.corpora_of(name):
            raise document.wrong(["arms", name], "suits none of the corpora")
        _check_amounts(study, name, arm, document)


def _check_amounts(study: StudyConfig, name: str, arm: ArmConfig, document: Document) -> None:
    """What ``set`` says of an arm that is no family."""
    if arm.family is not None:
        return
    known = {"components"} if arm.objective else _OWN.get(arm.landmark or "", set())
    for key in arm.set:
        if key not in known:
            raise document.wrong(["arms", name, "set", key], unknown_word("key", key, known))
    if missing := known - set(arm.set):
        raise document.wrong(["arms", name], f"set lacks {min(missing)}")
    if arm.landmark == "untrained":
        like = str(arm.set["like"])
        if like not in study.arms or study.arms[like].family is None:
            families = [other for other, of in study.arms.items() if of.family]
            raise document.wrong(["arms", name, "set", "like"], unknown_word("arm", like, families))
    for key in known & {"windows", "hz", "components"}:
        if not isinstance(arm.set[key], int | float) or arm.set[key] <= 0:
            raise document.wrong(["arms", name, "set", key], f"must be a number above 0 (got {arm.set[key]!r})")


def _check_hypotheses(study: StudyConfig, document: Document) -> None:
    from motionsynth.evaluation.evaluate import SPACES
    from motionsynth.metrics.likelihood import LIKELIHOOD
    from motionsynth.metrics.registry import MEASURES, choose

    if "suite" in study.measure.instruments:
        try:
            choose(study.measure.metrics, study.measure.features, SPACES, measures=(*MEASURES, LIKELIHOOD))
        except MotionSynthError as error:
            raise document.wrong(["measure", "metrics"], str(error)) from error
    for name, hypothesis in study.hypotheses.items():
        place = ["hypotheses", name]
        for side in ("first", "second"):
            _check_side(study, hypothesis, side, [*place, side], document)
        for corpus in hypothesis.corpora or ():
            if corpus not in study.corpora:
                raise document.wrong([*place, "corpora"], unknown_word("corpus", corpus, study.corpora))
        key = hypothesis.endpoint.metric
        if key is not None and hypothesis.endpoint.axis is not None:
            try:
                choose([key], None, SPACES, measures=(*MEASURES, LIKELIHOOD))
            except MotionSynthError as error:
                raise document.wrong([*place, "endpoint", "metric"], str(error)) from error


def _check_side(
    study: StudyConfig, hypothesis: HypothesisConfig, side: str, place: Sequence[str], document: Document
) -> None:
    arm, _, view = getattr(hypothesis, side).partition("@")
    if arm not in study.arms:
        raise document.wrong(place, unknown_word("arm", arm, study.arms))
    if view and view not in study.arms[arm].views:
        raise document.wrong(place, unknown_word(f"view of {arm}", view, study.arms[arm].views))
    corpora = hypothesis.corpora or study.corpora_of(arm)
    if absent := next((corpus for corpus in corpora if corpus not in study.corpora_of(arm)), None):
        raise document.wrong(place, f"{arm} does not run on {absent}")
