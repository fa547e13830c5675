"""What can be seen to be wrong in a study before a clip is read: arms, views, figures, hypotheses; told by its line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from motionsynth.calibration.record import load_calibration
from motionsynth.config import RunConfig
from motionsynth.corpus.shape import MotionShape
from motionsynth.errors import ConfigError, MotionSynthError, unknown_word
from motionsynth.evaluation.evaluate import SPACES
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.base import Family
from motionsynth.families.capabilities import Reconstructs
from motionsynth.metrics.likelihood import LIKELIHOOD
from motionsynth.metrics.registry import MEASURES, choose, figure_keys
from motionsynth.printable import shown
from motionsynth.study.calibrated import plan_of
from motionsynth.study.grids import KEYS as MIXTURES
from motionsynth.study.plan import (
    ArmConfig,
    EndpointConfig,
    HypothesisConfig,
    MeasureConfig,
    StudyConfig,
    ViewConfig,
    flat,
)
from motionsynth.study.translation import translation_keys
from motionsynth.study.walker_coordinates import KEYS as COORDINATES
from motionsynth.theory.misspecification import MODES
from motionsynth.training.determinism import build_family
from motionsynth.yaml_files import YamlFile

__all__ = [
    "check_arms",
    "check_base",
    "check_hypotheses",
    "check_measure",
    "check_plan",
    "check_side",
    "check_views",
    "suite_keys",
]

_OWN: Final = {"memoriser": {"windows"}, "low_pass": {"hz"}, "untrained": {"like"}}
"""What ``set`` may hold for landmarks."""

_ELSEWHERE: Final = {
    "train.seed": "is given by seeds: every arm is trained by 0, 1, 2, ...",
    "data.path": "belongs to corpora, or to --data",
    "data.second": "belongs to corpora",
    "family.name": "is what family says",
}
"""Keys of a run that a study says in another place."""

_FEATURES: Final = 256
"""Features of the windows that a family is built for to be asked; clips decide how many there are in truth."""


def check_base(study: StudyConfig, document: YamlFile) -> None:
    """Refuse keys for all arms that a study says elsewhere."""
    for key, place in _written(study.base, ["base"]):
        if key in _ELSEWHERE:
            raise document.wrong(place, f"{key} {_ELSEWHERE[key]}")


def check_arms(study: StudyConfig, document: YamlFile) -> None:
    """Refuse unknown families and corpora, and what ``set`` cannot say."""
    for name, arm in study.arms.items():
        if arm.family is not None and arm.family not in FAMILIES:
            reason = unknown_word(f"family {arm.family!r}", arm.family, FAMILIES)
            raise document.wrong(["arms", name, "family"], reason)
        for corpus in arm.corpora or ():
            if corpus not in study.corpora:
                raise document.wrong(["arms", name, "corpora"], unknown_word("corpus", corpus, study.corpora))
            if (study.corpora[corpus].data is None) != (arm.objective is not None):
                reason = (
                    f"{corpus} is no {'density on a grid' if arm.objective else 'motion'}, so {name} cannot run on it"
                )
                raise document.wrong(["arms", name, "corpora"], reason)
        if not study.corpora_of(name):
            raise document.wrong(["arms", name], "suits none of the corpora")
        if arm.family is not None:
            _check_keys(name, arm, document)
        else:
            _check_amounts(study, name, arm, document)


def _check_keys(name: str, arm: ArmConfig, document: YamlFile) -> None:
    """Keys that are not an arm's to say: its results would not belong to those of the others."""
    for key, place in _written(arm.set, ["arms", name, "set"]):
        if key in _ELSEWHERE:
            raise document.wrong(place, f"{key} {_ELSEWHERE[key]}")
        if key.startswith("data.") and key.split(".")[1] != "keep":
            reason = f"{key} belongs to corpora: all arms learn from the same windows, of which data.keep chooses some"
            raise document.wrong(place, reason)


def _written(section: Mapping[str, Any], place: Sequence[str]) -> Iterable[tuple[str, list[str]]]:
    """Dotted keys of a section, each with where it stands."""
    for written, value in section.items():
        for key, _ in flat({written: value}):
            inner = key.removeprefix(written).strip(".")
            yield key, [*place, written, *([inner] if inner else [])]


def _check_amounts(study: StudyConfig, name: str, arm: ArmConfig, document: YamlFile) -> None:
    """What ``set`` and ``views`` say of an arm that is no family."""
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
        amount, kinds = arm.set[key], int | float if key == "hz" else int
        if isinstance(amount, bool) or not isinstance(amount, kinds) or not 0 < amount < math.inf:
            number = "number" if key == "hz" else "whole number"
            raise document.wrong(["arms", name, "set", key], f"must be a {number} above 0 (got {shown(repr(amount))})")
    if arm.objective and MODES % arm.set["components"]:
        raise document.wrong(["arms", name, "set", "components"], f"must divide {MODES}, the modes of a grid")
    if list(arm.views.values()) != [ViewConfig()]:
        raise document.wrong(["arms", name, "views"], "only what is trained is shown in several ways")


def check_views(name: str, arm: ArmConfig, config: RunConfig, document: YamlFile) -> None:
    """Refuse views that the arm's run cannot give.

    Args:
        name, arm: which.
        config: its run.
        document: the study's text.
    """
    family = family_class(config.family.name)
    for view, how in arm.views.items():
        place = ["arms", name, "views", view]
        if how.reconstruct and not issubclass(family, Reconstructs):
            reason = f"{arm.family} gives no window back: no view of it can reconstruct"
            raise document.wrong([*place, "reconstruct"], reason)
        if not how.ema and config.train.ema_decay is None:
            reason = "the run keeps no average that could be left out: train.ema_decay is null"
            raise document.wrong([*place, "ema"], reason)
        for option, asked, known in (("prior", how.prior, None), ("show", how.show, family.SHOWS)):
            if asked is None:
                continue
            known = _priors(family, config) if known is None else known
            if known and asked not in known:
                reason = f"{arm.family} has none such: {unknown_word(f'{option} {asked!r}', asked, known)}"
                raise document.wrong([*place, option], reason)


def _priors(family: type[Family], config: RunConfig) -> tuple[str, ...]:
    """Names of a family's priors, which settings may decide; none where it cannot be built without the clips."""
    if family.priors is Family.priors:
        return ("normal",)
    section = config.family.model_dump()
    labels = {*section.get("condition", ()), *([section["domain"]] if "domain" in section else [])}
    try:
        shape = MotionShape(config.data.window_frames, _FEATURES, dict.fromkeys(labels, 2))
        return build_family(config.family, shape, 0).priors
    except (
        ValueError,
        RuntimeError,
        MemoryError,
    ):  # with the true shape, and by its key, it is told when the clips are read
        return ()


def check_measure(study: StudyConfig, document: YamlFile) -> None:
    """Refuse words that choose no figure, a rule of usefulness without its figure or landmark, and a wrong plan."""
    motion = any(entry.data is not None for entry in study.corpora.values())
    if "suite" in study.measure.instruments and motion:
        try:
            suite_keys(study.measure)
        except MotionSynthError as error:
            option = "features" if isinstance(error, ConfigError) and error.key == "--features" else "metrics"
            raise document.wrong(["measure", option], str(error)) from error
        if _has_plan(study):  # results can be looked at without it
            check_plan(study, document)
    if study.useful is None:
        return
    if study.useful.of not in study.arms:
        raise document.wrong(["useful", "of"], unknown_word("arm", study.useful.of, study.arms))
    for corpus in study.corpora_of(study.useful.of):
        if reason := _not_found(study, corpus, study.useful.figure):
            raise document.wrong(["useful", "figure"], reason)


def check_plan(study: StudyConfig, document: YamlFile) -> None:
    """Refuse a plan of calibrations that cannot be read, or does not fit the study."""
    counted = ["calibration" if study.calibration.count else "measure", "count"]
    places = {"count": counted, "repeats": ["calibration", "repeats"]}
    try:
        plan_of(study)
    except ConfigError as error:
        raise document.wrong(places.get(str(error.key), ["calibration", "plan"]), str(error)) from error


def _has_plan(study: StudyConfig) -> bool:
    return study.calibration.plan is None or study.calibration.plan.exists()


def suite_keys(measure: MeasureConfig) -> tuple[str, ...]:
    """Keys of the figures that the suite finds, as ``metrics`` and ``features`` choose them."""
    return _keys(measure.metrics, measure.features)


@cache
def _keys(metrics: tuple[str, ...] | None, features: tuple[str, ...] | None) -> tuple[str, ...]:
    return figure_keys(choose(metrics, features, SPACES, measures=(*MEASURES, LIKELIHOOD)))


def _not_found(study: StudyConfig, corpus: str, key: str) -> str | None:
    """Why no cell on a corpus will have a figure; None where it will."""
    found = _figures(study, corpus)
    if key in found:
        return None
    if key in _keys(None, None) and "suite" in study.measure.instruments and study.corpora[corpus].data is not None:
        return f"{key} is not computed: measure.metrics and measure.features leave it out"
    close = difflib.get_close_matches(key, found, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else "`motionsynth metrics` lists those of the suite"
    measured = "a mixture" if study.corpora[corpus].data is None else ", ".join(study.measure.instruments)
    return f"no figure {key!r} on {corpus}, which is measured by {measured}; {hint}"


def _figures(study: StudyConfig, corpus: str) -> set[str]:
    """Keys of the figures of cells on a corpus."""
    if study.corpora[corpus].data is None:
        return set(MIXTURES)
    found: set[str] = set()
    if "suite" in study.measure.instruments:
        found |= set(suite_keys(study.measure))
    if "walker_coordinates" in study.measure.instruments:
        found |= set(COORDINATES)
    if study.measure.between is not None:
        found |= set(translation_keys(study.measure.between))
    return found


def check_hypotheses(study: StudyConfig, document: YamlFile) -> None:
    """Refuse contrasts of arms, views and corpora that there are not, and endpoints that no cell will have."""
    axes = _axes(study)
    stated = [(["hypotheses", name], hypothesis) for name, hypothesis in study.hypotheses.items()]
    stated += [(["cut", name], hypothesis) for name, hypothesis in study.cut.items()]
    for place, hypothesis in stated:
        for corpus in hypothesis.corpora or ():
            if corpus not in study.corpora:
                raise document.wrong([*place, "corpora"], unknown_word("corpus", corpus, study.corpora))
        for side in ("first", "second"):
            _check_side(study, hypothesis, side, [*place, side], document)
        first, second = study.sides_of(hypothesis)
        if first == second:
            raise document.wrong([*place, "second"], f"is {'@'.join(first)} as well: nothing is compared")
        shared = [name for name in study.corpora_of(first[0]) if name in study.corpora_of(second[0])]
        if not shared:
            raise document.wrong(place, f"{first[0]} and {second[0]} share no corpus")
        for corpus in hypothesis.corpora or shared:
            _check_useful(study, (first[0], second[0]), corpus, place, document)
            _check_axis(study, hypothesis.endpoint, corpus, axes, [*place, "endpoint"], document)
            metric = hypothesis.endpoint.metric
            if metric is not None and (reason := _not_found(study, corpus, metric)):
                raise document.wrong([*place, "endpoint", "metric"], reason)


def _check_side(
    study: StudyConfig, hypothesis: HypothesisConfig, side: str, place: Sequence[str], document: YamlFile
) -> None:
    check_side(study, getattr(hypothesis, side), place, document)
    arm = study.arm_view(getattr(hypothesis, side))[0]
    if absent := next((corpus for corpus in hypothesis.corpora or () if corpus not in study.corpora_of(arm)), None):
        raise document.wrong(place, f"{arm} does not run on {absent}")


def check_side(study: StudyConfig, side: str, place: Sequence[str | int], document: YamlFile) -> None:
    """Refuse ``ARM`` or ``ARM@VIEW`` that the study has not."""
    arm, _, view = side.partition("@")
    if arm not in study.arms:
        raise document.wrong(place, unknown_word("arm", arm, study.arms))
    if view and view not in study.arms[arm].views:
        raise document.wrong(place, unknown_word(f"view of {arm}", view, study.arms[arm].views))


def _check_useful(
    study: StudyConfig, arms: Sequence[str], corpus: str, place: Sequence[str], document: YamlFile
) -> None:
    """Where arms must be useful to carry a verdict, what they are held against must run beside them."""
    if study.useful is None or corpus in study.corpora_of(study.useful.of):
        return
    judged = [arm for arm in arms if study.arms[arm].family is not None and study.arms[arm].tier != "landmark"]
    if judged:
        reason = f"{judged[0]} can carry no verdict on {corpus}, where useful.of, {study.useful.of}, does not run"
        raise document.wrong(place, reason)


def _check_axis(
    study: StudyConfig,
    endpoint: EndpointConfig,
    corpus: str,
    axes: Collection[str],
    place: Sequence[str],
    document: YamlFile,
) -> None:
    """An axis is one that the corpus will be calibrated on; calibrations are of motion, and of figures of the suite."""
    axis = endpoint.dose or endpoint.axis
    if axis is None:
        return
    place = [*place, "dose" if endpoint.dose else "axis"]
    if study.corpora[corpus].data is None:
        raise document.wrong(place, f"{corpus} is a density on a grid, which no calibration knows")
    if "suite" not in study.measure.instruments:
        raise document.wrong(place, "only figures of the suite are calibrated, which measure.instruments lacks")
    if axes and axis not in axes:
        raise document.wrong(place, unknown_word(f"axis {axis!r}", axis, axes))


def _axes(study: StudyConfig) -> set[str]:
    """Axes of the plan, and of calibrations that are there already: which of them fit, the clips decide.

    Empty where they are not known, or not asked for.
    """
    stated = (*study.hypotheses.values(), *study.cut.values())
    asked = {hypothesis.endpoint.dose or hypothesis.endpoint.axis for hypothesis in stated} - {None}
    if not asked or not _has_plan(study):
        return set()
    known = set(plan_of(study).axes)
    for entry in study.corpora.values() if asked - known else ():
        if entry.calibration is not None and entry.calibration.exists():
            known |= set(load_calibration(entry.calibration).config.axes)
    return known
