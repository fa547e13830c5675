"""How the study was made, and how to make it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from motionsynth.hashes import hash_json
from motionsynth.report.page import Block, Column, Table, code, plain
from motionsynth.report.study.gather import Gathered
from motionsynth.report.study.words import machine_words

__all__ = ["changed_hypotheses", "reproduce"]


def changed_hypotheses(gathered: Gathered) -> str:
    """A sentence where runs ended before the hypotheses stood as they stand now; else empty."""
    now = gathered.study.hypotheses_sha256
    before = [result for result in gathered.cells if result.hypotheses_sha256 != now]
    if not before or not gathered.study.hypotheses:
        return ""
    last = max(result.created for result in before)
    study = gathered.study
    told = any(of.was for of in study.hypotheses.values()) or study.cut
    where = " What was changed and what was cut is told below." if told else ""
    return (
        f"The hypotheses were changed after {len(before)} of {len(gathered.cells)} runs had ended (the last of these "
        f"on {last}): for these they are not pre-registered.{where}"
    )


def reproduce(gathered: Gathered) -> list[Block]:
    """Commands, identities of the plan, machines and versions."""
    study = gathered.study
    commands = [
        f"motionsynth study run configs/study/{study.name}.yaml --dry-run   # the plan, with the time it takes",
        f"motionsynth study run configs/study/{study.name}.yaml             # what is not there yet, then this report",
        f"motionsynth study report configs/study/{study.name}.yaml          # this report, from the results alone",
    ]
    blocks: list[Block] = [
        code("\n".join(commands)),
        plain(
            f"Every cell is one run, named by the hash of all that decides it; its results stand by that key in "
            f"cells.jsonl.xz beside this report. {_seeds(gathered)} Intervals: {study.confidence:.0%}, Student's t "
            f"over training seeds. "
            f"Differences are paired by seed; Holm's rule over all statements of the study."
        ),
        _identities(gathered),
    ]
    told = changed_hypotheses(gathered)
    notes = list(dict.fromkeys(note for result in gathered.cells for note in result.notes))
    blocks += [plain(sentence) for sentence in [told, *notes] if sentence]
    return blocks


def _seeds(gathered: Gathered) -> str:
    study = gathered.study
    own = {arm.title or name: arm.seeds for name, arm in study.arms.items() if arm.seeds not in (None, study.seeds)}
    other = "".join(f"; {count} of {name}" for name, count in own.items())
    return f"Seeds: {study.seeds} of every arm{other}."


def _identities(gathered: Gathered) -> Table:
    study, cells = gathered.study, gathered.cells
    rows: list[list[str]] = [
        ["plan", "SHA-256 of the study as it was read", hash_json(study.model_dump(mode="json"))[:16]],
        ["hypotheses", "SHA-256 as they stand now", study.hypotheses_sha256[:16]],
    ]
    rows += [
        ["", f"as they stood when {n} cells ended", sha[:16]] for sha, n in _counts(c.hypotheses_sha256 for c in cells)
    ]
    for corpus in gathered.corpora:
        mine = [cell for cell in cells if cell.corpus == corpus]
        rows += [
            [corpus, f"fingerprint of the corpus, {n} cells", sha[:16]]
            for sha, n in _counts(c.fingerprint for c in mine)
        ]
        rows += [["", f"feature extractor, {n} cells", sha[:16]] for sha, n in _counts(c.judge for c in mine)]
    rows += [["machine", f"{n} cells", text] for text, n in _counts(machine_words(cell.machine) for cell in cells)]
    for name in dict.fromkeys(name for cell in cells for name in cell.versions):
        rows += [[name, f"{n} cells", text] for text, n in _counts(str(c.versions.get(name) or "") for c in cells)]
    return Table([Column(name, figure=False) for name in ("what", "", "value")], rows)


def _counts(values: Iterable[str]) -> list[tuple[str, int]]:
    return [(value, count) for value, count in sorted(Counter(values).items()) if value]
