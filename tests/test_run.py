"""A run directory: complete or absent, never overwritten, damage found, and good on another machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from motionsynth.errors import RunError
from motionsynth.families.ae import Autoencoder
from motionsynth.families.backbone import ConvConfig
from motionsynth.runs.begin import resolve_data
from motionsynth.runs.fit import train_run
from motionsynth.runs.run import Run, open_run
from motionsynth.runs.sampling import draw_samples
from tests.records import change_record
from tests.training.toy_family import make_config, make_run, make_windows

pytestmark = pytest.mark.usefixtures("toy_known")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path / "runs" / "toy", make_config(steps=8))
    train_run(run, make_windows())
    return run


def test_a_new_run_says_what_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path / "deep" / "run")
    names = {"run.json", "config.yaml", "normaliser.safetensors", "skeleton.bvh", "splits.json"}
    assert {path.name for path in run.path.iterdir()} == names
    assert [path.name for path in run.path.parent.iterdir()] == ["run"], "nothing temporary is left"
    record = json.loads((run.path / "run.json").read_text())
    assert (record["format"], record["family"], record["state"], record["corpus_fingerprint"]) == (
        2,
        "toy",
        "created",
        "toys",
    )
    again = open_run(run.path)
    assert again.record == run.record and again.config == run.config
    assert again.shape.labels == {"content": 1} and again.splits()["train"] == ["clip_000"]
    assert torch.equal(again.normaliser_tensors()["scale"], torch.ones(3))
    assert make_run(tmp_path / "other").record.tracking_id != run.record.tracking_id


def test_commands_that_train_nothing_read_clips_as_the_run_read_them(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert resolve_data(run.path) == run.data
    wider = run.data.window_frames * 2
    changed = resolve_data(run.path, overrides=[f"data.window_frames={wider}"])
    assert (changed.window_frames, changed.path) == (wider, run.data.path)
    other = resolve_data(tmp_path)
    assert other.path == tmp_path and other.window_frames == 64, "a folder that is no run is one of clips"


def test_a_directory_in_use_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, reason in (
        ("full", r"not empty; go on with it by --resume, or name another --run-dir"),
        ("file", r"no folder; name another --run-dir"),
    ):
        with pytest.raises(RunError, match=reason):
            make_run(tmp_path / name)
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "empty")


def test_a_run_that_cannot_be_completed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from motionsynth.runs import run as module

    def fail(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "write_synced", fail)
    with pytest.raises(RunError, match="No space left"):
        make_run(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_loads_its_average_and_its_weights(run: Run) -> None:
    again = open_run(run.path)
    assert (again.record.state, again.record.step, again.record.pid) == ("finished", 8, None)
    weights, averages = again.load_weights()
    for ema, expected in ((True, averages), (False, weights)):
        family = again.load_family(ema=ema)
        assert not family.training
        assert all(torch.equal(value, expected[name]) for name, value in family.state_dict().items())
    assert any(not torch.equal(weights[name], averages[name]) for name in weights)


def test_a_copy_elsewhere_generates_the_same(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "elsewhere")
    expected = draw_samples(run, 5, seed=2).motion_NTD
    shutil.rmtree(run.path)
    assert torch.equal(draw_samples(open_run(tmp_path / "elsewhere"), 5, seed=2).motion_NTD, expected)


@pytest.mark.parametrize("name", ["config.yaml", "normaliser.safetensors", "splits.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damage_is_found_and_named(run: Run, name: str, damage: str) -> None:
    path = run.path / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content if damage == "flip" else content[:-1])
    if damage == "gone":
        path.unlink()
    with pytest.raises(RunError) as caught:  # noqa: PT012 - whichever of these reads it
        again = open_run(run.path)
        again.load_family()
        again.normaliser_tensors()
        again.splits()
    assert caught.value.path.name == name


def test_intact_files_are_not_complained_of(run: Run) -> None:
    again = open_run(run.path)
    again.load_family()
    again.normaliser_tensors()
    again.splits()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.update(format=3), "format 3 is unknown to motionsynth"),
        (lambda record: record.pop("format"), "is damaged: not the JSON of a run"),
        (lambda record: record.pop("family"), "is damaged: family"),
        (lambda record: record.update(state="asleep"), "is damaged: state"),
    ],
)
def test_records_that_cannot_be_read_are_refused(run: Run, change: object, message: str) -> None:
    record = json.loads((run.path / "run.json").read_text())
    change(record)  # type: ignore[operator]
    (run.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=message):
        open_run(run.path)


def test_convolutions_that_learnt_with_zeros_beyond_the_ends_are_refused(tmp_path: Path) -> None:
    """Those of format 1 alone; what has no convolution is as good as ever."""
    ae = make_config().model_copy(update={"family": Autoencoder.Config(backbone=ConvConfig(widths=(4, 4)))})
    for config, refused in ((make_config(), False), (ae, True)):
        path = make_run(tmp_path / config.family.name, config).path
        open_run(path).build_family()
        change_record(path, format=1)
        if refused:
            with pytest.raises(RunError, match=r"convolutions learnt with zeros beyond the ends .* train it again"):
                open_run(path).build_family()
        else:
            open_run(path).build_family()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is not a run directory"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 1')
    with pytest.raises(RunError, match="not the JSON of a run"):
        open_run(tmp_path)


def test_a_run_without_weights_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="training has not finished; go on with train --resume"):
        make_run(tmp_path / "run").load_family()


def test_updates_keep_what_others_added(run: Run) -> None:
    run.update(study="mine")
    again = open_run(run.path)
    again.update(step=9)
    record = json.loads((run.path / "run.json").read_text())
    assert (record["study"], record["step"]) == ("mine", 9)


def test_two_trainings_cannot_share_a_directory(run: Run) -> None:
    script = (
        "import sys\n"
        "from motionsynth.errors import RunError\n"
        "from motionsynth.runs.run import open_run\n"
        "from tests.training.toy_family import register\n"
        "register()\n"
        "run = open_run(sys.argv[1])\n"
        "print(run.is_training)\n"
        "try:\n"
        "    with run.lock(): print('mine')\n"
        "except RunError as error: print(error)\n"
    )

    def other() -> list[str]:
        command = [sys.executable, "-c", script, str(run.path)]
        root = Path(__file__).resolve().parents[1]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=root).stdout.split(
            "\n"
        )

    with run.lock(), run.lock():  # nesting is fine
        assert run.is_training
        told = other()
    assert told[0] == "True" and told[1].endswith("is training in this directory")
    assert not run.is_training
    assert other()[:2] == ["False", "mine"]
