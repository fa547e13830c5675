"""Progress: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from motionsynth.cli import progress as module
from motionsynth.cli.progress import CorpusBar, StageBar, TrainingBar, bar

METRICS = {
    "train/all/total": 1.25,
    "train/all/kl": 0.5,
    "train/all/learning_rate": 1e-3,
    "train/all/gradient_norm": 2.0,
    "validation/all/total": 9.0,
}


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=160, highlight=False, color_system=None), out


def test_plain_lines_tell_terms_speed_and_time_left_but_not_at_every_row() -> None:
    plain, out = console(terminal=False)
    with TrainingBar("vae", plain) as shown:
        for step in range(10, 101, 10):
            shown.on_log(step, 100, METRICS, 12.5, 3725.0 if step < 100 else 0.0)
    first, last = out.getvalue().splitlines()
    assert first == "vae 10/100 12.5 steps/s  1:02:05 left  all/total 1.25  all/kl 0.5"
    assert last.startswith("vae 100/100 12.5 steps/s  0:00 left")


def test_copies_among_draws_stay_in_sight_after_a_validation() -> None:
    plain, out = console(terminal=False)
    with TrainingBar("vae", plain) as shown:
        shown.line_seconds = 0.0
        for step in (1, 2, 3):
            shown.on_log(step, 9, METRICS | ({"validation/close_to_train": 0.0625} if step == 2 else {}), 1.0, 8.0)
    assert [line.endswith("close_to_train 0.062") for line in out.getvalue().splitlines()] == [False, True, True]


def test_lines_come_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    plain, out = console(terminal=False)
    shown = TrainingBar("vae", plain)
    for step in range(1, 31):
        now[0] += 1.0
        shown.on_log(step, 1000, METRICS, 1.0, 970.0)
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["1/1000", "11/1000", "21/1000"]


def test_a_terminal_shows_one_bar_at_a_time() -> None:
    terminal, out = console(terminal=True)
    with TrainingBar("vae", terminal) as training, CorpusBar("corpus", terminal) as reading:
        for done in (1, 2):
            reading(done, 2)
        training.on_log(5, 10, METRICS, 12.5, 61.0)
    drawn = out.getvalue()
    assert "2/2" in drawn and "5/10" in drawn and "all/kl 0.5" in drawn and "1:01 left" in drawn


def test_a_stage_tells_the_time_left_only_from_its_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    plain, out = console(terminal=False)
    with StageBar(plain) as stage:
        for done in (1, 3, 5):
            stage("score", done, 9)
            now[0] += 20.0
    assert out.getvalue().splitlines() == ["score 1/9", "score 3/9 1:00 left", "score 5/9 0:40 left"]


def test_counted_work_ends_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("walkers", unit="clips") as advance:
        for done in range(1, 6):
            advance(done, 5)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines()[-1] == "walkers 5/5 clips"
