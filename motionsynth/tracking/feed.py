"""``python -m motionsynth.tracking.feed RUN_DIR [--parent PID]``: follow a run and deliver it until it ends.

With ``--parent`` it ends when its standard input says so or process PID is gone, else when the run's state is final.
It writes lines of JSON: what a person should know at once, as ``{"warning": ...}``, and at the end its report. It exits
with 0 if everything was delivered, with 3 if not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from motionsynth.errors import MotionSynthError, StoreError
from motionsynth.run_files import RunFiles
from motionsynth.tracking.feeder import patience_seconds
from motionsynth.tracking.liveness import STATUS_OF_STATE, run_state
from motionsynth.tracking.store import prepare_environment, tracking_uri
from motionsynth.tracking.sync import Delivery, SyncReport

__all__ = ["main"]

INTERVAL_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0
_NICENESS = 10
_POLL_SECONDS = 0.5
_WATCH_SECONDS = 0.1
_IDLE_SHARE = 0.02
"""Share of a processor below which this process counts as waiting."""


class _Ending:
    """Tells when the run that is followed has nothing more to say."""

    def __init__(self, run_dir: Path, parent: int | None) -> None:
        self.run_dir, self.parent = run_dir, parent
        self._asked = False

    def reached(self) -> bool:
        if self._asked:
            return True
        if self.parent is not None:
            return os.getppid() != self.parent or self._closed(0.0)
        return run_state(self.run_dir, RunFiles(self.run_dir).record()) in STATUS_OF_STATE

    def pause(self, seconds: float) -> None:
        """Sleep, but wake for the end."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self.reached():
            if self.parent is None:
                time.sleep(min(left, _POLL_SECONDS))
            else:
                self._closed(min(left, _POLL_SECONDS))

    def _closed(self, seconds: float) -> bool:
        ready, _, _ = select.select([sys.stdin.fileno()], [], [], seconds)
        self._asked = self._asked or bool(ready)  # a word or the end of the pipe: both say stop
        return self._asked


def follow(delivery: Delivery, ending: _Ending) -> SyncReport:
    """Deliver again and again; after the end once more, and that attempt's outcome is the report.

    A store that a person must put right is named at once, and looked at again at every pause: it may have been.
    """
    pause, named = INTERVAL_SECONDS, False
    while True:
        last = ending.reached()
        try:
            with delivery.lock(wait_seconds=5.0):
                delivery.deliver()
        except MotionSynthError as error:
            if last:
                return delivery.report(str(error))
            if isinstance(error, StoreError) and not named and not ending.reached():
                named = True
                _write(
                    {"warning": f"MLflow does not take this run ({error}); training goes on, and so does the trying"}
                )
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            if last:
                return delivery.report()
            pause = INTERVAL_SECONDS
        ending.pause(pause)


def give_up(delivery: Delivery, ending: _Ending, patience: float) -> None:
    """End this process once the end has been reached and the store has kept it waiting for too long in all.

    Args:
        delivery: what another thread is at.
        ending: says when the end is reached.
        patience: seconds in which the store takes nothing while it is asked and this process computes nothing.
    """
    while not ending.reached():
        ending.pause(LONGEST_PAUSE_SECONDS)
    waited, taken = 0.0, delivery.taken
    while waited < patience:
        began, busy = time.monotonic(), time.process_time()
        time.sleep(_WATCH_SECONDS)
        passed = time.monotonic() - began
        if delivery.taken != taken:
            waited, taken = 0.0, delivery.taken
        elif delivery.talking and time.process_time() - busy < _IDLE_SHARE * passed:
            waited += passed
    try:
        _write(asdict(delivery.report(f"no answer for {patience:.0f} s")))
    finally:
        os._exit(3)  # safe at any moment: the next delivery goes on from the store and the cursor


def _write(line: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the trainer was killed: nobody reads, and the rest is still to be delivered
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the feeder; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="motionsynth.tracking.feed", description="Deliver a run to MLflow.")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--parent", type=int, default=None)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, whose last rows are still to come
    if options.parent is not None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to all of a job at once; the trainer's end ends us
    os.nice(_NICENESS)
    prepare_environment()
    delivery = Delivery(options.run_dir, tracking_uri())
    ending = _Ending(options.run_dir, options.parent)
    for note in delivery.notes:
        _write({"warning": note})
    if options.parent is not None:
        threading.Thread(target=give_up, args=(delivery, ending, patience_seconds()), daemon=True).start()
    report = follow(delivery, ending)
    _write(asdict(report))
    return 0 if report.complete else 3


if __name__ == "__main__":
    os._exit(main())  # everything is committed; taking MLflow's modules apart would hold the trainer's end for a second
