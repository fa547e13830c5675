"""Motion brought to another style: by maps whose effect is known, by a window looked up, and not at all."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from motionsynth.comparison.reference import Reference
from motionsynth.config import resolve_config
from motionsynth.errors import RunError, StudyError
from motionsynth.runs.run import Run
from motionsynth.runs.train import train as train_run
from motionsynth.study import translation as instrument
from motionsynth.study.domains import domains, matched
from motionsynth.study.plan import ArmConfig, MeasureConfig, ViewConfig
from motionsynth.study.translation import Translator, brought_clips, translation, translation_keys
from motionsynth.study.world import Found, Shown, World
from tests.extractors.corpora import walkers_corpus, walkers_extractor

ENDS = ("elderly", "normal")
SMALL = ("train.batch_size=8", "train.threads=1", "data.window_frames=32", "data.stride_frames=16")


@lru_cache(maxsize=1)
def world() -> World:
    measure = MeasureConfig(instruments=("translation",), between={"style": ENDS})
    return World(Reference(walkers_corpus(), "test"), walkers_extractor(), None, measure)


def train(folder: Path, family: str, *overrides: str) -> Run:
    data = walkers_corpus().config.path
    config = resolve_config(family, data=data, overrides=(*SMALL, "train.steps=2", *overrides))
    return train_run(config, run_dir=folder, track=False).run


@pytest.fixture(scope="module")
def cyclegan(tmp_path_factory: pytest.TempPathFactory) -> Run:
    keep = "data.keep={style: [elderly, normal]}"
    small = ("family.backbone={kind: conv, widths: [8, 8]}", "family.critic.widths=[8,8]", "family.translator.width=8")
    return train(tmp_path_factory.mktemp("runs") / "cyclegan", "cyclegan", keep, *small)


@pytest.fixture(scope="module")
def cvae(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained on all styles, and told content too."""
    small = (
        "family.condition=[style,content]",
        "family.backbone={kind: conv, widths: [8,8,8,8]}",
        "family.latent_dim=4",
    )
    return train(tmp_path_factory.mktemp("runs") / "cvae", "vae", *small)


def measured(run: Run | None = None, landmark: str = "real") -> Found:
    arm = ArmConfig(family=run.record.family) if run else ArmConfig(landmark=landmark)  # type: ignore[arg-type]
    return translation(world(), Shown(arm, ViewConfig(), 0, domains(world())[0].held, run))


class Map(nn.Module):
    """A translator that does something known to each window."""

    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def forward(self, motion_BTD, mask_BT, side_BS=None):
        return self.change(motion_BTD)


def mean_of_neighbours(motion_BTD):
    early, late = motion_BTD.roll(1, 1), motion_BTD.roll(-1, 1)
    early[:, 0], late[:, -1] = motion_BTD[:, 0], motion_BTD[:, -1]
    return (early + motion_BTD + late) / 3


def noise(motion_BTD):
    return motion_BTD + 0.2 * torch.randn(motion_BTD.shape, generator=torch.Generator().manual_seed(0))


def brought_by(run: Run, monkeypatch: pytest.MonkeyPatch, change) -> Found:
    family = run.load_family()
    family.to_a = family.to_b = Map(change)
    monkeypatch.setattr(run, "load_family", lambda: family)
    return measured(run)


def test_both_classes_hold_the_same_contents():
    first, second = domains(world())
    assert (first.name, second.name) == ENDS
    assert torch.equal(first.held.labels["content"], second.held.labels["content"])
    styles = [world().reference.corpus.label_names["style"].index(name) for name in ENDS]
    assert [set(domain.held.labels["style"].tolist()) for domain in (first, second)] == [{styles[0]}, {styles[1]}]
    assert not set(walkers_corpus().clips("train")) & {take for domain in (first, second) for take in domain.held.takes}


def test_matched_takes_what_the_smaller_has_and_never_more_than_asked_for():
    contents = [torch.tensor([0, 0, 0, 1, 2]), torch.tensor([1, 0, 1, 0, 3])]
    ours, theirs = matched(contents, 99, 0)
    assert contents[0][ours].tolist() == contents[1][theirs].tolist() == [0, 0, 1]
    fewer = matched(contents, 2, 0)
    assert [len(index_N) for index_N in fewer] == [2, 2]
    assert contents[0][fewer[0]].tolist() == contents[1][fewer[1]].tolist()


def test_what_is_left_as_it_is_has_not_changed_and_differs_as_styles_do():
    found = measured()
    assert found["translation/moved"] == 0
    assert found["translation/energy_above_5hz_change"] == found["translation/jerk_change"] == 0
    assert found["translation/style_seen"] == found["translation/style_before"] < found["translation/style_real"]
    assert found["translation/content_kept"] == found["translation/content_before"]
    there, back = (found[f"translation.to_{name}/energy_above_5hz_against_target"] for name in ENDS)
    assert there == pytest.approx(-back, abs=1e-9)
    assert abs(there) > 0.1
    assert "translation/cycle" not in found


def test_the_nearest_window_is_a_training_window_of_the_other_style():
    found = measured(landmark="nearest_other")
    assert found["translation/moved"] == pytest.approx(found["translation/apart"], rel=1e-3)
    assert found["translation/style_seen"] > measured()["translation/style_seen"] + 0.3
    source, target = domains(world())
    shown = Shown(ArmConfig(landmark="nearest_other"), ViewConfig(), 0, source.held, None)
    there = instrument._brought(world(), shown, None, source, target).there
    answer_NX = walkers_corpus().normaliser.normalise(there.features_NTD).flatten(1)
    before_NX = walkers_corpus().normaliser.normalise(source.held.features_NTD).flatten(1)
    assert torch.cdist(answer_NX, target.train_NX).amin(1).max() < 0.05
    nearest_N = torch.cdist(before_NX, target.train_NX).amin(1)
    torch.testing.assert_close((answer_NX - before_NX).norm(dim=1), nearest_N, rtol=1e-3, atol=1e-3)


def test_the_identity_changes_nothing(cyclegan, monkeypatch):
    found = brought_by(cyclegan, monkeypatch, lambda motion_BTD: motion_BTD)
    for key in ("moved", "cycle", "energy_above_5hz_change", "energy_above_5hz_own_change"):
        assert found[f"translation/{key}"] == pytest.approx(0, abs=1e-3)
    assert found["translation/style_seen"] == measured()["translation/style_seen"]


def test_smoothing_is_smoother_and_noise_is_rougher_there_and_more_so_than_the_style(cyclegan, monkeypatch):
    smooth, rough = (brought_by(cyclegan, monkeypatch, change) for change in (mean_of_neighbours, noise))
    left = measured()
    for key in ("energy_above_5hz", "jerk"):
        assert smooth[f"translation/{key}_change"] < -0.2 < 0.2 < rough[f"translation/{key}_change"]
        assert smooth[f"translation/{key}_own_change"] == pytest.approx(smooth[f"translation/{key}_change"])
        # what the style itself changes is taken off: it is the change, on top of how styles differ
        for name in ENDS:
            expected = (
                rough[f"translation.to_{name}/{key}_change"] + left[f"translation.to_{name}/{key}_against_target"]
            )
            assert rough[f"translation.to_{name}/{key}_against_target"] == pytest.approx(expected, abs=0.3)
    assert 0 < smooth["translation/moved"] < smooth["translation/cycle"]


def test_a_mean_is_that_of_both_directions(cyclegan):
    found = measured(cyclegan)
    for key in (name.partition("/")[2] for name in found if name.startswith("translation/")):
        parts = [found[f"translation.to_{name}/{key}"] for name in ENDS]
        if isinstance(found[f"translation/{key}"], str):
            assert found[f"translation/{key}"] in parts
        else:
            assert found[f"translation/{key}"] == pytest.approx(sum(parts) / 2)
    assert found == measured(cyclegan)


def test_the_clips_to_look_at_are_held_out_windows_brought_over(cyclegan):
    shown = brought_clips(world(), cyclegan, 3)
    assert list(shown) == [f"to {name}" for name in reversed(ENDS)]
    of = {take for domain in domains(world()) for take in domain.held.takes}
    for motions in shown.values():
        assert len(motions) == 3 and len(set(motions.names)) == 3 and set(motions.takes) <= of


def test_a_conditional_vae_decodes_the_code_of_a_window_under_the_other_style(cvae):
    source, target = domains(world())
    names = world().reference.corpus.label_names
    translator = Translator.of(world(), cvae)
    there = translator.bring(source.held, names, source.name, target.name)
    own = translator.bring(source.held, names, source.name, source.name)
    family = cvae.load_family()
    batch = instrument.Batch(
        cvae.normaliser().normalise(source.held.features_NTD),
        torch.ones(source.held.features_NTD.shape[:2], dtype=torch.bool),
        source.held.labels,
    )
    other = batch._replace(labels=batch.labels | {"style": target.held.labels["style"]})
    with torch.no_grad():
        z_BZ = family.encode(batch)
        wanted = [family.decode(z_BZ, family.side(batch)), family.decode(z_BZ, family.side(other))]
    for motions, wanted_BTD in zip((own, there), wanted, strict=True):
        wanted_NTD = cvae.normaliser().denormalise(wanted_BTD)
        torch.testing.assert_close(motions.features_NTD, wanted_NTD, rtol=1e-4, atol=1e-4)
    assert not torch.equal(own.features_NTD, there.features_NTD)
    keys = translation_keys(world().measure.between)
    assert len(keys) == len(set(keys))
    assert set(measured(cvae)) == set(keys)
    assert set(measured()) == {key for key in keys if not key.endswith(("/cycle", "_own_change"))}


def test_a_run_that_cannot_translate_is_refused(tmp_path):
    run = train(tmp_path / "vae", "vae", "family.backbone={kind: conv, widths: [8,8,8,8]}")
    with pytest.raises(RunError, match=r"vae does not go between classes of style.*family.condition: \[style\]"):
        measured(run)


def test_a_run_that_learnt_from_the_clips_it_is_judged_by_is_refused(tmp_path):
    small = ("family.condition=[style]", "family.backbone={kind: conv, widths: [8,8,8,8]}")
    with pytest.raises(StudyError, match=r"has learnt from \d+ clips that it is judged by, such as walk"):
        measured(train(tmp_path / "other", "vae", "data.split.seed=5", *small))


def test_a_run_that_diverged_is_refused(cyclegan, monkeypatch):
    with pytest.raises(RunError, match="not finite: its training has diverged"):
        brought_by(cyclegan, monkeypatch, lambda motion_BTD: motion_BTD * torch.inf)


@pytest.mark.parametrize(
    ("between", "told"),
    [
        ({"stile": ENDS}, "stile"),
        ({"style": ("elderly", "norml")}, "norml"),
        ({"style": ("elderly", "young")}, "young"),
    ],
)
def test_classes_that_there_are_not_are_refused(between, told):
    measure = MeasureConfig(instruments=("translation",), between=between)
    with pytest.raises(StudyError, match=f"measure.between: .*{told}"):
        domains(replace(world(), measure=measure))


def test_a_run_that_knows_no_such_class_is_refused(cyclegan):
    styles = world().reference.corpus.label_names["style"]
    stranger = next(name for name in styles if name not in ENDS)
    measure = MeasureConfig(instruments=("translation",), between={"style": ("elderly", stranger)})
    with pytest.raises(StudyError, match=f"knows no style '{stranger}'"):
        Translator.of(replace(world(), measure=measure), cyclegan)


def test_the_plan_asks_for_both_or_neither():
    with pytest.raises(ValidationError, match="go together"):
        MeasureConfig(instruments=("translation",))
    with pytest.raises(ValidationError, match="go together"):
        MeasureConfig(between={"style": ENDS})
    with pytest.raises(ValidationError, match="between"):
        MeasureConfig(instruments=("translation",), between={"style": ("elderly",)})
