"""Every experiment in the order of the notes, and how a user's words choose among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from motionsynth.theory import (
    elbo,
    em,
    exchanged,
    first_view,
    misspecification,
    objectives,
    optimal_critic,
    proximal,
    roles,
    second_view,
    wake_sleep,
)
from motionsynth.theory.claim import Drawing, Experiment

__all__ = ["EXPERIMENTS", "choose", "draw_all"]

EXPERIMENTS: tuple[Experiment, ...] = (
    *em.EXPERIMENTS,
    *elbo.EXPERIMENTS,
    *optimal_critic.EXPERIMENTS,
    *first_view.EXPERIMENTS,
    *proximal.EXPERIMENTS,
    *second_view.EXPERIMENTS,
    *exchanged.EXPERIMENTS,
    *wake_sleep.EXPERIMENTS,
    *roles.EXPERIMENTS,
    *objectives.EXPERIMENTS,
    *misspecification.EXPERIMENTS,
)


def choose(words: Iterable[str]) -> tuple[Experiment, ...]:
    """The experiments that words name, in the order of the notes: a whole name, its part after the slash, or a group.

    Raises:
        ValueError: a word that names none; says which come nearest, and the groups.
    """
    chosen: set[str] = set()
    for word in words:
        found = {e.name for e in EXPERIMENTS if word in (e.name, *e.name.split("/"))}
        if not found:
            raise ValueError(_unknown(word))
        chosen |= found
    return tuple(e for e in EXPERIMENTS if e.name in chosen)


def _unknown(word: str) -> str:
    groups = list(dict.fromkeys(e.name.split("/")[0] for e in EXPERIMENTS))
    names = [e.name for e in EXPERIMENTS]
    parts = {name.split("/")[1]: name for name in names}
    pool = names if "/" in word else [*groups, *parts]
    close = difflib.get_close_matches(word, pool, n=1, cutoff=0.5)
    nearest = f"did you mean {parts.get(close[0], close[0])}? " if close else ""
    known = [f"{group} ({', '.join(n.split('/')[1] for n in names if n.split('/')[0] == group)})" for group in groups]
    return f"no experiment {word!r}; {nearest}known: {'; '.join(known)}"


def draw_all() -> tuple[Drawing, ...]:
    """Every figure of the notes, as data."""
    return (
        em.drawing(),
        elbo.drawing(),
        optimal_critic.drawing(),
        first_view.drawing(),
        *proximal.drawings(),
        *second_view.drawings(),
        exchanged.drawing(),
        wake_sleep.drawing(),
        roles.drawing(),
        objectives.drawing(),
        *misspecification.drawings(),
    )
