"""The verdicts as the report tells them: sentences first, then the numbers behind each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from motionsynth.report.forest import Tone
from motionsynth.report.numbers import number_text
from motionsynth.report.page import Block, Cell, Column, Row, Table, bullets, figure_cell, plain
from motionsynth.report.study.gather import Gathered, p_text
from motionsynth.report.study.sentences import factor, on_other_side, verdict_sentence
from motionsynth.report.study.words import axis_words, figure_words
from motionsynth.study.plan import EndpointConfig, UsefulConfig
from motionsynth.study.statistics import Kind
from motionsynth.study.verdicts import Verdict, judge, judge_cut

__all__ = [
    "TONES",
    "contrast",
    "cut_blocks",
    "endpoint_words",
    "factor_text",
    "glance",
    "summary",
    "verdict_blocks",
    "verdicts_of",
]

TONES: Final[Mapping[Kind, Tone]] = {
    "supported": "for",
    "refuted": "against",
    "equivalent": "small",
    "undecided": "open",
    "none": "none",
}
_WORDS: Final[Mapping[Kind, str]] = {**{kind: kind for kind in TONES}, "none": "no verdict"}
_MARKS: Final[Mapping[Kind, Literal["good", "bad", "dim", ""]]] = {
    "supported": "good",
    "refuted": "bad",
    "undecided": "dim",
    "none": "dim",
}


def verdicts_of(gathered: Gathered) -> tuple[Verdict, ...]:
    """Every hypothesis on every corpus, judged by the cells that count."""
    return judge(gathered.study, {result.key: result for result in gathered.cells}, gathered.calibrations)


def summary(gathered: Gathered, verdicts: Sequence[Verdict]) -> list[str]:
    """What the study came to, in a sentence for each verdict that says something, and one that counts the others."""
    if not verdicts:
        done = sum(result.state == "finished" for result in gathered.cells)
        return [f"This study states no hypothesis: it describes. {done} of its cells are finished."]
    counts = Counter(verdict.decision.kind for verdict in verdicts)
    words = {**_WORDS, "none": "without verdict"}
    told = ", ".join(f"{counts[kind]} {words[kind]}" for kind in TONES if counts[kind])
    statements = (
        "statement, a hypothesis on a corpus" if len(verdicts) == 1 else "statements, each a hypothesis on a corpus"
    )
    return [f"Of {len(verdicts)} {statements}: {told}."]


def glance(gathered: Gathered, verdicts: Sequence[Verdict]) -> list[str]:
    """Each hypothesis with its verdicts, in the fewest words."""
    lines = []
    for name in dict.fromkeys(verdict.name for verdict in verdicts):
        mine = [verdict for verdict in verdicts if verdict.name == name]
        where: dict[tuple[Kind, str], list[str]] = {}
        for verdict in mine:
            side = ", where both are off real motion the other way" if on_other_side(verdict) else ""
            where.setdefault((verdict.decision.kind, side), []).append(gathered.corpus_title(verdict.corpus))
        told = "; ".join(f"{_WORDS[kind]} on {' and '.join(titles)}{side}" for (kind, side), titles in where.items())
        lines.append(f"{mine[0].hypothesis.says.rstrip('.')}: {told}.")
    return lines


def verdict_blocks(gathered: Gathered, verdicts: Sequence[Verdict]) -> list[Block]:
    """The verdicts in sentences, by hypothesis, and the table of their numbers."""
    blocks: list[Block] = []
    for name in dict.fromkeys(verdict.name for verdict in verdicts):
        mine = [verdict for verdict in verdicts if verdict.name == name]
        blocks.append(plain(mine[0].hypothesis.says))
        if was := mine[0].hypothesis.was:
            blocks.append(plain(f"Changed after results had been seen. {was}"))
        blocks.append(bullets([verdict_sentence(gathered.study, verdict) for verdict in mine]))
    return [*blocks, _table(gathered, verdicts), *_reservations(gathered, verdicts)]


def cut_blocks(gathered: Gathered) -> list[Block]:
    """Statements that are no longer made: why, and what they come to now, by themselves; none where none was cut."""
    study = gathered.study
    if not study.cut:
        return []
    results = {result.key: result for result in gathered.cells}
    rows: list[Row] = [_cut_row(gathered, verdict) for verdict in judge_cut(study, results, gathered.calibrations)]
    columns = [
        Column("statement", figure=False), Column("corpus", figure=False),
        Column("difference", f"{study.confidence:.0%} interval"), Column("p", "uncorrected"),
        Column("points", figure=False), Column("metric", figure=False),
    ]  # fmt: skip
    notes = ["They count in no family and carry no verdict. p is two-sided and of the statement by itself."]
    told = [f"{cut.says.rstrip('.')} ({name}): {cut.why}" for name, cut in study.cut.items()]
    caption = "What they come to, exploratory"
    return [bullets(told), Table(columns, rows, caption=caption, notes=notes)]


def _cut_row(gathered: Gathered, verdict: Verdict) -> Row:
    name, where = Cell(contrast(gathered, verdict), note=verdict.name), gathered.corpus_title(verdict.corpus)
    known, endpoint = verdict.comparison, verdict.hypothesis.endpoint
    if known is None or known.mean is None:
        barred = Cell("–", note=verdict.evidence.barred, tone="dim")
        return [name, where, barred, "–", "", endpoint.metric or f"dose.{endpoint.dose}"]
    low, high = verdict.interval or (None, None)
    way = (
        ""
        if low is None or high is None or low <= 0 <= high
        else _WAYS[(known.mean > 0) == (verdict.hypothesis.direction == "greater")]
    )
    p = min(1.0, 2 * min(known.greater, known.less))
    return [name, where, figure_cell(known.mean, low, high), p_text(p), way or "neither way",
            Cell(endpoint_words(endpoint), note=verdict.valid if endpoint.dose is not None else "")]  # fmt: skip


_WAYS: Final = {True: "as it says", False: "the other way"}


def contrast(gathered: Gathered, verdict: Verdict) -> str:
    """Such as ``VAE − GAN``, or ``VAE: prior mean − fitted prior`` of one arm's views."""
    (arm, view), (other, other_view) = verdict.evidence.sides
    if arm == other:
        views = " − ".join(name.replace("_", " ") for name in (view, other_view))
        return f"{gathered.study.arms[arm].title or arm}: {views}"
    return " − ".join(_side(gathered, *side) for side in verdict.evidence.sides)


def endpoint_words(endpoint: EndpointConfig) -> str:
    """The endpoint in words."""
    words = axis_words(endpoint.dose) if endpoint.dose is not None else figure_words(endpoint.metric or "")
    return f"log of {words}" if endpoint.log else words


def factor_text(verdict: Verdict) -> str:
    """The ratio of two arms whose logarithms are compared, with its interval: ``0.50 (0.45 to 0.56)``."""
    mean, *ends = (number_text(factor(value)) for value in (verdict.mean or 0.0, *(verdict.interval or ())))
    return f"{mean} ({' to '.join(ends)})" if ends else mean


def _side(gathered: Gathered, arm: str, view: str) -> str:
    config = gathered.study.arms[arm]
    title = config.title or arm
    return title if view == config.main_view else f"{title}, {view.replace('_', ' ')}"


def _table(gathered: Gathered, verdicts: Sequence[Verdict]) -> Table:
    columns = [
        Column("contrast", figure=False), Column("verdict", figure=False),
        Column("difference", f"{gathered.study.confidence:.0%} interval"), Column("p", "Holm"),
        Column("p equivalent", "TOST, Holm"), Column("Hedges' g"), Column("pairs", "seeds"),
        Column("metric, machine", figure=False),
    ]  # fmt: skip
    if key := _quality_key(gathered):
        columns.append(Column("how good they are", figure_words(key), figure=False))
    rows: list[Row] = []
    for corpus in dict.fromkeys(verdict.corpus for verdict in verdicts):
        rows.append([Cell(gathered.corpus_title(corpus))])
        rows += [_row(gathered, verdict) for verdict in verdicts if verdict.corpus == corpus]
    notes = [
        "Difference: first arm less second, mean over seed pairs; margin: the smallest of interest. p: of the "
        "statement as it stands, where it is refuted of its opposite; corrected by Holm's rule for all statements of "
        "the study in both directions. Intervals are not corrected."
    ]
    if any(verdict.hypothesis.endpoint.log for verdict in verdicts):
        notes.append("Of a log the difference and its margin are natural logarithms; × stands before the ratio itself.")
    if key:
        rule = gathered.study.useful
        told = f"How good they are: {figure_words(key)} of the two as shown here, mean over seeds."
        if rule:
            told += f" Limit: {rule.share:.0%} of {rule.of}; an arm carries verdicts if its own view is below."
        notes.append(told)
    return Table(columns, rows, caption="The numbers behind the verdicts", notes=notes)


def _row(gathered: Gathered, verdict: Verdict) -> Row:
    low, high = verdict.interval or (None, None)
    known, evidence, hypothesis, kind = verdict.comparison, verdict.evidence, verdict.hypothesis, verdict.decision.kind
    tested = known is not None and kind != "none"
    machines = f"on {', '.join(evidence.machines)}" if evidence.machines else "no pair is measured"
    where = f"{verdict.valid}; {machines}"
    ratio = f"× {factor_text(verdict)}; " if hypothesis.endpoint.log and verdict.mean is not None else ""
    p, equal = _probabilities(verdict)
    return [
        Cell(contrast(gathered, verdict), note=verdict.name),
        Cell(_WORDS[kind], tone=_MARKS.get(kind, "")),
        figure_cell(verdict.mean, low, high, f"{ratio}margin {number_text(hypothesis.margin, padded=False)}"),
        p if tested else "–",
        equal if tested else "–",
        number_text(known.effect.g, 2) if known and known.effect else "–",
        str(len(evidence.seeds)),
        Cell(endpoint_words(hypothesis.endpoint), note=where),
        *([_quality(gathered, verdict, key)] if (key := _quality_key(gathered)) else []),
    ]


def _probabilities(verdict: Verdict) -> tuple[str, str]:
    """p of the difference and of equivalence; of what is exact none."""
    decision, known = verdict.decision, verdict.comparison
    if known is not None and known.method == "exact":
        return "exact", "exact"
    p = decision.p_opposite if decision.kind == "refuted" else decision.p_adjusted
    return p_text(p), p_text(decision.p_equivalent)


def _quality_key(gathered: Gathered) -> str:
    """The figure that tells how good an arm is; empty where no cell has it."""
    key = (gathered.study.useful or UsefulConfig()).figure
    return key if any(key in view.figures for cell in gathered.cells for view in cell.views.values()) else ""


def _quality(gathered: Gathered, verdict: Verdict, key: str) -> Cell:
    """The figure of both arms; below, of the landmarks that give it its scale, and where usefulness ends."""
    study, rule = gathered.study, gathered.study.useful

    def told(arm: str, view: str | None = None) -> str:
        entry = gathered.entry(arm, verdict.corpus, view)
        mean = entry.figure(key) if entry else None
        return number_text(mean.value if mean else None)

    scale = {arm: config.title or arm for arm, config in study.arms.items() if config.landmark in ("real", "memoriser")}
    notes = [f"{title} {value}" for arm, title in scale.items() if (value := told(arm)) != "–"]
    held = gathered.entry(rule.of, verdict.corpus) if rule and rule.of in study.arms else None
    if rule and held and (most := held.figure(key)):
        notes.append(f"limit {number_text(rule.share * most.value)}")
    return Cell(" and ".join(told(*side) for side in verdict.evidence.sides), note="; ".join(notes))


def _reservations(gathered: Gathered, verdicts: Sequence[Verdict]) -> list[Block]:
    """Each reservation once, with the statements that it touches."""
    touched: dict[str, list[str]] = {}
    for verdict in verdicts:
        where = f"{verdict.name} on {gathered.corpus_title(verdict.corpus)}"
        for sentence in verdict.evidence.reservations:
            touched.setdefault(sentence, []).append(where)
    if not touched:
        return []
    items = [f"{sentence} ({'; '.join(where)})" for sentence, where in touched.items()]
    return [plain("What to know of them:"), bullets(items)]
