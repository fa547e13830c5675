"""The report of a study, from what its cells left and nothing else: one HTML page, and Markdown with its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from motionsynth.calibration.record import Calibration
from motionsynth.report.page import (
    Block,
    Picture,
    Player,
    Section,
    bullets,
    headline,
    plain,
    write_markdown,
    write_page,
)
from motionsynth.report.study.apart import apart_blocks
from motionsynth.report.study.cells import cell_tables
from motionsynth.report.study.gather import Entry, Gathered
from motionsynth.report.study.method import changed_hypotheses, reproduce
from motionsynth.report.study.pictures import curve_pictures, forest_picture, spectra_pictures
from motionsynth.report.study.planes import dose_picture, realism_picture, realism_table
from motionsynth.report.study.statements import cut_blocks, glance, summary, verdict_blocks, verdicts_of
from motionsynth.report.study.tables import cost_table, dose_table, figure_tables, ledger, runs_table
from motionsynth.study.clips import read_clips
from motionsynth.study.plan import Cell, StudyConfig
from motionsynth.study.results import CLIPS, CellResult
from motionsynth.study.verdicts import Verdict, statements
from motionsynth.view.player import Drawn, player_html

__all__ = ["HTML", "MARKDOWN", "write_report"]

HTML: Final = "report.html"
MARKDOWN: Final = "report.md"
_REMARK: Final = (
    "`motionsynth study report configs/study/{}.yaml` makes the same as a page, `report.html`, with all pictures."
)
_ROW_HEIGHT: Final = 226
"""Of clips in the player, in CSS pixels."""


def write_report(
    study: StudyConfig,
    results: Mapping[str, CellResult],
    folder: Path,
    *,
    planned: Sequence[Cell] = (),
    calibrations: Mapping[str, Calibration] | None = None,
) -> tuple[Path, Path]:
    """Write ``report.html``, ``report.md`` and ``figures/*.svg``; same results, same bytes.

    Args:
        study: the plan; its hypotheses are what is judged.
        results: cells by key, as ``results.read_results`` gives them.
        folder: where results lie, with the clips of seed 0 beside them; the report goes there too.
        planned: every cell of the plan: tells what is missing, and leaves out results that are no longer in it.
        calibrations: corpus -> calibration, which tells the doses that a figure is valid on; see ``verdicts.judge``.

    Returns:
        The page and the Markdown.

    Raises:
        StudyError: clips are damaged.
        OSError: a file cannot be written.
    """
    gathered = Gathered(study, results, planned, calibrations)
    verdicts = verdicts_of(gathered)
    sections = [
        *_answer(gathered, verdicts),
        *(section for corpus in gathered.corpora for section in _apart(gathered, corpus)),
        *(section for corpus in gathered.corpora for section in _corpus(gathered, corpus, folder)),
        *(section for corpus in gathered.corpora for section in _exploratory(gathered, corpus, folder)),
        Section("Ledger", ledger(gathered)),
        Section("How to reproduce", reproduce(gathered)),
        Section("Every run", [runs_table(gathered)], folded=True),
    ]
    title, subtitle = f"Study: {study.name}", study.question
    folder.mkdir(parents=True, exist_ok=True)
    page, text = folder / HTML, folder / MARKDOWN
    write_page(page, title, sections, subtitle=subtitle)
    write_markdown(text, title, sections, subtitle=subtitle, remark=_REMARK.format(study.name))
    return page, text


def _answer(gathered: Gathered, verdicts: Sequence[Verdict]) -> Iterator[Section]:
    blocks: list[Block] = [headline(summary(gathered, verdicts), changed_hypotheses(gathered))]
    if gathered.study.caveats:
        blocks += [plain("Before the verdicts:"), bullets(gathered.study.caveats)]
    if verdicts:
        if gathered.study.caveats:
            blocks.append(plain("The verdicts, in short:"))
        blocks.append(bullets(glance(gathered, verdicts)))
    yield Section("", blocks)
    if verdicts:
        picture = forest_picture(gathered, verdicts)
        yield Section("Verdicts", [*([picture] if picture else []), *verdict_blocks(gathered, verdicts)])
    if cut := cut_blocks(gathered):
        yield Section("Statements that were cut", cut)


def _apart(gathered: Gathered, corpus: str) -> Iterator[Section]:
    """The difference of the one pair that the study takes apart."""
    if (pair := gathered.study.contrast) and (blocks := apart_blocks(gathered, corpus)):
        names = (gathered.study.arms[gathered.study.arm_view(side)[0]].title or side for side in pair)
        yield Section(f"{' less '.join(names)}, figure by figure: {gathered.corpus_title(corpus)}", blocks)


def _corpus(gathered: Gathered, corpus: str, folder: Path) -> Iterator[Section]:
    """What carries verdicts, beside the landmarks."""
    entries = list(gathered.entries(corpus, "A"))
    landmarks = list(gathered.entries(corpus, "landmark"))
    if not entries and not landmarks:
        return
    where = gathered.corpus_title(corpus)
    blocks = [*_blocks(gathered, corpus, entries, landmarks, ""), *cell_tables(entries)]
    yield Section(where, blocks)
    if player := _player(gathered, corpus, [*entries, *_shown_landmarks(landmarks)], folder):
        yield Section(f"Clips: {where}", [player])


def _exploratory(gathered: Gathered, corpus: str, folder: Path) -> Iterator[Section]:
    entries = list(gathered.entries(corpus, "B"))
    if not entries:
        return
    where = gathered.corpus_title(corpus)
    landmarks = list(gathered.entries(corpus, "landmark"))
    blocks = [plain(_exploration(gathered, corpus)), *_blocks(gathered, corpus, entries, landmarks, "exploratory")]
    player = _player(gathered, corpus, [entry for entry in entries if entry.main], folder)
    yield Section(f"Exploratory: {where}", [*blocks, *([player] if player else [])])


def _exploration(gathered: Gathered, corpus: str) -> str:
    """What the arms of tier B are good for: most stand in no hypothesis, and one that does has said so."""
    study = gathered.study
    arms = {entry.arm for entry in gathered.entries(corpus, "B")}
    named = [
        name
        for name, hypothesis, where in statements(study)
        if where == corpus and arms & {arm for arm, _ in study.sides_of(hypothesis)}
    ]
    seeds = sorted({len(study.seeds_of(arm)) for arm in arms})
    told = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))) + f" seed{'s' * (seeds[-1] > 1)} an arm"
    if not named:
        return f"No verdict rests on what follows: no hypothesis names these arms ({told})."
    return f"These arms explore ({told}). No verdict rests on them but those of: {', '.join(named)}."


def _blocks(
    gathered: Gathered, corpus: str, entries: Sequence[Entry], landmarks: Sequence[Entry], tier: str
) -> list[Block]:
    endpoints = [h.endpoint.metric for h in gathered.study.hypotheses.values() if h.endpoint.metric is not None]
    useful = [gathered.study.useful.figure] if gathered.study.useful else []
    pictures: list[Picture] = []
    if plane := realism_picture(gathered, corpus, [*entries, *landmarks], tier=tier):
        pictures.append(plane)
    if plane := dose_picture(gathered, corpus, [*entries, *landmarks], tier=tier):
        pictures.append(plane)
    pictures += spectra_pictures(gathered, corpus, entries)
    pictures += curve_pictures(gathered, corpus, entries)
    tables = [
        realism_table(entries, landmarks),
        dose_table(gathered, entries, landmarks),
        *figure_tables(gathered, entries, landmarks, [*endpoints, *useful]),
        cost_table(gathered, corpus, entries),
    ]
    return [*pictures, *(table for table in tables if table is not None)]


def _shown_landmarks(landmarks: Sequence[Entry]) -> list[Entry]:
    """Landmarks that hold no clip of the corpus itself: a page that is published must not show these."""
    return [entry for entry in landmarks if entry.config.landmark in ("mean_clip", "untrained")]


def _player(gathered: Gathered, corpus: str, entries: Sequence[Entry], folder: Path) -> Player | None:
    """Clips of the first seed of each view, those in a column from the same latents; None where none were kept."""
    rows: dict[str, list[tuple[str, Drawn]]] = {}
    for entry in entries:
        kept = [folder / f"{result.key}{CLIPS}" for result in entry.results]
        path = next((path for path in kept if path.is_file()), None)
        stored = read_clips(path) if path else {}
        drawn = entry.view in stored
        named = {entry.name: stored[entry.view]} if drawn else {f"{entry.name}, {way}": stored[way] for way in stored}
        what = "latent" if drawn and not entry.config.views[entry.view].reconstruct else "held-out clip"
        for name, clips in named.items():
            rows[name] = [(f"{what} {place}", clip) for place, clip in enumerate(clips, 1)]
    if not rows:
        return None
    title = f"Clips on {gathered.corpus_title(corpus)}"
    caption = (
        "Generated clips of the first seed, not chosen: those under one another come from the same random latents, as "
        "far as arms have latents of one size; what is made of held-out clips is made of the same ones."
    )
    return Player(player_html([], title=title, groups=rows), title, caption, _ROW_HEIGHT * len(rows) + 90)
