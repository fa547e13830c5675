"""The feeder as the trainer sees it: a low-priority process beside the training, started and stopped in milliseconds.

It stays in the trainer's session (where scheduling groups processes by session, niceness counts only inside one), but
in a process group of its own, so that Ctrl-C in a terminal reaches the trainer alone and the end is still delivered.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from motionsynth.tracking.store import prepare_environment, tracking_uri
from motionsynth.tracking.sync import Delivery, SyncReport, report_from

__all__ = ["Feeder", "start_feeder"]

CLOSE_SECONDS = 60.0


class Feeder:
    """A process that delivers a run while it trains; ends when told to, or when the process that started it is gone."""

    def __init__(self, run_dir: Path, uri: str) -> None:
        self.run_dir, self.uri = run_dir, uri
        self._stdout: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._stderr: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "OMP_NUM_THREADS": "1"}
        prepare_environment(environment)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "motionsynth.tracking.feed", str(run_dir), "--parent", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=self._stdout,
            stderr=self._stderr,
            env=environment,
            process_group=0,
        )
        self._report: SyncReport | None = None

    @property
    def pid(self) -> int:
        """Number of the feeder's process."""
        return self._process.pid

    def close(self, timeout: float = CLOSE_SECONDS) -> SyncReport:
        """Have the rest delivered, at most ``timeout`` seconds, and say what became of it.

        With the store out of reach it returns as soon as one more attempt has failed. Call it after the last file of
        the run is written. A second call returns the first one's report.
        """
        if self._report is None:
            self._report = self._close(timeout)
        return self._report

    def _close(self, timeout: float) -> SyncReport:
        deadline = time.monotonic() + timeout
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died before; what it left is found below
            self._process.stdin.write(b"stop\n")  # not only closed: a forked worker may hold a copy of the pipe
            self._process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            code: int | None = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
            self._process.kill()  # safe at any moment: the next delivery goes on from the store and the cursor
            self._process.wait()
        self._stdout.seek(0)
        self._stderr.seek(0)
        answer, complaints = self._stdout.read().strip().splitlines(), self._stderr.read().strip().splitlines()
        self._stdout.close()
        self._stderr.close()
        if answer:
            return report_from(answer[-1])
        reason = f"no end after {timeout:.0f} s" if code is None else f"the feeder ended with {code}"
        if complaints:
            reason = f"{reason}: {complaints[-1][:200]}"
        return Delivery(self.run_dir, self.uri).report(reason)


def start_feeder(run_dir: str | Path, uri: str | None = None) -> Feeder:
    """Start feeding ``run_dir`` (with its ``run.json``) to MLflow; returns at once, whatever the store does."""
    return Feeder(Path(run_dir).resolve(), uri or tracking_uri())
