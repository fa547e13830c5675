"""Figures as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from motionsynth.cli.terminal import console, escaped, print_table

if TYPE_CHECKING:
    from motionsynth.evaluation.scores import Scores
    from motionsynth.metrics.suite import Figure

__all__ = ["figure_notes", "print_scores"]

_NAMED = 4
"""Figures with the same note that are named, rather than counted."""


def print_scores(scores: Scores) -> None:
    """Print the sets, dose sentences, a table for each group, reasons of undefined figures, and notes."""
    from motionsynth.metrics.record import Group
    from motionsynth.report.evaluation import classes_table, figures_table

    out = console()
    generated, reference = scores.generated, scores.reference
    out.print(
        f"[bold]{escaped(generated.name)}[/bold]: {generated.windows} windows against {reference.windows} of "
        f"{escaped(reference.name)} ({reference.takes} takes); real: {scores.real.windows} training windows"
    )
    for reading, sentence in zip(scores.headlines, scores.sentences, strict=True):
        out.print(f"{escaped(reading.axis)}: [bold]{escaped(sentence)}[/bold]")
    for group in get_args(Group):
        rows = [figure for figure in scores.figures.values() if figure.metric.group == group]
        if rows:
            out.print()
            print_table(figures_table(rows, scores.real_figures))
    if scores.groups:
        out.print()
        print_table(classes_table(scores.figures, scores.real_figures, scores.groups), width=out.width)
    notes = [*figure_notes(list(scores.figures.values()), scores.resamples), *scores.notes]
    if notes:
        out.print()
    for note in notes:
        out.print(f"[dim]{escaped(note)}[/dim]", soft_wrap=True)


def figure_notes(figures: Sequence[Figure], resamples: int) -> list[str]:
    """Reasons why figures have no value or interval, a line each; the report has it beside every one of them."""
    from motionsynth.metrics.suite import missing_note

    reasons: dict[tuple[str, bool], list[Figure]] = {}
    for figure in figures:
        if figure.note:
            reasons.setdefault(("" if figure.missing else figure.note, figure.low is None), []).append(figure)
    lines = []
    for (note, unbounded), members in reasons.items():
        within = [figure for figure in members if figure.metric.within]
        counted = [f"{len(within)} figures compared cell by cell"] if len(within) > _NAMED else []
        names = [figure.key.partition("/")[2] for figure in members if not counted or figure not in within]
        more = len(names) - _NAMED
        parts = [*counted, *(names[:_NAMED] if more > 1 else names), *([f"{more} more"] if more > 1 else [])]
        counts = sorted({figure.missing or 0 for figure in members})
        ends = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        lines.append(f"{', '.join(parts)}: {note or missing_note(ends, resamples, not unbounded)}")
    return lines
