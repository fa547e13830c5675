"""The YAML of a study: arms x corpora x seeds, what is measured, and the hypotheses that stand before any run.

    name, question         what is asked, in words
    corpora                name -> data section, or the YAML that holds it
    base                   keys that every arm's run has, over the family's baseline
    arms                   name -> family and keys, or a landmark; how each is shown (views); how many seeds
    measure                windows, figures, instruments
    hypotheses             endpoint, contrast of two arms, direction, smallest effect of interest
    cut                    statements of earlier versions that are no longer made, and why
    contrast, caveats      the pair that the report takes apart; what to know before the verdicts

A *cell* is one arm on one corpus by one seed: one run, named by the hash of all that decides it. Where clips lie does
not; so the results of a cell hold on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from motionsynth.config import RunConfig, plain_config
from motionsynth.corpus.config import DataConfig
from motionsynth.hashes import hash_json
from motionsynth.settings import FrozenConfig

__all__ = [
    "ArmConfig",
    "CalibrationChoice",
    "Cell",
    "CorpusEntry",
    "CutConfig",
    "EndpointConfig",
    "HypothesisConfig",
    "MeasureConfig",
    "StudyConfig",
    "UsefulConfig",
    "ViewConfig",
    "ViewName",
    "cell_hash",
    "placeless",
]

INSTRUMENTS_VERSION: Final = 3
"""Raised with every change of what an instrument finds in the same windows: cells are then measured again."""

ViewName = str
Landmark = Literal["real", "memoriser", "mean_clip", "low_pass", "untrained", "nearest_other"]
"""Rows that no training makes; see ``study.landmarks``."""
Instrument = Literal["suite", "walker_coordinates", "translation"]
"""What a cell is measured by; see ``study.instruments``."""


class CorpusEntry(FrozenConfig):
    """One corpus, or one density on a grid.

    Exactly one of ``data`` and ``density`` is given.
    """

    data: dict[str, Any] | Path | None = None
    """The data section: keys, the YAML that holds them, or a folder of clips."""
    density: Literal["line", "ring"] | None = None
    """A known density on a grid, for arms that fit mixtures on it; see ``study.grids``."""
    calibration: Path | None = None
    """``calibration.json`` of the corpus; made by the study in its own folder where None or not fitting."""
    title: str = ""
    """What the report calls it."""

    @model_validator(mode="after")
    def _one_kind(self) -> CorpusEntry:
        if (self.data is None) == (self.density is None):
            raise ValueError("give exactly one of data and density")
        return self


class ViewConfig(FrozenConfig):
    """One way to show what a run has learnt."""

    prior: str | None = None
    """Where latents come from; one of the family's ``priors``, its first where null."""
    show: Literal["mean", "sample"] | None = None
    """With the likelihood's noise or without; the family's default where null."""
    ema: bool = True
    """Whether weights are the moving average where the run kept one."""
    reconstruct: bool = False
    """Whether held-out windows go there and back instead of latents being drawn."""

    @model_validator(mode="after")
    def _one_way(self) -> ViewConfig:
        if self.reconstruct and (self.prior or self.show):
            raise ValueError("reconstruct draws nothing: prior and show mean nothing to it")
        return self


class ArmConfig(FrozenConfig):
    """What is compared: a family with settings, a landmark that needs no training, or a mixture fitted on a grid."""

    family: str | None = None
    """Family whose baseline YAML it starts from."""
    landmark: Landmark | None = None
    """A row that no training makes."""
    objective: Literal["forward", "reverse", "softened", "js"] | None = None
    """Divergence that a mixture on a grid minimises."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Keys of the run that differ from the baseline and ``base``, such as ``{family.beta: 4}``; for a landmark and a
    mixture its own amounts, such as ``{hz: 4}`` or ``{components: 2}``."""
    title: str = ""
    """What tables call it; its name where empty."""
    tier: Literal["A", "B", "landmark"] = "A"
    """A carries verdicts; B explores; landmarks give the others their scale."""
    seeds: int | None = Field(None, ge=1, le=1000)
    """Training seeds, from 0; those of the study where null."""
    corpora: tuple[str, ...] | None = None
    """Corpora it runs on; all that suit it where null."""
    views: dict[ViewName, ViewConfig] = Field(default={"samples": ViewConfig()}, min_length=1)
    """Name -> how it is shown; the first is the arm's own."""

    @model_validator(mode="after")
    def _one_kind(self) -> ArmConfig:
        given = [name for name in ("family", "landmark", "objective") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of family, landmark and objective")
        return self

    @property
    def main_view(self) -> ViewName:
        """The view that stands for the arm where none is named."""
        return next(iter(self.views))


class MeasureConfig(FrozenConfig):
    """How every view of every cell is measured."""

    count: int = Field(1024, ge=8)
    """Windows of each set."""
    draws: int | None = Field(None, ge=8)
    """Windows drawn of each view; ``count`` where null. More where an instrument needs as many realistic ones."""
    seed: int = 0
    """What samples and subsets are drawn by, the same for all arms."""
    metrics: tuple[str, ...] | None = None
    """Groups, metrics or keys; all where null."""
    features: tuple[str, ...] | None = None
    """Feature spaces; all where null."""
    instruments: tuple[Instrument, ...] = ("suite",)
    """What is measured with."""
    clips: int = Field(4, ge=0)
    """Clips of seed 0 that are kept for the report, from the same latents in every arm."""
    between: dict[str, tuple[str, str]] | None = Field(None, min_length=1, max_length=1)
    """A label and two of its classes, such as ``{style: [elderly, normal]}``: what ``translation`` goes between."""

    @model_validator(mode="after")
    def _translation_has_ends(self) -> MeasureConfig:
        if ("translation" in self.instruments) != (self.between is not None):
            raise ValueError("the instrument translation and between: {LABEL: [CLASS, CLASS]} go together")
        return self


class CalibrationChoice(FrozenConfig):
    """How a corpus is calibrated where it has no calibration yet."""

    count: int | None = Field(None, ge=8)
    """Windows of each set; those of ``measure`` where null."""
    repeats: int | None = Field(None, ge=3, le=1000)
    """Draws of both sets; those of the shipped plan where null."""
    plan: Path | None = None
    """YAML of the plan; the shipped one where null."""


class UsefulConfig(FrozenConfig):
    """When an arm counts as trained: a verdict is drawn from no other."""

    figure: str = "fidelity/frechet.pca"
    """Key of a figure that falls with quality."""
    share: float = Field(0.5, gt=0)
    """It must be below this share of what the landmark has, in the mean over seeds."""
    of: str = "mean_clip"
    """An arm of the study, a landmark."""


class EndpointConfig(FrozenConfig):
    """The number that a hypothesis is about.

    Exactly one of ``metric`` and ``dose`` is given.
    """

    metric: str | None = None
    """Key of a figure; it must be valid, or valid in a range, on ``axis``."""
    axis: str | None = None
    """Axis of the calibration on which the metric must be valid; null for figures that calibration knows nothing of
    (the reason stands in ``because``)."""
    dose: str | None = None
    """Axis of the calibration: the dose at which damaged real motion has the arm's headline figure, as a share of the
    axis (0: real motion, 1: the strongest dose; beyond either end it goes on, see ``study.measure.read_dose``)."""
    log: bool = False
    """Whether the natural logarithm is compared: of ratios, and of distances that span decades."""
    because: str = ""
    """Why a figure without an axis may carry a verdict."""

    @model_validator(mode="after")
    def _one_kind(self) -> EndpointConfig:
        if (self.metric is None) == (self.dose is None):
            raise ValueError("give exactly one of metric and dose")
        if self.metric is not None and self.axis is None and not self.because:
            raise ValueError("a metric needs the axis on which calibration must call it valid, or because: a reason")
        return self


class HypothesisConfig(FrozenConfig):
    """One statement that the study may support, refute, find equivalent, or leave undecided."""

    says: str
    """The statement, for a reader of the notes."""
    corpora: tuple[str, ...] | None = None
    """Corpora on each of which it is tested; all where null."""
    endpoint: EndpointConfig
    """The number."""
    first: str
    """``ARM`` or ``ARM@VIEW``: the contrast is ``first - second``, paired by seed."""
    second: str
    """``ARM`` or ``ARM@VIEW``."""
    direction: Literal["greater", "less", "differ"]
    """Of ``first - second``, as the statement has it."""
    margin: float = Field(gt=0)
    """Smallest difference of interest, in the endpoint's unit: within it the two are equivalent."""
    was: str = ""
    """Its earlier form, where it was changed after results had been seen: the report says so beside the verdict."""


class CutConfig(HypothesisConfig):
    """A statement that was taken out: it carries no verdict and counts in no family; the report tells its numbers."""

    why: str
    """When it was cut, and why."""


class StudyConfig(FrozenConfig):
    """One complete study."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """Names its folders and its runs' tag."""
    question: str
    """What is asked."""
    results: Path | None = None
    """Where results and report go; ``docs/results/NAME`` where null."""
    corpora: dict[str, CorpusEntry] = Field(min_length=1)
    base: dict[str, Any] = Field(default_factory=dict)
    """Keys of every arm's run, such as ``{train.precision: bf16}``; keys of ``train`` without meaning are left out."""
    seeds: int = Field(5, ge=1, le=1000)
    arms: dict[str, ArmConfig] = Field(min_length=1)
    measure: MeasureConfig = MeasureConfig()
    calibration: CalibrationChoice = CalibrationChoice()
    useful: UsefulConfig | None = None
    """Null where every finished arm may carry verdicts."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Of intervals; errors of 1 - confidence are shared out over the hypotheses by Holm's rule."""
    hypotheses: dict[str, HypothesisConfig] = Field(default_factory=dict)
    cut: dict[str, CutConfig] = Field(default_factory=dict)
    """Statements of earlier versions that are no longer made: they are named, not forgotten."""
    contrast: tuple[str, str] | None = None
    """``ARM`` or ``ARM@VIEW``, twice: the pair whose difference the report takes apart, figure by figure."""
    caveats: tuple[str, ...] = ()
    """Sentences that a reader should know before the verdicts."""

    @property
    def hypotheses_sha256(self) -> str:
        """Identity of all that verdicts hang on, kept with every cell: a later change shows."""
        said = {name: of.model_dump(mode="json", exclude={"was"}) for name, of in self.hypotheses.items()}
        for name, hypothesis in self.hypotheses.items():
            said[name]["first"], said[name]["second"] = ("@".join(side) for side in self.sides_of(hypothesis))
        named = {arm for hypothesis in self.hypotheses.values() for arm, _ in self.sides_of(hypothesis)}
        seeds = {name: len(self.seeds_of(name)) for name in named if name in self.arms}
        useful = self.useful.model_dump(mode="json") if self.useful else None
        return hash_json([said, seeds, useful, self.confidence])

    def arm_view(self, side: str) -> tuple[str, ViewName]:
        """Arm and view that ``ARM`` or ``ARM@VIEW`` names; the arm's main view where none is named."""
        arm, _, view = side.partition("@")
        return arm, view or self.arms[arm].main_view

    def sides_of(self, hypothesis: HypothesisConfig) -> tuple[tuple[str, ViewName], tuple[str, ViewName]]:
        """Arm and view of ``first`` and of ``second``."""
        return self.arm_view(hypothesis.first), self.arm_view(hypothesis.second)

    def measure_sha256(self, arm: str) -> str:
        """Identity of how the cells of an arm are measured."""
        views = {name: view.model_dump(mode="json") for name, view in self.arms[arm].views.items()}
        return hash_json([INSTRUMENTS_VERSION, self.measure.model_dump(mode="json"), views])

    def corpora_of(self, arm: str) -> tuple[str, ...]:
        """Corpora that an arm runs on: mixtures on densities, all others on motion."""
        chosen = self.arms[arm]
        grid = chosen.objective is not None
        return chosen.corpora or tuple(name for name, entry in self.corpora.items() if (entry.data is None) == grid)

    def seeds_of(self, arm: str) -> range:
        """Seeds of an arm."""
        return range(self.arms[arm].seeds or self.seeds)


@dataclass(frozen=True)
class Cell:
    """One arm on one corpus by one seed.

    Args:
        study, arm, corpus, seed: which.
        config: the run, its data where the clips lie here; None for a landmark or a grid.
        key: the hash of all that decides it, 16 hexadecimal digits.
        data: how the clips of the corpus are read; None for a grid.
    """

    study: str
    arm: str
    corpus: str
    seed: int
    config: RunConfig | None
    key: str
    data: DataConfig | None

    @property
    def name(self) -> str:
        """For people: ``vae/walkers/0``."""
        return f"{self.arm}/{self.corpus}/{self.seed}"


def cell_hash(corpus: str, arm: ArmConfig, config: RunConfig | None, seed: int, data: Mapping[str, Any]) -> str:
    """Identity of a cell: its resolved run without where clips lie, or what the landmark is made of.

    Titles, tiers and views do not decide what is trained, so they may change without anything being trained again.
    """
    if config is not None:
        plain = placeless(config)
    else:
        section = {key: value for key, value in data.items() if key not in _PLACES}
        plain = {"landmark": arm.landmark, "objective": arm.objective, "set": arm.set, "data": section}
    return hash_json({"corpus": corpus, "seed": seed, **plain})[:16]


_PLACES: Final = ("path", "second")
"""Keys of the data section that say where clips lie."""


def placeless(config: RunConfig) -> dict[str, Any]:
    """The resolved run as plain values, without where clips lie."""
    plain = plain_config(config)
    return {**plain, "data": {key: value for key, value in plain["data"].items() if key not in _PLACES}}


def flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of nested ones, as far as names go: ``{train: {steps: 5}}`` is ``train.steps``."""
    for key, value in mapping.items():
        if isinstance(value, Mapping) and prefix + key in ("data", "family", "train"):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
