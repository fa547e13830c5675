"""What must survive: kill -9 while training, and an MLflow server that is not there.

    python tools/accept/faults.py [--family gan] [--data data/walkers] [--steps 120]

1. Trains to the end; trains again, killed by SIGKILL at three random steps and resumed each time; the weights must be
   the same bytes. As a control it resumes with another state of the random generators, which must give other bytes.
2. Trains with MLFLOW_TRACKING_URI at a closed port: exit code 0, one warning, about the same time; then
   ``runs sync`` must bring every row of the journal to a new store.
Exits with 1 where one of these does not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from motionsynth.files import write_bytes
from motionsynth.hashes import hash_bytes
from motionsynth.processes import child_environment, module_command

CHECKPOINT_STEPS = 25


def main() -> int:
    """Run both checks and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="gan")
    parser.add_argument("--data", type=Path, default=Path("data/walkers"))
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *module_command("motionsynth", "train", options.family, "--data", str(options.data.resolve())),
            *("--set", f"train.steps={options.steps}", "--set", f"train.checkpoint_every_steps={CHECKPOINT_STEPS}"),
            *("--set", "train.log_every_steps=1", "--set", "train.threads=1"),
        ]
        survived = kills(Path(folder), command, options.steps, random.Random(options.seed))
        delivered = closed_port(Path(folder), command)
    return int(not (survived and delivered))


def kills(folder: Path, command: list[str], steps: int, chance: random.Random) -> bool:
    """Check 1."""
    whole, broken, control = (folder / name for name in ("whole", "broken", "control"))
    train(command, whole, "--no-track")
    kill_steps = sorted([chance.randrange(2, CHECKPOINT_STEPS), *chance.sample(range(CHECKPOINT_STEPS + 2, steps), 2)])
    resume = [*command[:6], "--resume", "--no-track"]
    for number, step in enumerate(kill_steps):
        seen = kill_at(step, [*(resume if number else [*command, "--no-track"]), "--run-dir", str(broken)], broken)
        print(f"killed at step {seen} (wanted {step})")
    shutil.copytree(broken, control)
    upset_generator(control)
    train(resume, broken)
    train(resume, control)
    hashes = {run.name: hash_bytes((run / "weights.safetensors").read_bytes()) for run in (whole, broken, control)}
    for name, value in hashes.items():
        print(f"{name:8} {value[:16]}")
    same, differs = hashes["whole"] == hashes["broken"], hashes["whole"] != hashes["control"]
    print(f"resumed equals uninterrupted: {same}; control without the generators' state differs: {differs}")
    return same and differs


def kill_at(step: int, command: list[str], run_dir: Path) -> int:
    """Start a training, kill it once its journal has reached a step, and return the step it had reached."""
    with subprocess.Popen(
        command, env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while journal_step(run_dir) < step and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "training ended before it was killed"
    return journal_step(run_dir)


def journal_step(run_dir: Path) -> int:
    """Step of the last whole row."""
    journal = run_dir / "metrics.jsonl"
    rows = journal.read_text().split("\n")[:-1] if journal.exists() else []
    return int(json.loads(rows[-1])["step"]) if rows else 0


def upset_generator(run_dir: Path) -> None:
    """Give the newest checkpoint the generator of another seed, as if its state were not restored."""
    newest = max((run_dir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    state = torch.load(newest / "state.pt", weights_only=True)
    state["generator"] = torch.Generator().manual_seed(1).get_state()
    torch.save(state, newest / "state.pt")
    manifest = json.loads((newest / "manifest.json").read_text())
    manifest["sha256"]["state.pt"] = hash_bytes((newest / "state.pt").read_bytes())
    write_bytes(newest / "manifest.json", json.dumps(manifest).encode())


def closed_port(folder: Path, command: list[str]) -> bool:
    """Check 2."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    store = f"sqlite:///{folder}/mlflow.db"
    with_store = train(command, folder / "tracked", uri=store)
    without = train(command, folder / "untracked", uri=closed)
    times = [training_seconds(folder / name) for name in ("tracked", "untracked")]
    warnings = without.stderr.count("warning:")
    print(f"training with a store {times[0]:.1f} s, at a closed port {times[1]:.1f} s; {warnings} warning")
    sync = subprocess.run(
        [*command[:4], "runs", "sync", str(folder / "untracked")],
        env={**child_environment(), "MLFLOW_TRACKING_URI": store},
        cwd=folder,
    )
    rows = (folder / "untracked" / "metrics.jsonl").read_text().splitlines()
    values = sum(len(json.loads(row)["metrics"]) for row in rows)
    found = count_metrics(
        folder / "mlflow.db", json.loads((folder / "untracked" / "run.json").read_text())["tracking_id"]
    )
    print(f"journal: {values} values, store after `runs sync`: {found}")
    return (with_store.returncode, without.returncode, sync.returncode, warnings, found) == (
        *(0, 0, 0, 1),
        values,
    )


def train(command: list[str], run_dir: Path, *options: str, uri: str | None = None) -> subprocess.CompletedProcess[str]:
    """Train to the end."""
    environment = {**child_environment(), **({"MLFLOW_TRACKING_URI": uri} if uri else {})}
    arguments = [*command, *options, "--run-dir", str(run_dir)]
    return subprocess.run(arguments, env=environment, cwd=run_dir.parent, check=True, capture_output=True, text=True)


def training_seconds(run_dir: Path) -> float:
    """Seconds between the first and the last row of the journal."""
    times = [json.loads(row)["time"] for row in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return float(times[-1] - times[0])


def count_metrics(database: Path, tracking_id: str) -> int:
    """Metric values that a store has of a run."""
    import sqlite3

    query = "SELECT count(*) FROM metrics JOIN tags USING (run_uuid) WHERE tags.key = ? AND tags.value = ?"
    with sqlite3.connect(database) as connection:
        return int(connection.execute(query, ("motionsynth.tracking_id", tracking_id)).fetchone()[0])


if __name__ == "__main__":
    sys.exit(main())
