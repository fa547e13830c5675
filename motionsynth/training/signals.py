"""Stopping on request: the first signal asks, the second one insists."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["StopRequest"]


class StopRequest:
    """Inside the block, the first SIGTERM or SIGINT is noted in ``signal``, and a second one ends the process at once.

    Signals can be caught in the main thread only; elsewhere the block notes nothing and changes nothing.
    """

    CAUGHT = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.signal: int | None = None
        """Number of the signal that came, such as 15."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.CAUGHT}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            return
        # the disposition of the kernel, not a Python exception: nothing between here and the exit can hold it up
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
