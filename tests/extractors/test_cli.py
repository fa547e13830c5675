"""``motionsynth extractor`` as its user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from motionsynth.cli.app import run as run_app
from motionsynth.extractors.recipe import STEPS
from motionsynth.extractors.store import load_extractor, save_extractor
from tests.extractors.corpora import walkers_corpus, walkers_extractor


class Result(NamedTuple):
    code: int
    out: str
    err: str


Invoke = Callable[..., Result]

WINDOWS = ("--set", "data.window_frames=32", "--set", "data.stride_frames=16")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    """Run ``motionsynth extractor ARGUMENTS`` in this process; networks learn for two steps."""
    for name in list(STEPS):
        monkeypatch.setitem(STEPS, name, 2)
    monkeypatch.setenv("MOTIONSYNTH_CACHE", str(tmp_path / "cache"))

    def call(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["motionsynth", "extractor", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            run_app()
        out, err = capsys.readouterr()
        return Result(left.value.code if isinstance(left.value.code, int) else 1, out, err)

    return call


def test_train_writes_a_folder_that_show_shows(invoke: Invoke, tmp_path: Path) -> None:
    corpus, out = walkers_corpus(), tmp_path / "extractor"
    trained = invoke("train", corpus.config.path, "--out", out, *WINDOWS)
    assert trained.code == 0, trained.err
    assert load_extractor(out).fingerprint == corpus.fingerprint
    assert "extractor 4/4 steps" in trained.err
    shown = invoke("show", out)
    assert shown.code == 0
    assert trained.out == f"{out}\n{shown.out}"
    for text in (corpus.fingerprint, "32 frames at 30 a second", "pca, kinetic, classifier, autoencoder", "test"):
        assert text in shown.out
    listed = invoke("show", out, "--cells").out.splitlines()
    assert listed[-len(load_extractor(out).cell_names) :] == list(load_extractor(out).cell_names)


def test_without_a_folder_it_goes_to_the_cache(invoke: Invoke, tmp_path: Path) -> None:
    trained = invoke("train", walkers_corpus().config.path, *WINDOWS)
    assert trained.code == 0, trained.err
    (kept,) = (tmp_path / "cache" / "extractors").iterdir()
    again = invoke("train", walkers_corpus().config.path, *WINDOWS)
    assert again.out == trained.out == invoke("show", kept).out
    assert "steps" not in again.err


def test_a_yaml_of_the_data_section_will_do(invoke: Invoke, tmp_path: Path) -> None:
    settings = tmp_path / "walkers.yaml"
    settings.write_text("path: nowhere\nlabels: none\nwindow_frames: 32\nstride_frames: 16\n")
    out = tmp_path / "extractor"
    trained = invoke(
        "train", walkers_corpus().config.path, "--data", settings, "--out", out, "--no-networks", "--seed", 5
    )
    assert trained.code == 0, trained.err
    assert load_extractor(out).fingerprint == walkers_corpus("none").fingerprint
    assert load_extractor(out).seed == 5 and load_extractor(out).spaces == ("pca", "kinetic")
    assert "told by k-means" in trained.out


def test_what_is_wrong_is_told_in_one_line(invoke: Invoke, tmp_path: Path) -> None:
    corpus = walkers_corpus().config.path
    save_extractor(walkers_extractor(), tmp_path / "extractor")
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        (("train",), "CORPUS: is missing"),
        (("train", tmp_path / "absent"), "absent"),
        (("train", tmp_path / "empty"), "empty"),
        (("train", corpus, "--out", tmp_path / "extractor"), "is there already"),
        (("train", corpus, "--set", "train.steps=3"), "is not of the data section"),
        (("train", corpus, "--set", "data.window=3"), "did you mean window_frames"),
        (("train", corpus, "--seed", 3), "--out"),
        (("train", corpus, "--device", "gpu"), "is not auto, cpu or cuda"),
        (("train", corpus, "--set", "data.window_frames=4000"), "has 0 training windows of 4000 frames"),
        (("show", tmp_path / "absent"), "has no extractor.json"),
    ):
        result = invoke(*arguments)
        assert result.code == 2, (arguments, result)
        assert message in result.err
        assert "Traceback" not in result.err
    assert not (tmp_path / "cache" / "extractors").exists()


@pytest.mark.parametrize("command", ["train", "show"])
def test_help_has_an_example(invoke: Invoke, command: str) -> None:
    result = invoke(command, "--help")
    assert result.code == 0 and "Example" in result.out
