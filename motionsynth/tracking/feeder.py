"""The feeder as the trainer sees it: a low-priority process beside the training, started and stopped in milliseconds.

It stays in the trainer's session (where scheduling groups processes by session, niceness counts only inside one), but
in a process group of its own, so that Ctrl-C in a terminal reaches the trainer alone and the end is still delivered.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from motionsynth.errors import MotionSynthError, StoreError
from motionsynth.processes import child_environment, module_command
from motionsynth.tracking.store import prepare_environment, shown_uri, tracking_uri
from motionsynth.tracking.sync import Delivery, SyncReport

__all__ = ["Feeder", "patience_seconds", "start_feeder"]

CLOSE_SECONDS = 60.0
"""Longest that the end of a training is held where the store takes something now and then."""
PATIENCE_SECONDS = 10.0
"""Longest that it is held by a store that takes nothing."""

_log = logging.getLogger(__name__)


def patience_seconds() -> float:
    """Seconds that the end of a training waits for a store without an answer: ``MOTIONSYNTH_TRACKING_WAIT``, or 10."""
    try:
        given = float(os.environ.get("MOTIONSYNTH_TRACKING_WAIT", ""))
    except ValueError:
        return PATIENCE_SECONDS
    return given if 0.0 <= given < 1e6 else PATIENCE_SECONDS


class Feeder:
    """A process that delivers a run while it trains; ends when told to, or when the process that started it is gone.

    One that cannot be started is no reason to stop a training: its report says so.
    """

    def __init__(self, run_dir: Path, uri: str | None = None) -> None:
        self.run_dir, self.uri = run_dir, uri or os.environ.get("MLFLOW_TRACKING_URI", "").strip()
        self._process: subprocess.Popen[str] | None = None
        self._fault = ""
        self._answer: dict[str, Any] | None = None
        self._report: SyncReport | None = None
        try:
            self.uri = uri or tracking_uri()
            self._start()
        except StoreError as error:
            self._fault = str(error)
        except (OSError, RuntimeError) as error:  # no memory, no interpreter, no process or thread more
            self._fault = f"its feeder cannot be started: {getattr(error, 'strerror', None) or error}"

    def _start(self) -> None:
        environment = {**child_environment(), "MLFLOW_TRACKING_URI": self.uri, "OMP_NUM_THREADS": "1"}
        prepare_environment(environment)
        with contextlib.ExitStack() as unless_started:
            self._stderr: IO[str] = unless_started.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
            process = subprocess.Popen(
                module_command("motionsynth.tracking.feed", str(self.run_dir), "--parent", str(os.getpid())),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                process_group=0,
                text=True,
            )
            unless_started.callback(process.kill)
            self._listener = threading.Thread(target=self._listen, args=(process.stdout,), daemon=True)
            self._listener.start()
            unless_started.pop_all()
        self._process = process

    def _listen(self, lines: IO[str]) -> None:
        for line in lines:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict) and set(message) == {"warning"}:
                    _log.warning("%s", message["warning"])
                else:
                    self._answer = message

    @property
    def pid(self) -> int:
        """Number of the feeder's process; 0 where it could not be started."""
        return self._process.pid if self._process else 0

    def close(self, timeout: float | None = None) -> SyncReport:
        """Have the rest delivered, and say what became of it.

        With the store out of reach it returns as soon as one more attempt has failed, and after ``patience_seconds``
        where the store does not answer. Call it after the last file of the run is written. A second call returns the
        first one's report.

        Args:
            timeout: seconds after which it returns in any case.
        """
        if self._report is None:
            timeout = CLOSE_SECONDS + patience_seconds() if timeout is None else timeout
            self._report = self._close(self._process, timeout) if self._process else self._left(self._fault)
        return self._report

    def _close(self, process: subprocess.Popen[str], timeout: float) -> SyncReport:
        deadline = time.monotonic() + timeout
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died before; what it left is found below
            process.stdin.write("stop\n")  # not only closed: a forked worker may hold a copy of the pipe
            process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            code: int | None = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
            process.kill()  # safe at any moment: the next delivery goes on from the store and the cursor
            process.wait()
        self._listener.join(1.0)
        self._stderr.seek(0)
        complaints = self._stderr.read().strip().splitlines()
        self._stderr.close()
        if not self._listener.is_alive():
            process.stdout.close()
        with contextlib.suppress(TypeError, KeyError):  # half a report, or another format's
            if self._answer:
                return SyncReport(**{**self._answer, "notes": tuple(self._answer["notes"])})
        reason = f"no end after {timeout:.0f} s" if code is None else f"the feeder ended with {code}"
        return self._left(f"{reason}: {complaints[-1][:200]}" if complaints else reason)

    def _left(self, reason: str) -> SyncReport:
        try:
            return Delivery(self.run_dir, self.uri).report(reason)
        except (MotionSynthError, OSError):  # the run directory is gone or damaged, which is for others to say
            return SyncReport(str(self.run_dir), shown_uri(self.uri), reason=reason)


def start_feeder(run_dir: str | Path, uri: str | None = None) -> Feeder:
    """Start feeding ``run_dir`` (with its ``run.json``) to MLflow; returns at once, whatever the store does."""
    return Feeder(Path(run_dir).resolve(), uri)
