"""What cannot be compared, and how it is said."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motionsynth import evaluate
from motionsynth.errors import ConfigError, CorpusError, ExtractorError, MotionSynthError, RunError
from motionsynth.evaluation.scores import Scores
from motionsynth.motion.bvh import write_bvh
from motionsynth.motion.clip import Clip
from tests.corpus.folders import clip_of
from tests.evaluation import worlds
from tests.records import change_record


@pytest.fixture
def score(tmp_path: Path) -> Any:
    def call(generated: Path, **options: Any) -> Scores:
        settings: dict[str, Any] = {
            "reference": worlds.data_yaml(),
            "metrics": ["speed_ratio", "log_spectral_distance", "kid"],
            "extractor": worlds.extractor(),
            "resamples": 0,
            "device": "cpu",
            "out": tmp_path / "out",
        }
        return evaluate(generated, **{**settings, **options})

    return call


def nothing_written(tmp_path: Path) -> bool:
    return not (tmp_path / "out").exists()


def test_too_few_windows_for_a_metric(score: Any, tmp_path: Path) -> None:
    folder = worlds.real_files(tmp_path / "clips", 1)
    scores = score(folder, metrics=["recall", "speed_ratio"], features=["pca"])
    count = scores.generated.windows
    note = scores.figures["modes/recall.pca"].note
    assert re.fullmatch(rf"needs \d+ windows, has {count} \(generated\)", note)
    assert scores.figures["smoothness/speed_ratio"].value is not None


def test_real_clips_beside_the_samples_of_a_run_are_not_judged(score: Any) -> None:
    samples = worlds.run_dir() / "samples"
    scores = score(samples, metrics=["speed_ratio"])
    assert scores.generated.takes == len(list(samples.glob("*.bvh"))) == 6
    assert f"the 6 real clips in {samples / 'real'} are left out" in " ".join(scores.notes)


def test_one_window_is_nothing_to_compare(score: Any, tmp_path: Path) -> None:
    folder = worlds.real_files(tmp_path / "clips", 1, lambda clip: clip[: worlds.FRAMES])
    with pytest.raises(CorpusError, match=r"the generated set holds 1 windows of 32 frames: at least 2 are needed"):
        score(folder)
    assert nothing_written(tmp_path)


def test_short_files_are_left_out_and_said(score: Any, tmp_path: Path) -> None:
    folder = worlds.real_files(tmp_path / "clips", 6)
    short = worlds.real_files(tmp_path / "short", 1, lambda clip: clip[:20])
    (name,) = (path.name for path in short.iterdir())
    shutil.copy(short / name, folder / f"a_{name}")
    notes = score(folder).notes
    assert f"1 of 7 files are shorter than a window of 32 frames and left out: a_{name}" in notes
    with pytest.raises(
        CorpusError, match="none of its 1 files is as long as a window of 32 frames; the longest has 20"
    ):
        score(short)


def test_another_skeleton_is_refused_by_its_file(score: Any, tmp_path: Path) -> None:
    folder = worlds.real_files(tmp_path / "clips", 3)
    write_bvh(clip_of(0, 40), folder / "stranger.bvh")
    with pytest.raises(CorpusError, match=r"clips/stranger\.bvh: "):
        score(folder)
    assert nothing_written(tmp_path)


def test_a_file_with_nan_is_named(score: Any, tmp_path: Path) -> None:
    folder = worlds.real_files(tmp_path / "clips", 3)
    path = sorted(folder.iterdir())[1]
    lines = path.read_text().splitlines()
    lines[-3] = re.sub(r"\S+", "nan", lines[-3], count=1)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorpusError, match=rf"{re.escape(path.name)}:{len(lines) - 2}: .*nan"):
        score(folder)
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(("rate", "nyquist_hz"), [(60.0, 15.0), (20.0, 10.0)])
def test_other_frame_rates_are_resampled_and_said(score: Any, tmp_path: Path, rate: float, nyquist_hz: float) -> None:
    folder = worlds.real_files(tmp_path / "clips", 8, worlds.at_rate(rate))
    scores = score(folder)
    resampled = [note for note in scores.notes if "are resampled to 30" in note]
    assert len(resampled) == 1 and f"have {rate:g} frames a second" in resampled[0]
    assert ("nothing is compared above 10 Hz, which is all that 20 frames a second hold" in scores.notes) == (rate < 30)
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["nyquist_hz"] == nyquist_hz


def test_a_reference_of_a_lower_rate_limits_the_frequencies(tmp_path: Path) -> None:
    from motionsynth.comparison.reference import Reference
    from motionsynth.corpus.config import DataConfig
    from motionsynth.corpus.corpus import open_corpus

    folder = worlds.real_files(tmp_path / "slow", 12, worlds.at_rate(20.0))
    slow = open_corpus(DataConfig(path=folder, labels="none", window_frames=32), cache=tmp_path / "cache", workers=1)
    motions = Reference(slow, "test").motions("test")
    assert motions.nyquist_hz == pytest.approx(10.0)
    assert "nothing is compared above 10 Hz" in motions.notes[-1]
    assert Reference(worlds.corpus(), "test").motions("test").nyquist_hz == 15.0  # negative control


def test_unequal_sets_are_subsampled_and_said(score: Any, tmp_path: Path) -> None:
    scores = score(worlds.generated(), seed=5)
    assert scores.generated.windows == scores.reference.windows == scores.real.windows == 24
    assert any(
        re.fullmatch(r"\d+ reference windows are subsampled to 24 \(seed 5\), as many as the generated set holds", note)
        for note in scores.notes
    )


def still(clip: Clip) -> Clip:
    """Its first pose, held."""
    return replace(
        clip, angles=clip.angles[:1].repeat(len(clip), 0), translations=clip.translations[:1].repeat(len(clip), 0)
    )


def test_a_constant_set_gives_values_or_reasons_and_no_nan(score: Any, tmp_path: Path) -> None:
    one = worlds.real_files(tmp_path / "one", 1, still)
    (path,) = one.iterdir()
    for number in range(30):
        shutil.copy(path, one / f"copy_{number}.bvh")
    scores = score(one, metrics=None, all_figures=True, resamples=2)
    text = (tmp_path / "out" / "scores.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    for figure in scores.figures.values():
        assert (figure.value is None) == (
            figure.note is not None and not figure.note.startswith(("no interval", "undef"))
        )
    assert len(scores.values) > 20
    assert scores.values["smoothness/speed_ratio"] < 0.1


def test_an_extractor_of_other_windows_is_refused(tmp_path: Path, score: Any) -> None:
    longer = tmp_path / "longer.yaml"
    longer.write_text(f"path: {worlds.corpus().config.path}\nwindow_frames: 40\nstride_frames: 16\n")
    folder = worlds.real_files(tmp_path / "clips", 4)
    with pytest.raises(ExtractorError, match=r"does not fit the extractor .*: its windows have 40 frames, not 32"):
        score(folder, reference=longer)
    with pytest.raises(ExtractorError, match="is no extractor"):
        score(folder, extractor=tmp_path)
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("generated", "reference", "message"),
    [
        ("{none}", None, "no such run directory or folder"),
        ("{clips}", None, "--reference is missing: a folder of clips has no splits"),
        ("{clips}", "test", "--reference test: a folder of clips has no splits"),
        (
            "{clips}",
            "{none}:validation",
            "no such file or folder; it is test, validation, train, or a path with :SPLIT",
        ),
        ("{empty}", "{yaml}", "holds no BVH or AMC file"),
    ],
)
def test_wrong_places(score: Any, tmp_path: Path, generated: str, reference: str | None, message: str) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "none": tmp_path / "none",
        "clips": worlds.generated(),
        "empty": tmp_path / "empty",
        "yaml": worlds.data_yaml(),
    }
    words = reference and reference.format(**places)
    with pytest.raises(MotionSynthError, match=re.escape(message)):
        score(Path(generated.format(**places)), reference=words)
    assert nothing_written(tmp_path)


def test_a_corpus_that_has_changed_is_refused_unless_it_is_named(tmp_path: Path, score: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(worlds.run_dir(), run)
    change_record(run, corpus_fingerprint="0" * 64)
    with pytest.raises(RunError, match="are not those that it learnt from"):
        score(run, reference="test")
    assert score(run, metrics=["speed_ratio"], count=8).values


def test_a_run_that_has_not_finished_is_refused(tmp_path: Path, score: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(worlds.run_dir(), run)
    (run / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="training has not finished"):
        score(run, reference="test")


def test_what_cannot_be_used_is_told_before_anything_is_read(score: Any, tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "file").touch()
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"out": tmp_path / "file"}, NotADirectoryError),
        ({"out": tmp_path / "file/below"}, NotADirectoryError),
        ({"calibration": tmp_path / "none.json"}, ConfigError),
        ({"extractor": tmp_path / "none"}, ExtractorError),
        ({"metrics": []}, ConfigError),
        ({"features": []}, ConfigError),
    ]
    for options, error in wrong:
        with pytest.raises(error):
            score(worlds.generated(), progress=lambda stage, *_: told.append(stage), **options)
    assert not told and nothing_written(tmp_path)
    score(worlds.generated(), metrics=["speed_ratio"], progress=lambda stage, *_: told.append(stage))
    assert told


def test_real_motion_against_itself_is_said(score: Any) -> None:
    words = "the generated files lie in the folder of the real motion"
    assert any(words in note for note in score(worlds.corpus().config.path, metrics=["speed_ratio"], count=8).notes)
    assert not any(words in note for note in score(worlds.generated(), metrics=["speed_ratio"]).notes)


def test_training_motion_as_the_reference_is_not_called_held_out(score: Any, tmp_path: Path) -> None:
    words = "the reference is the training split: nothing is held out"
    for split, held in (("train", False), ("test", True)):
        scores = score(worlds.generated(), metrics=["speed_ratio"], reference=f"{worlds.data_yaml()}:{split}")
        assert any(words in note for note in scores.notes) != held
        page = (tmp_path / "out/report.html").read_text()
        assert (f"of walkers:{split}, held out (" in page) == held
