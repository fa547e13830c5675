"""Evaluations from their inputs to ``scores.json``."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from motionsynth import evaluate, open_run
from motionsynth.comparison.compared import Compared
from motionsynth.comparison.motions import run_motions
from motionsynth.comparison.reference import open_reference
from motionsynth.config import resolve_config
from motionsynth.corpus.corpus import open_corpus
from motionsynth.errors import ConfigError, MotionSynthError
from motionsynth.evaluation.scores import Scores
from motionsynth.extractors.store import load_extractor
from motionsynth.metrics.registry import choose
from motionsynth.runs.begin import begin
from tests.evaluation import worlds


def score(generated: Path, **options: Any) -> Scores:
    settings: dict[str, Any] = {"metrics": worlds.FEW, "extractor": worlds.extractor(), "resamples": 0, "device": "cpu"}
    return evaluate(generated, **{**settings, **options})


@pytest.fixture(scope="module")
def of_run(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    folder = tmp_path_factory.mktemp("scores")
    return score(worlds.run_dir(), count=24, resamples=8, out=folder)


def test_the_file_says_all_that_is_needed_to_read_a_figure(of_run: Scores) -> None:
    assert of_run.folder is not None
    document = json.loads((of_run.folder / "scores.json").read_text())
    assert document["format"] == 1
    assert document["generated"]["kind"] == "run" and document["generated"]["windows"] == 24
    assert document["generated"]["family"] == "vae" and document["generated"]["step"] == 6
    assert document["reference"]["fingerprint"] == worlds.corpus().fingerprint
    assert document["reference"]["split"] == "test" and document["reference"]["windows"] == 24
    assert (document["seed"], document["resamples"], document["level"]) == (0, 8, 0.95)
    assert (document["frames"], document["frame_rate"], document["nyquist_hz"]) == (32, 30.0, 15.0)
    assert document["extractor"]["fingerprint"] == worlds.corpus().fingerprint
    figure = document["figures"]["smoothness/speed_ratio"]
    assert figure["value"] == of_run.values["smoothness/speed_ratio"]
    assert figure["low"] < figure["high"] and figure["low"] < figure["real"]["value"] * 100
    assert (figure["unit"], figure["better"], figure["ideal"], figure["space"]) == ("1", "match", 1.0, None)
    assert set(document["figures"]) == {
        "smoothness/speed_ratio",
        "smoothness/energy_above_3hz",
        *(
            f"{name}.{space}"
            for name in ("fidelity/sliced_wasserstein", "modes/recall")
            for space in ("pca", "kinetic")
        ),
    }
    assert (of_run.folder / "report.html").stat().st_size > 10_000


def test_a_run_that_learnt_from_denser_windows_has_the_judge_of_the_others(tmp_path: Path) -> None:
    dense = tmp_path / "dense.yaml"
    dense.write_text(worlds.data_yaml().read_text().replace("stride_frames: 16", "stride_frames: 1"))
    config = resolve_config("vae", data=dense, overrides=worlds.SMALL)
    run, _ = begin(config, run_dir=tmp_path / "run")
    fresh = open_corpus(config.data.model_copy(update={"stride_frames": 4}))
    for held in (open_reference("test", run), open_reference(f"{dense}:test", run), open_reference(str(dense), None)):
        assert held.corpus.fingerprint == fresh.fingerprint != run.record.corpus_fingerprint
        assert held.corpus.windows("test").row_N.equal(fresh.windows("test").row_N)
        assert held.corpus.normaliser.mean_D.equal(fresh.normaliser.mean_D)
    wider = open_reference("test", open_run(worlds.run_dir())).corpus
    assert wider.config.stride_frames == 16 and wider.fingerprint == worlds.corpus().fingerprint


def test_every_figure_stands_beside_the_real_row(of_run: Scores) -> None:
    assert set(of_run.real_figures) == set(of_run.figures)
    for name in ("fidelity/sliced_wasserstein.pca", "fidelity/sliced_wasserstein.kinetic"):
        generated, real = of_run.figures[name].value, of_run.real_figures[name].value
        assert generated is not None and real is not None and generated > real
    real = of_run.real_figures["smoothness/speed_ratio"].value
    assert real is not None and 0.5 < real < 2.0


def test_the_same_words_give_the_same_figures(of_run: Scores, tmp_path: Path) -> None:
    again = score(worlds.run_dir(), count=24, resamples=8, out=tmp_path)
    assert again.figures == of_run.figures and again.real_figures == of_run.real_figures
    other = score(worlds.run_dir(), count=24, resamples=8, out=tmp_path, seed=1)
    assert other.values != of_run.values


def test_a_run_and_its_exported_clips_get_the_same_figures(of_run: Scores, tmp_path: Path) -> None:
    scores = score(worlds.generated(), reference=worlds.data_yaml(), out=tmp_path, count=24)
    assert scores.generated.about["kind"] == "folder"
    assert scores.generated.takes == 24
    for key, value in of_run.values.items():
        assert scores.values[key] == pytest.approx(value, rel=2e-3, abs=2e-3), key
    assert (
        scores.real_figures["fidelity/sliced_wasserstein.pca"].value
        == of_run.real_figures["fidelity/sliced_wasserstein.pca"].value
    )


def test_held_out_clips_as_a_folder_look_real_and_copies_of_training_do_not_hide(tmp_path: Path) -> None:
    real = worlds.real_files(tmp_path / "real", 12)
    scores = score(real, reference=f"{worlds.data_yaml()}:validation", out=tmp_path / "out", count=64)
    ratio = scores.values["smoothness/speed_ratio"]
    assert 0.5 < ratio < 2.0


@pytest.mark.parametrize(
    ("words", "name"),
    [("validation", "walkers:validation"), ("{yaml}:validation", "walkers:validation"), ("{run}", "walkers:test")],
)
def test_references_by_their_names(words: str, name: str, tmp_path: Path) -> None:
    text = words.format(yaml=worlds.data_yaml(), run=worlds.run_dir())
    scores = score(worlds.run_dir(), reference=text, count=8, metrics=["speed_ratio"], out=tmp_path)
    assert scores.reference.name == name


def test_a_name_that_says_nothing_has_that_of_its_parent_before_it(tmp_path: Path) -> None:
    from motionsynth.comparison.reference import open_reference, readable_name

    (tmp_path / "bandai.yaml").write_text(f"path: {worlds.corpus().config.path}\n")
    assert open_reference(f"{tmp_path / 'bandai.yaml'}:validation", None).name == "bandai"
    assert readable_name(Path("/captures/bandai/data")) == "bandai/data"
    assert readable_name(Path("/captures/walkers-2.0")) == "walkers-2.0"
    assert readable_name(Path("/data")) == "data"
    (tmp_path / "walk.bvh").touch()
    assert readable_name(tmp_path / "walk.bvh") == "walk"


def test_a_folder_s_outcome_goes_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scores = score(worlds.generated(), reference=worlds.data_yaml(), metrics=["speed_ratio"], count=8)
    assert scores.folder == Path("evaluation/clips") and (tmp_path / "evaluation/clips/scores.json").is_file()


def test_likelihood_is_that_of_held_out_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    from motionsynth.runs.run import Run

    class Normal(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def project(self, batch: Any) -> Any:
            return batch

        def log_density(self, batch: Any) -> torch.Tensor:
            x = batch.motion_BTD.double().flatten(1)
            return -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)

    run = open_run(worlds.run_dir())  # which may be trained here, and so before the patch
    monkeypatch.setattr(Run, "load_family", lambda self, device="cpu", ema=True: Normal())
    from motionsynth.comparison.compared import Compared
    from motionsynth.comparison.likelihood import log_density_figures
    from motionsynth.comparison.reference import open_reference

    held = open_reference("test", run)
    compared = Compared.of(held.motions("validation"), held, count=16, seed=0)
    held_out, learnt = log_density_figures(
        run, compared.reference, compared.real, wanted={"log_density"}, resamples=20, seed=0, device="cpu"
    )
    key = "memorisation/log_density"
    assert list(held_out) == list(learnt) == [key]
    figure, real = held_out[key], learnt[key]
    x = run.normaliser().normalise(compared.reference.features_NTD).double()
    assert figure.value == pytest.approx(float(-0.5 * (x.square() + math.log(2 * math.pi)).mean()))
    assert figure.low is not None and figure.high is not None and figure.low < figure.value < figure.high
    assert real.value is not None and real.value != figure.value


def test_a_family_without_density_says_so(tmp_path: Path) -> None:
    scores = score(worlds.run_dir(), metrics=["log_density"], count=8, out=tmp_path)
    note = scores.figures["memorisation/log_density"].note
    assert note == "vae has a density that can only be bounded: see log_density_bound"
    scores = score(worlds.generated(), reference=worlds.data_yaml(), metrics=["log_density"], count=8, out=tmp_path)
    assert "only a run has a model" in (scores.figures["memorisation/log_density"].note or "")


def test_a_density_that_has_no_closed_form_is_bounded_and_called_a_bound(tmp_path: Path) -> None:
    key = "memorisation/log_density_bound"
    scores = [score(worlds.run_dir(), metrics=[key], count=16, out=tmp_path, seed=0) for _ in range(2)]
    figure, real = scores[0].figures[key], scores[0].real_figures[key]
    assert figure.value is not None and math.isfinite(figure.value) and figure.note is None
    assert real.value is not None and real.value != figure.value
    assert scores[1].figures[key] == figure
    assert list(scores[0].figures) == [key], "nothing that was not asked for"


def test_what_asks_for_copies_is_held_against_the_other_held_out_split(tmp_path: Path) -> None:
    scores = score(worlds.run_dir(), metrics=["memorisation"], count=24, out=tmp_path)
    assert scores.train == len(worlds.corpus().windows("train"))
    ratios = [figure for key, figure in scores.real_figures.items() if "ratio" in key]
    assert ratios and all(figure.value is not None and figure.value > 0.5 for figure in ratios)


def test_scores_are_written_whole_or_not_at_all(of_run: Scores, tmp_path: Path) -> None:
    from dataclasses import replace

    broken = replace(of_run, facts={"nyquist_hz": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert of_run.save(tmp_path).is_file()  # negative control


def test_misspelt_words_are_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean recall"):
        score(worlds.run_dir(), metrics=["recal"], out=tmp_path)
    with pytest.raises(ConfigError, match="did you mean kinetic"):
        score(worlds.run_dir(), features=["kinetik"], out=tmp_path)
    with pytest.raises(ConfigError, match="no feature space 'classifier'"):  # the extractor has no networks
        score(worlds.run_dir(), features=["classifier"], out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def calibration(folder: Path, **changes: Any) -> Path:
    """Made-up curves on which the energy above 3 Hz is a valid measure of blur."""
    from dataclasses import replace

    from motionsynth.calibration.record import save_calibration
    from motionsynth.extractors.store import load_extractor
    from tests.calibration.test_reading import make_calibration

    judge = load_extractor(worlds.extractor()).identity
    fits = {"corpus": worlds.corpus().fingerprint, "extractor": judge, "count": 24}
    made = replace(make_calibration(), **{**fits, **changes})
    save_calibration(made, folder / "calibration.json")
    path = folder / "calibration.json"
    path.write_text(path.read_text().replace("modes/sharp", "smoothness/energy_above_3hz"))
    return path


def test_figures_are_read_as_doses_on_the_curves_of_a_calibration(tmp_path: Path) -> None:
    path = calibration(tmp_path)
    scores = score(worlds.run_dir(), count=24, metrics=["energy_above_3hz"], calibration=path, out=tmp_path / "out")
    speaking = {reading.axis: reading for reading in scores.readings if reading.headline}
    assert speaking["jitter"].sentence == "outside the range: blur"
    headlines = scores.headlines
    assert [reading.axis for reading in headlines] == ["blur"]  # which says it already, and how much
    assert headlines[0].key == "smoothness/energy_above_3hz"
    document = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert document["headlines"] == list(scores.sentences)
    assert all("opposite" not in reading for reading in document["readings"]), "the format of the file is as it was"
    assert scores.sentences[0].startswith(headlines[0].sentence)
    assert len(document["readings"]) == len(scores.readings)
    assert headlines[0].sentence[1:] in (tmp_path / "out" / "report.html").read_text()
    assert not any("calibration.json" in note for note in scores.notes)


def test_curves_of_something_else_are_refused_and_of_another_count_said(tmp_path: Path) -> None:
    options: dict[str, Any] = {"count": 24, "metrics": ["energy_above_3hz"], "out": tmp_path / "out"}
    for changes in ({"corpus": "0" * 64}, {"extractor": "0" * 64}):
        with pytest.raises(ConfigError, match=r"calibration\.json: (corpus|extractor): was made with another one"):
            score(worlds.run_dir(), calibration=calibration(tmp_path, **changes), **options)
    assert not (tmp_path / "out").exists()
    scores = score(worlds.run_dir(), calibration=calibration(tmp_path, count=1024), **options)
    assert "was made with 1024 windows a set, here are 24" in scores.notes[-1]


def test_a_report_for_publication_plays_no_licensed_clip(tmp_path: Path) -> None:
    sizes: list[int] = []
    for real_clips in (True, False):
        score(worlds.run_dir(), count=8, metrics=["speed_ratio"], real_clips=real_clips, out=tmp_path)
        page = (tmp_path / "report.html").read_text()
        assert ("real clips are left out of this page" in page) != real_clips
        sizes.append(len(page))
    assert sizes[1] < sizes[0]


def test_figures_of_each_class_stand_beside_the_whole(tmp_path: Path) -> None:
    metrics = ("speed_ratio", "sliced_wasserstein", "log_density_bound")
    scores = score(worlds.run_dir(), metrics=metrics, features=["pca"], count=64, by="content", out=tmp_path)
    groups = scores.groups
    assert groups is not None and groups.label == "content"
    corpus = worlds.corpus()
    known = {corpus.labels.clips[file].classes["content"] for file in corpus.clips("test")}
    assert set(groups.classes) <= known and len(groups.classes) > 2
    assert all(any(name in note for note in scores.notes) for name in known - set(groups.classes)), "none is lost"
    assert sum(group.windows for group in groups.classes.values()) == scores.reference.windows
    # one class by hand: all generated windows, and training windows, against its windows alone
    run, name = open_run(worlds.run_dir()), sorted(groups.classes)[0]
    held = open_reference("test", run)
    compared = Compared.of(run_motions(run, 64, 0), held, count=64, seed=0)
    own = [corpus.labels.clips[take].classes["content"] == name for take in compared.reference.takes]
    assert groups.classes[name].windows == sum(own) < len(own)
    alone = replace(compared, reference=compared.reference.subset(torch.tensor(own).nonzero()[:, 0]))
    chosen = choose(metrics[:2], ["pca"], ["pca"])
    figures, real = alone.described(load_extractor(worlds.extractor()), chosen, "cpu", lambda *_: None).score(
        chosen, 0, 0, lambda *_: None
    )
    for found, expected in ((groups.classes[name].figures, figures), (groups.classes[name].real_figures, real)):
        assert {key: figure.value for key, figure in found.items()} == pytest.approx(
            {key: figure.value for key, figure in expected.items()}
        )
    assert figures["smoothness/speed_ratio"].value != scores.figures["smoothness/speed_ratio"].value
    document = json.loads((tmp_path / "scores.json").read_text())
    assert document["by"] == "content" and set(document["groups"]) == set(groups.classes)
    kept = document["groups"][name]["figures"]["smoothness/speed_ratio"]
    assert kept["value"] == groups.classes[name].figures["smoothness/speed_ratio"].value and kept["real"]["value"]
    assert "By content" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_without_a_label_the_whole_stands_alone(of_run: Scores) -> None:
    assert of_run.groups is None and of_run.folder is not None
    assert json.loads((of_run.folder / "scores.json").read_text())["groups"] == {}
    assert "By content" not in (of_run.folder / "report.html").read_text(encoding="utf-8")


def test_a_label_that_the_corpus_has_not_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(MotionSynthError, match=r"--by contant: unknown label 'contant', did you mean content\?"):
        score(worlds.run_dir(), by="contant", out=tmp_path)
    assert list(tmp_path.iterdir()) == []
