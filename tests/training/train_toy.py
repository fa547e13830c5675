"""Train a toy in a process of its own, which can be killed: ``train_toy.py RUN_DIR STEP SIGNAL`` (STEP -1: never)."""

from __future__ import annotations

import sys
from pathlib import Path

from motionsynth.runs.fit import train_run
from motionsynth.runs.run import open_run
from tests.training import toy_family

if __name__ == "__main__":
    path, step, number = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    toy_family.register()
    if step >= 0:
        toy_family.Toy.kill_at = (step, number)
    run = open_run(path) if path.exists() else toy_family.make_run(path)
    result = train_run(
        run, toy_family.make_windows(), toy_family.make_windows(11, 1), resume=run.record.state != "created"
    )
    sys.exit(result.exit_code)
