"""Ray on this machine, and a cluster of two nodes on the loopback interface."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from motionsynth.errors import BvhError, MotionSynthError
from motionsynth.study.engines import WorkerDiedError, as_ended, engine_for
from tests.hostile import fill_with_modules, modules_run
from tests.study.tasks import die_at_two, node_of, square, train_until_stopped, unusable
from tests.tracking.conftest import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # those of Ray are not ours

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a head with one processor and of a second node with another."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(REPOSITORY))  # where workers find the tests' functions
        small = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args=small)
        nodes.add_node(num_cpus=1, object_store_memory=100 << 20)
        try:
            yield nodes.address
        finally:
            nodes.shutdown()


def test_a_cluster_of_two_nodes_runs_on_both(cluster: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with engine_for("ray", address=cluster) as engine:
        assert engine.slots == 2
        found = {value: future.result() for value, future in as_ended(engine, node_of, range(6))}
        assert signal.getsignal(signal.SIGTERM) is before
    assert {folder for folder, _ in found.values()} == {str(Path.cwd())}
    assert len({node for _, node in found.values()}) == 2


def test_errors_and_deaths_arrive_as_from_other_engines(cluster: str) -> None:
    with engine_for("ray", address=cluster) as engine:
        ((_, future),) = as_ended(engine, unusable, [Path("walk.bvh")])
        error = future.exception()
        assert type(error) is BvhError and error.line == 7
        found = dict(as_ended(engine, die_at_two, range(4)))
    assert [value for value, ended in sorted(found.items()) if ended.exception()] == [2]
    with pytest.raises(WorkerDiedError, match="Ray lost the process"):
        found[2].result()


def test_leaving_by_an_error_lets_trainings_write_their_checkpoints(cluster: str, tmp_path: Path) -> None:
    engine = engine_for("ray", address=cluster)
    with suppress(KeyboardInterrupt), engine:
        engine.submit(train_until_stopped, tmp_path / "a")
        assert wait_for((tmp_path / "a.pid").exists, 30)
        raise KeyboardInterrupt
    assert (tmp_path / "a.saved").read_text() == "SIGINT"


def test_a_ray_of_its_own_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)
    fill_with_modules(tmp_path)  # none of which Ray's processes may import
    with engine_for("ray", jobs=2) as engine:
        assert engine.slots == 2
        assert {value: future.result() for value, future in as_ended(engine, square, range(4))} == {
            0: 0,
            1: 1,
            2: 4,
            3: 9,
        }
    assert not modules_run(tmp_path)


@pytest.mark.parametrize(("address", "message"), [("127.0.0.1:1", "no Ray answers there"), ("nowhere", "HOST:PORT")])
def test_an_address_where_no_ray_answers_is_told(address: str, message: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(MotionSynthError, match=message), engine_for("ray", address=address):
        pass
