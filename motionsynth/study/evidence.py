"""What the cells of a study hold for one statement: pairs of numbers by seed, and all that speaks against them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from motionsynth.errors import list_first
from motionsynth.study.outcomes import COVERAGE, Cells, arm_title, covers_next_to_nothing, not_useful
from motionsynth.study.plan import EndpointConfig, HypothesisConfig, StudyConfig
from motionsynth.study.results import CellResult, ViewResult

__all__ = ["Evidence", "OffAxis", "gather", "index_cells", "machine_name"]

_NAMED: Final = 4
"""So many of a list are named, the others counted."""
_OFF_CURVE: Final = {
    "beyond": "beyond the strongest dose that was calibrated",
    "weaker": "weaker than the doses on which the figure is valid",
    "other side": "on the other side of real motion",
}
_OFF_SHARES: Final = (
    "A share of an axis below 0 is off real motion the other way, one above 1 beyond the strongest dose: there the "
    "calibration's curve goes on straight, to tell arms apart, and no dose stands behind the number"
)


class _Lost(NamedTuple):
    """Why a seed has no number; ``final`` where no waiting will bring it."""

    why: str
    final: bool


@dataclass(frozen=True, eq=False)
class _Side:
    """One arm of a contrast.

    Args:
        arm, view: which.
        planned: its seeds.
        values: seed -> number.
        lost: seed -> why there is none.
        cells: those whose numbers are there.
        fixed: whether its one cell stands for all seeds of the other side.
    """

    arm: str
    view: str
    planned: tuple[int, ...]
    values: Mapping[int, float]
    lost: Mapping[int, _Lost]
    cells: Mapping[int, CellResult]
    fixed: bool

    def at(self, seed: int) -> int:
        """The seed of its cell that is held against a seed of the other side."""
        return self.planned[0] if self.fixed else seed


class OffAxis(NamedTuple):
    """The figure behind doses that lie off the calibrated axis: there it alone was measured.

    Args:
        key: of the figure.
        pairs: its natural logarithms, first and second, one pair a seed.
    """

    key: str
    pairs: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Evidence:
    """Pairs of one statement.

    Args:
        sides: arm and view, of first and second.
        seeds: of the pairs, rising.
        pairs: the endpoint's numbers, first and second, one pair a seed; their natural logarithms where these are
            compared.
        barred: why no verdict may be drawn; empty where one may.
        reservations: what a reader should know, as sentences.
        machines: where the cells ran.
        keys: figures that were read; more than one only where a calibration changed.
        off_axis: the figure itself, where in most pairs both doses lie off the calibrated axis.
    """

    sides: tuple[tuple[str, str], tuple[str, str]]
    seeds: tuple[int, ...]
    pairs: tuple[tuple[float, float], ...]
    barred: str = ""
    reservations: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    off_axis: OffAxis | None = None


def index_cells(study: StudyConfig, results: Mapping[str, CellResult]) -> Cells:
    """The results of a study's cells by what they are; those of other arms, corpora and seeds are left out.

    Raises:
        ValueError: two results are of one arm, corpus and seed, so that one must be of an older plan.
    """
    found: dict[tuple[str, str, int], CellResult] = {}
    for key, result in results.items():
        place = (result.arm, result.corpus, result.seed)
        if result.arm not in study.arms or result.seed not in study.seeds_of(result.arm):
            continue
        if place in found:
            raise ValueError(f"{found[place].key} and {key} are both {result.name}: give the results of this plan only")
        found[place] = result
    return found


def gather(study: StudyConfig, hypothesis: HypothesisConfig, corpus: str, cells: Cells) -> Evidence:
    """Pair the numbers of two arms by seed; a landmark with one cell is held against every seed of the other.

    Args:
        study: the plan.
        hypothesis: the statement.
        corpus: on which.
        cells: of :func:`index_cells`.
    """
    sides = [_side(study, *side, hypothesis.endpoint, corpus, cells) for side in study.sides_of(hypothesis)]
    first, second = _fix(study, sides[0], sides[1]), _fix(study, sides[1], sides[0])
    planned = [seed for seed in range(max(len(first.planned), len(second.planned))) if _both(first, second, seed)]
    seeds = tuple(s for s in planned if first.at(s) in first.values and second.at(s) in second.values)
    used = [(side, side.cells[side.at(seed)]) for side in (first, second) for seed in seeds]
    unique = {cell.key: cell for _, cell in used}
    doubts = (not_useful(study, side.arm, corpus, cells) for side in (first, second))
    unreal = (_unreal(study, hypothesis.endpoint, side, used) for side in (first, second))
    barred = next((why for why in (*(doubt.why for doubt in doubts if doubt), *unreal) if why), "")
    said = [
        *_unpaired(study, first, second),
        *(text for side in (first, second) for text in _absent(study, side, planned)),
        *_off_curve(study, hypothesis.endpoint, used),
        *_changed(study, hypothesis.endpoint, unique.values()),
        *_mixed(study, first, second, seeds, unique.values()),
    ]
    return Evidence(
        ((first.arm, first.view), (second.arm, second.view)),
        seeds,
        tuple((first.values[first.at(seed)], second.values[second.at(seed)]) for seed in seeds),
        barred,
        tuple(dict.fromkeys(said)),
        tuple(dict.fromkeys(machine_name(cell) for cell in unique.values())),
        tuple(sorted({key for side, cell in used if (key := _key(hypothesis.endpoint, cell.views[side.view]))})),
        _off_axis(hypothesis.endpoint, first, second, seeds),
    )


def _unreal(study: StudyConfig, endpoint: EndpointConfig, side: _Side, used: Iterable[tuple[_Side, CellResult]]) -> str:
    """Reason against a dose of lost coverage for an arm most of whose windows are unlike real ones."""
    if endpoint.dose not in COVERAGE:
        return ""
    cells = {cell.key: cell for of, cell in used if of is side}.values()
    outcomes = [covers_next_to_nothing(cell.views[side.view], (endpoint.dose or "",)) for cell in cells]
    off = outcomes.count("off real motion")
    if 2 * off <= len(outcomes):
        return ""
    return (
        f"{off} of {len(outcomes)} runs of {arm_title(study, side.arm)} are off real motion: they vary more within a "
        f"cell than real motion does and read as beyond the strongest dose of {endpoint.dose}, because the figure "
        "falls for unreal windows as it does for few"
    )


def _off_axis(endpoint: EndpointConfig, first: _Side, second: _Side, seeds: Iterable[int]) -> OffAxis | None:
    if endpoint.dose is None:
        return None
    pairs = [[side.cells[side.at(seed)].views[side.view] for side in (first, second)] for seed in seeds]
    off = [all(view.doses[endpoint.dose].state in _OFF_CURVE for view in pair) for pair in pairs]
    keys = {view.doses[endpoint.dose].key for pair in pairs for view in pair}
    if len(keys) != 1 or 2 * sum(off) <= len(pairs):
        return None
    (key,) = keys
    values = [[view.figures.get(key, 0.0) for view in pair] for pair in pairs]
    if min(value for pair in values for value in pair) <= 0:
        return None
    return OffAxis(key, tuple((math.log(one), math.log(two)) for one, two in values))


def machine_name(cell: CellResult) -> str:
    """Where a cell ran, in short: the accelerator or the processor."""
    device = str(cell.machine.get("device", ""))
    return str(cell.machine.get("processor", "unknown")) if device in ("", "CPU", "cpu") else device


def _side(study: StudyConfig, arm: str, view: str, endpoint: EndpointConfig, corpus: str, cells: Cells) -> _Side:
    values: dict[int, float] = {}
    lost: dict[int, _Lost] = {}
    for seed in study.seeds_of(arm):
        found = _number(cells.get((arm, corpus, seed)), view, endpoint)
        if isinstance(found, _Lost):
            lost[seed] = found
        else:
            values[seed] = found
    held = {seed: cells[arm, corpus, seed] for seed in values}
    return _Side(arm, view, tuple(study.seeds_of(arm)), values, lost, held, fixed=False)


def _number(cell: CellResult | None, view: str, endpoint: EndpointConfig) -> float | _Lost:
    """What is compared of a cell."""
    if cell is None:
        return _Lost("has not run", final=False)
    if cell.state != "finished":
        return _Lost(f"{cell.state} ({cell.error})" if cell.error else cell.state, final=True)
    if view not in cell.views:
        return _Lost(f"was not shown as {view}", final=False)
    value, what = _value(cell.views[view], endpoint), endpoint.metric or f"dose of {endpoint.dose}"
    if isinstance(value, _Lost) or not endpoint.log:
        return value
    return math.log(value) if value > 0 else _Lost(f"{what} is {value:.3g}, which has no logarithm", final=True)


def _value(shown: ViewResult, endpoint: EndpointConfig) -> float | _Lost:
    if endpoint.dose is not None:
        reading = shown.doses.get(endpoint.dose)
        return reading.share if reading else _Lost(f"has no dose of {endpoint.dose}", final=True)
    key = endpoint.metric or ""
    if key in shown.figures:
        return shown.figures[key]
    return _Lost(f"has no {key} ({shown.undefined.get(key, 'it was not measured')})", final=key in shown.undefined)


def _key(endpoint: EndpointConfig, shown: ViewResult) -> str:
    if endpoint.dose is None:
        return endpoint.metric or ""
    return shown.doses[endpoint.dose].key


def _fix(study: StudyConfig, side: _Side, other: _Side) -> _Side:
    one = study.arms[side.arm].landmark is not None and len(side.planned) == 1 < len(other.planned)
    return _Side(side.arm, side.view, side.planned, side.values, side.lost, side.cells, fixed=one)


def _both(first: _Side, second: _Side, seed: int) -> bool:
    return all(side.at(seed) in side.planned for side in (first, second))


def _seeds(seeds: Iterable[int]) -> str:
    """``seed 3``, ``seeds 5 to 9``, ``seeds 1, 4``."""
    listed = sorted(seeds)
    if len(listed) > 2 and listed == list(range(listed[0], listed[-1] + 1)):
        return f"seeds {listed[0]} to {listed[-1]}"
    return f"seed{'s' * (len(listed) > 1)} {', '.join(map(str, listed))}"


def _names(cells: Iterable[CellResult]) -> str:
    return list_first([cell.name for cell in cells], _NAMED)


def _unpaired(study: StudyConfig, first: _Side, second: _Side) -> Iterable[str]:
    for side, other in ((first, second), (second, first)):
        if side.fixed:
            yield (
                f"{arm_title(study, side.arm)} has one cell, held against every seed: what another draw of it would "
                "have is not in the interval"
            )
        elif not other.fixed and (alone := set(side.planned) - set(other.planned)):
            yield (
                f"{arm_title(study, side.arm)} has {len(side.planned)} seeds, {arm_title(study, other.arm)} "
                f"{len(other.planned)}: its {_seeds(alone)} have no partner and are not used"
            )
        if study.arms[side.arm].tier == "B":
            yield f"{arm_title(study, side.arm)} is an exploratory arm"


def _absent(study: StudyConfig, side: _Side, planned: Iterable[int]) -> Iterable[str]:
    """Seeds of pairs that this side lost, by reason."""
    wanted = {side.at(seed) for seed in planned}
    reasons: dict[_Lost, list[int]] = {}
    for seed, lost in side.lost.items():
        if seed in wanted:
            reasons.setdefault(lost, []).append(seed)
    for lost, seeds in reasons.items():
        then = "not among the pairs" if lost.final else "provisional until then"
        yield f"{arm_title(study, side.arm)}, {_seeds(seeds)} of {len(wanted)}: {lost.why}; {then}"


def _off_curve(study: StudyConfig, endpoint: EndpointConfig, used: Iterable[tuple[_Side, CellResult]]) -> Iterable[str]:
    """Readings that are no measured dose, and once what such numbers are."""
    if endpoint.dose is None:
        return
    found: dict[tuple[str, str], set[int]] = {}
    for side, cell in used:
        state = cell.views[side.view].doses[endpoint.dose].state
        if state in _OFF_CURVE:
            found.setdefault((side.arm, state), set()).add(cell.seed)
    for (arm, state), seeds in found.items():
        yield f"{arm_title(study, arm)}, {_seeds(seeds)}: the {endpoint.dose} dose lies {_OFF_CURVE[state]}"
    if found:
        yield _OFF_SHARES


def _changed(study: StudyConfig, endpoint: EndpointConfig, cells: Iterable[CellResult]) -> Iterable[str]:
    cells = list(cells)
    late = [cell for cell in cells if cell.hypotheses_sha256 != study.hypotheses_sha256]
    if late and len(late) == len(cells):
        yield "hypotheses of the study changed after all runs had ended"
    elif late:
        yield f"hypotheses changed after {len(late)} of {len(cells)} runs had ended: {_names(late)}"
    if other := [cell for cell in cells if cell.measure_sha256 != study.measure_sha256(cell.arm)]:
        yield f"{len(other)} of {len(cells)} cells were measured otherwise than the study now asks: {_names(other)}"
    for what, kinds in (
        ("feature extractors judged", {cell.judge for cell in cells if cell.judge}),
        ("versions of the corpus are behind", {cell.fingerprint for cell in cells if cell.fingerprint}),
        ("calibrations are behind the doses of", {c.calibration for c in cells if c.calibration and endpoint.dose}),
    ):
        if len(kinds) > 1:
            yield f"{len(kinds)} {what} the cells ({', '.join(sorted(kind[:8] for kind in kinds))})"


def _mixed(
    study: StudyConfig, first: _Side, second: _Side, seeds: Iterable[int], cells: Iterable[CellResult]
) -> Iterable[str]:
    """Pairs whose two runs were trained on different machines."""
    if any(study.arms[side.arm].family is None for side in (first, second)):
        return
    apart = [s for s in seeds if machine_name(first.cells[s]) != machine_name(second.cells[s])]
    if apart:
        names = sorted({machine_name(cell) for cell in cells})
        yield f"the two runs of {_seeds(apart)} were made on different machines ({', '.join(names)})"
