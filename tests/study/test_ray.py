"""Ray on this machine, and a cluster of two nodes on the loopback interface."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from motionsynth.errors import BvhError, MotionSynthError, WorkerDiedError
from motionsynth.runs.run import open_run
from motionsynth.study.cells import CellJob, run_cells
from motionsynth.study.engines import as_ended, engine_for
from motionsynth.study.load import load_study, plan_cells
from motionsynth.study.runner import batched
from motionsynth.walkers.corpus import make_walkers
from tests.hostile import fill_with_modules, modules_run
from tests.study.small import fit_judge
from tests.study.tasks import cells_at_once, die_at_two, node_of, square, train_until_stopped, unusable
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


STUDY = """\
name: seeds
question: Are cells of a batch those of single runs?
corpora:
  walkers: {data: {path: walkers, window_frames: 32, stride_frames: 16}}
base:
  train.steps: 4
  train.batch_size: 8
  train.validate_every_steps: 2
seeds: 2
arms:
  vae: {family: vae, set: {family.backbone: &small {kind: basis, components: 32, width: 8, layers: 1}}}
  gan: {family: gan, set: {family.backbone: *small}}
measure: {count: 32, metrics: [smoothness/speed_ratio, fidelity/frechet.pca], features: [pca], clips: 0}
"""


def test_seeds_as_one_batch_on_two_nodes_give_the_cells_of_single_runs_here(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path / "cache"))
    make_walkers(Path("walkers"), clips=60, seed=3)
    fit_judge(Path("walkers"))
    Path("seeds.yaml").write_text(STUDY)
    study = load_study("seeds.yaml")

    def jobs(place: str) -> list[CellJob]:
        folders = (tmp_path / place / "runs", tmp_path / place / "results")
        return [CellJob(study, cell, *folders, None, "cpu", False) for cell in plan_cells(study, Path("seeds.yaml"))]

    here = {job.cell.key: outcome for job in jobs("here") for outcome in run_cells([job])}
    batches = batched(jobs("there"), 2)
    assert [[job.cell.name for job in batch] for batch in batches] == [
        ["vae/walkers/0", "vae/walkers/1"],
        ["gan/walkers/0", "gan/walkers/1"],
    ]
    with engine_for("ray", address=cluster) as engine:
        ended = [future.result() for _, future in as_ended(engine, cells_at_once, batches)]
    assert len({node for node, _ in ended}) == 2, "each node has trained an arm"
    there = [outcome.result for _, outcomes in ended for outcome in outcomes]
    assert len(there) == 4
    for found in there:
        assert found is not None
        expected = here[found.key].result
        assert expected is not None and found.config == expected.config and found.steps == expected.steps == 4
        for view, figures in expected.views.items():
            assert found.views[view].figures == pytest.approx(figures.figures, rel=1e-3)
        at_once, alone = (open_run(tmp_path / place / "runs" / found.key) for place in ("there", "here"))
        for one, other in zip(at_once.load_weights(), alone.load_weights(), strict=True):
            learnt = [name for name in other if not name.startswith("latent_density")]
            assert all(torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6) for name in learnt)


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
