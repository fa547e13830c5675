"""Progress on stderr: a bar on a terminal, plain lines now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TextColumn

from motionsynth.cli.terminal import console as new_console
from motionsynth.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["CorpusBar", "Display", "StageBar", "TrainingBar", "bar", "duration"]

_LINE_SECONDS = 10.0
"""Between two plain lines, so that a log of hours stays readable."""


class Display:
    """A bar that appears with its first news, so that several may wait side by side: a terminal shows one at a time."""

    line_seconds = _LINE_SECONDS

    def __init__(self, title: str, console: Console | None) -> None:
        self.title = printable(title)
        self.console = console or new_console(err=True)
        self._bar: Progress | None = None
        self._next_line = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def show(self, done: int, total: int, details: str) -> None:
        """Draw the bar, or print a line where it is time for one or all is done."""
        details = printable(details)
        if self.console.is_terminal:
            if self._bar is None:
                self._bar = Progress(
                    TextColumn("{task.description}", markup=False),
                    BarColumn(bar_width=24),
                    TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                    TextColumn("{task.fields[details]}", markup=False),
                    console=self.console,
                )
                self._bar.add_task(self.title, details="")
                self._bar.start()
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, details=details)
        elif done >= total or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + self.line_seconds
            self.console.print(f"{self.title} {done}/{total} {details}".strip(), soft_wrap=True, markup=False)
        if done >= total:
            self.close()


class TrainingBar(Display):
    """Steps, loss terms, copies, steps a second and time left; told by the trainer at every row of the journal.

    Args:
        title: shown before the bar.
        console: where to; stderr where None.
    """

    def __init__(self, title: str = "train", console: Console | None = None) -> None:
        super().__init__(title, console)
        self._close: float | None = None

    def on_log(
        self, step: int, total: int, metrics: Mapping[str, float], steps_per_second: float, seconds_left: float
    ) -> None:
        """One row of the journal; see ``motionsynth.training.trainer.ProgressListener``."""
        hidden = ("/learning_rate", "/gradient_norm")
        terms = [
            f"{name.removeprefix('train/')} {value:.4g}"
            for name, value in metrics.items()
            if name.startswith("train/") and not name.endswith(hidden)
        ]
        self._close = metrics.get("validation/close_to_train", self._close)
        if self._close is not None:
            terms.append(f"close_to_train {self._close:.3f}")
        speed = f"{steps_per_second:.1f} steps/s  {duration(seconds_left)} left"
        self.show(step, total, "  ".join([speed, *terms]))


class CorpusBar(Display):
    """Files read, of all that there are; called with (done, all)."""

    def __init__(self, title: str = "corpus", console: Console | None = None) -> None:
        super().__init__(title, console)

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` files are read."""
        self.show(done, total, "files")


class StageBar:
    """A bar for each stage of a command, one after the other, with the time that is left of it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._title = ""
        self._display: Display | None = None
        self._began, self._done_before = 0.0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._display:
            self._display.close()

    def __call__(self, title: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` parts of the stage ``title`` are done."""
        if title != self._title or self._display is None:
            if self._display:
                self._display.close()
            self._title, self._display = title, Display(title, self._console)
            self._began, self._done_before = time.monotonic(), done
        # nothing is known of the pace of what was done before the first news
        spent, paced = time.monotonic() - self._began, done - self._done_before
        left = f"{duration(spent * (total - done) / paced)} left" if paced > 0 and done < total else ""
        self._display.show(done, total, left)


@contextmanager
def bar(title: str, *, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that is counted; yields a function to call with (done, all)."""
    with Display(title, None) as display:
        yield lambda done, total: display.show(done, total, unit)


def duration(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
