"""Several processes that train one model learn what one process learns, and none waits for one that has gone.

Most cases are run by one pair of processes, ``ranks_worker``: to start torch takes seconds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from motionsynth.config import TrainConfig
from motionsynth.errors import ConfigError, RanksError
from motionsynth.families.base import Family
from motionsynth.families.gmm import GMM
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import open_run
from motionsynth.training.budget import refuse_company, refuse_shares
from motionsynth.training.determinism import build_family
from motionsynth.training.device import resolve_device
from motionsynth.training.distributed import Pulse, Ranks, joined_ranks
from motionsynth.training.journal import read_journal
from tests.families.golden_losses import SHAPE
from tests.training import ranks_worker
from tests.training.toy_family import make_run, make_windows

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 120.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"} | more


def start_pair(*command: str, **more: str) -> list[subprocess.Popen[str]]:
    """Two processes as torchrun starts them, but that nobody looks after them."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **address, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def end_of(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out, err


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pair")


@pytest.fixture(scope="module")
def pair(folder: Path) -> list[dict[str, Any]]:
    """What the two ranks found, case by case."""
    ends = [end_of(process) for process in start_pair("tests.training.ranks_worker", str(folder))]
    assert [code for code, _, _ in ends] == [0, 0], ends
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def test_every_family_has_the_same_bits_on_both_ranks_after_100_steps(pair: list[dict[str, Any]]) -> None:
    first, second = (found["families"] for found in pair)
    assert list(first) == list(second) == ranks_worker.shared_families()
    for name in first:
        initial = build_family(ranks_worker.small(name), SHAPE, 0).state_dict()
        assert first[name].keys() == second[name].keys()
        assert all(torch.equal(value, second[name][key]) for key, value in first[name].items()), name
        assert any(not torch.equal(value, initial[key]) for key, value in first[name].items()), name


@pytest.mark.parametrize("name", ranks_worker.FLOAT64_CASES)
def test_two_ranks_take_the_steps_of_one(pair: list[dict[str, Any]], name: str) -> None:
    alone = ranks_worker.steps_in_float64(name, Ranks())
    for found in pair:
        shared = found["float64_steps"][name]
        assert shared.keys() == alone.keys()
        for key, value in alone.items():
            torch.testing.assert_close(shared[key], value, rtol=1e-7, atol=1e-9, msg=lambda text, k=key: f"{k}: {text}")


def test_statistics_of_a_mixture_are_those_of_one_process(pair: list[dict[str, Any]]) -> None:
    alone = ranks_worker.statistics_by_pass(Ranks())
    assert {"product_EX", "point_ME", "mass_K"} <= {name for one in alone for name in one}
    for found in pair:
        for one, shared in zip(alone, found["statistics"], strict=True):
            assert one.keys() == shared.keys()
            for name, value in one.items():  # points too, in the order that one process meets them
                torch.testing.assert_close(shared[name], value, rtol=1e-9, atol=1e-9, msg=name)
    assert len(alone[3]["point_ME"]) == 20, "the most that are kept"


@pytest.mark.parametrize("windows", [49, 51])
def test_a_mixture_is_that_of_one_process_though_last_batches_are_uneven(
    pair: list[dict[str, Any]], windows: int
) -> None:
    weights, heard, steps = ranks_worker.learn_mixture(Ranks(), windows)
    assert len(heard) == 2 and steps > 5 * 7
    for found in pair:
        shared, shared_heard, shared_steps = found["mixtures"][windows]
        assert shared_steps == steps and shared_heard == pytest.approx(heard, rel=1e-9)
        for key, value in weights.items():
            torch.testing.assert_close(shared[key], value, rtol=1e-6, atol=1e-8, msg=key)
    one, other = (found["mixtures"][windows][0] for found in pair)
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_loss_that_is_not_finite_on_one_rank_stops_both_with_one_error(pair: list[dict[str, Any]]) -> None:
    first, second = (found["not_finite"] for found in pair)
    assert first == second and len(first) == 2
    assert "phase critic" in first[0] and "not finite in the data: clip_008" in first[0]
    assert first[1].startswith("step 7, phase generator") and "adversarial is nan" in first[1]


def test_a_budget_in_minutes_ends_on_both_at_one_step(pair: list[dict[str, Any]]) -> None:
    first, second = (found["minutes"] for found in pair)
    assert first == second
    assert first[0] == "finished" and first[1] > 1 and first[2] == 1


def test_copies_end_both_at_one_step(pair: list[dict[str, Any]]) -> None:
    assert [found["copying"] for found in pair] == [("copying", 30)] * 2


def test_a_signal_to_one_stops_both_at_one_step(pair: list[dict[str, Any]]) -> None:
    first, second = (found["stopped"] for found in pair)
    assert first == second
    outcome, step, number = first
    assert (outcome, number) == ("stopped", signal.SIGTERM) and 11 <= step <= 12


def test_numbers_that_differ_are_found_at_the_start(pair: list[dict[str, Any]]) -> None:
    for found in pair:
        weights, noise, nothing = found["parted"]
        assert weights.startswith("at the start: generator.bias is not on rank 1 what it is on rank 0")
        assert noise.startswith("at the start: the state of the noise generator is not on rank 1")
        assert nothing == "finished"


def test_collectives(pair: list[dict[str, Any]]) -> None:
    for rank, found in enumerate(pair):
        small = found["collectives"]
        assert small["mean"].tolist() == [5, 6, 7] and small["sum"].tolist() == [10, 12, 14]
        assert small["join"].tolist() == [0, 10, 11]
        assert small["cut"].tolist() == [[0, 1, 2], [3, 4]][rank]
        assert small["share"] == "first"
        assert small["gradient"].tolist() == [1, 2] and small["idle"] is None
        assert small["values"].tolist() == [1.5]
    assert sorted(found["speaks"] for found in pair) == [False, True], "one says what went wrong"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_no_thread_of_the_group_is_left_to_meet_the_end_of_the_interpreter(pair: list[dict[str, Any]]) -> None:
    for found in pair:
        assert any("gloo" in name for name in found["threads"])
        assert not [name for name in found["threads left"] if "gloo" in name]


@pytest.mark.usefixtures("toy_known")
def test_rank_0_alone_keeps_the_run_and_one_process_can_go_on_with_it(
    pair: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    assert pair[0]["run_directory"] == pair[1]["run_directory"]
    outcomes, steps = zip(*pair[0]["run_directory"], strict=True)
    assert outcomes == ("finished", "stopped", "stopped", "finished") and steps[1] in (13, 14)
    whole, half, again = (open_run(folder / name) for name in ("whole", "half", "again"))
    assert (whole.record.state, half.record.state, whole.record.ranks) == ("finished", "stopped", 2)
    journal = read_journal(whole.journal_path)
    assert [row.step for row in journal] == sorted({row.step for row in journal})
    assert any("validation/critic/total" in row.metrics for row in journal)

    assert train_run(half, make_windows(), make_windows(11, 1), resume=True).outcome == "finished"
    assert half.record.ranks == 1
    alone = make_run(tmp_path / "alone")
    train_run(alone, make_windows(), make_windows(11, 1))
    ends = [load_file(run.path / "weights.safetensors") for run in (whole, again, half, alone)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items()), "resumed by two: bit for bit"
    for end in ends[2:]:
        for name, value in ends[0].items():
            torch.testing.assert_close(end[name], value, rtol=1e-4, atol=1e-5)


# what cannot be shared


@pytest.mark.parametrize(
    ("batch", "group", "message"),
    [
        (15, 4, "15 windows cannot be shared evenly by 2 processes; take a multiple of 2"),
        (12, 4, "12 windows on 2 processes are 6 on each, which tears groups of 4 apart .* take a multiple of 8"),
        (6, 4, "are 3 on each, which tears groups of 2 apart"),
        (16, 4, None),
        (12, 2, None),
        (6, 0, None),
    ],
)
def test_a_batch_must_be_shared_evenly_and_in_whole_groups(batch: int, group: int, message: str | None) -> None:
    config = ranks_worker.small("gan")
    config = config.model_copy(update={"critic": config.critic.model_copy(update={"minibatch_stddev": group})})  # type: ignore[attr-defined]
    family = build_family(config, SHAPE, 0)
    train, few = TrainConfig(steps=1, batch_size=batch), make_windows(batch)
    refuse_shares(family, batch, 1, whole=False)
    refusals: list[Callable[[], None]] = [
        lambda: refuse_shares(family, batch, 2, whole=False),
        lambda: refuse_company(config, train, 2),
        lambda: refuse_company(config, TrainConfig(steps=1, batch_size=64), 2, few),
    ]
    for refuse in refusals:
        if message is None:
            refuse()
            continue
        with pytest.raises(ConfigError, match=message):
            refuse()


def test_uneven_batches_are_told_before_clips_are_read_except_for_statistics() -> None:
    train = TrainConfig(steps=1, batch_size=15)
    with pytest.raises(ConfigError, match=r"train.batch_size: 15 windows"):
        refuse_company(ranks_worker.small("vae"), train, 2)
    refuse_company(ranks_worker.small("vae"), train, 3)
    refuse_company(GMM.Config(), train, 2)


def test_a_family_that_is_trained_alone_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    config, train = ranks_worker.small("cyclegan"), TrainConfig(steps=1)
    refuse_company(config, train, 2)
    with pytest.raises(ConfigError, match=r"cyclegan must be trained by one process: its pools .* without torchrun"):
        refuse_company(config.model_copy(update={"pool": 4}), train, 2)
    family = build_family(ranks_worker.small("ae"), SHAPE, 0)
    refuse_shares(family, 8, 2, whole=False)
    monkeypatch.setattr(Family, "alone", property(lambda self: "it is shy"))
    with pytest.raises(ConfigError, match="must be trained by one process: it is shy"):
        refuse_shares(family, 8, 2, whole=False)
    refuse_shares(family, 8, 1, whole=False)


def test_every_process_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cpu", local_rank=1) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [resolve_device(name, local_rank=1) for name in ("auto", "cuda", "cpu")] == ["cuda:1", "cuda:1", "cpu"]
    assert resolve_device("cuda") == "cuda" and resolve_device("cuda:0") == "cuda:0"
    with pytest.raises(ConfigError, match="process 3 of this machine would need a GPU of its own, and there are 2"):
        resolve_device("auto", local_rank=2)
    with pytest.raises(ConfigError, match=r"cuda:0: every process takes a GPU of its own"):
        resolve_device("cuda:0", local_rank=0)


def test_one_process_by_itself_gets_back_what_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with joined_ranks() as ranks:
        assert (ranks.rank, ranks.size, ranks.first, ranks.speaks()) == (0, 1, True, True)
        value = torch.arange(3.0)
        assert all(f(value) is value for f in (ranks.mean, ranks.sum, ranks.join, ranks.cut, ranks.share))
        ranks.listen(lambda: Pulse(2.0, 15))
        ranks.beat()
        ranks.check_equal({"a": value}, "now")
        assert ranks.pulse == Pulse(2.0, 15)
        assert ranks.device("cpu") == "cpu"
    assert not torch.distributed.is_initialized()


def test_others_that_cannot_be_reached_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from motionsynth.training import distributed

    monkeypatch.setattr(distributed, "PATIENCE", timedelta(seconds=1))
    values = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RanksError, match="rank 1 of 2 has lost"), joined_ranks("cpu"):
        pass


# a process that is killed


def train_command(corpus: Path, run: Path) -> list[str]:
    options = (
        "train.batch_size=8",
        "family.backbone={kind: conv, widths: [8,8,8,8]}",
        "train.checkpoint_every_steps=5",
    )
    sets = [part for option in (*options, "train.steps=150") for part in ("--set", option)]
    return ["motionsynth", "train", "vae", "--data", str(corpus), *sets, "--run-dir", str(run), "--no-track"]


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_rank_ends_the_other_with_one_line(corpus: Path, tmp_path: Path, killed: int) -> None:
    run = tmp_path / "run"
    cache = str(corpus.parent / "cache")
    ranks = start_pair(*train_command(corpus, run), MOTIONSYNTH_CACHE=cache)
    wait_for(run / "checkpoints" / "5", ranks[0])
    began = time.monotonic()
    ranks[killed].kill()
    code, _, err = end_of(ranks[1 - killed])
    end_of(ranks[killed])
    assert code == 1 and time.monotonic() - began < 30, err
    said = [line for line in err.splitlines() if "train " not in line and "corpus" not in line]
    error = next(line for line in said if line.startswith("error: "))
    assert f"rank {1 - killed} of 2 has lost another process of this training" in error
    assert error.endswith(f"go on with --run-dir {run} --resume")
    assert "Traceback" not in err and said[-1] == error
    assert killed or said == [error], "rank 1 says nothing else"
    assert json.loads((run / "run.json").read_text())["state"] == ("failed" if killed else "running")
    assert not open_run(run).is_training


def test_torchrun_trains_says_all_once_and_ends_when_a_rank_is_killed(corpus: Path, tmp_path: Path) -> None:
    run, cache = tmp_path / "run", str(corpus.parent / "cache")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    variables = environment(MOTIONSYNTH_CACHE=cache)

    def start(*command: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*torchrun, *command], env=variables, stdout=pipe, stderr=pipe, text=True)

    agent = start(*train_command(corpus, run))
    wait_for(run / "checkpoints" / "5", agent)
    trainer = json.loads((run / "run.json").read_text())["pid"]
    workers = subprocess.run(["pgrep", "-P", str(agent.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(next(int(pid) for pid in workers if int(pid) != trainer), signal.SIGKILL)
    code, out, err = end_of(agent)
    # once, or not at all where torchrun ended rank 0 before it noticed, as on a busy machine
    lost = err.count("error: rank 0 of 2 has lost another process")
    assert code != 0 and out == "" and lost + (open_run(run).record.state != "failed") == 1

    code, out, err = end_of(start("motionsynth", "train", "vae", "--run-dir", str(run), "--resume", "--no-track"))
    assert code == 0, err
    assert out.strip() == str(run), "said once"
    record = open_run(run).record
    assert (record.state, record.step, record.ranks) == ("finished", 150, 2)
    assert len(list((run / "samples").glob("*.bvh"))) == 6
