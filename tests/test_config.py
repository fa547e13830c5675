"""Configuration files: every one that ships loads, and every mistake names its key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from motionsynth.calibration.plan import load_plan, shipped_plan
from motionsynth.config import config_hash, dump_config, load_config, plain_config
from motionsynth.errors import ConfigError
from motionsynth.families import FAMILIES
from motionsynth.study.load import load_study, plan_cells
from motionsynth.study.results import read_results

CONFIGS = Path(__file__).parents[1] / "configs"
VAE = CONFIGS / "run" / "vae.yaml"
STUDIES = sorted(path for path in (CONFIGS / "study").glob("*.yaml") if not path.stem.endswith("-calibration"))


def test_every_family_has_a_baseline() -> None:
    assert {path.stem for path in (CONFIGS / "run").glob("*.yaml")} >= set(FAMILIES)


@pytest.mark.parametrize("path", sorted((CONFIGS / "run").glob("*.yaml")), ids=lambda path: path.stem)
def test_run_configs_load_and_survive_a_round_trip(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    copy = tmp_path / "config.yaml"
    copy.write_text(dump_config(config))
    assert load_config(copy) == config
    assert config_hash(load_config(copy)) == config_hash(config)


@pytest.mark.parametrize("path", sorted((CONFIGS / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_data_configs_load(path: Path) -> None:
    config = load_config(VAE, data=path)
    assert str(config.data.path) == yaml.safe_load(path.read_text())["path"]


def test_the_calibration_loads() -> None:
    assert load_plan(CONFIGS / "study" / "smoke-calibration.yaml").repeats >= 3
    plan = load_plan(CONFIGS / "calibration.yaml")
    assert shipped_plan() == CONFIGS / "calibration.yaml"
    assert {axis.dose for axis in plan.axes.values()} <= {*plan.doses, "cells"}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_is_whole(path: Path) -> None:
    study = load_study(path)
    assert study.name == path.stem
    cells = plan_cells(study, path)
    assert len({cell.key for cell in cells}) == len(cells) > 0
    published = set(read_results(CONFIGS.parent / "docs" / "results" / path.stem))
    assert bool(published) == (path.stem != "smoke")
    if published:
        assert {cell.key for cell in cells} == published, "what was published is still what the study asks for"


def test_all_yaml_files_are_covered() -> None:
    plans = {CONFIGS / "calibration.yaml", CONFIGS / "study" / "smoke-calibration.yaml"}
    tested = {*(CONFIGS / "run").glob("*.yaml"), *(CONFIGS / "data").glob("*.yaml"), *STUDIES, *plans}
    assert set(CONFIGS.rglob("*.yaml")) == tested


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = VAE.read_text()
    assert old in text
    path = tmp_path / "vae.yaml"
    path.write_text(text.replace(old, new))
    return path


def line_of(text: str, path: Path = VAE) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), start=1) if line.startswith(text))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("family.latent_dmi=4", "family.latent_dmi: unknown key, did you mean latent_dim?"),
        ("family.sigma.knd=fixed", "family.sigma.knd: unknown key, did you mean kind?"),
        ("family.optimise.all.learning=1", "family.optimise.all.learning: unknown key, known: betas"),
        (
            "family.optimise={critic: {lr: 1.0e-3}}",
            "family: optimise: lacks 'all', unknown 'critic'; the phases of vae are all",
        ),
        ("train.batch_sise=4", "train.batch_sise: unknown key, did you mean batch_size?"),
        ("data.split.tset=0.1", "data.split.tset: unknown key, did you mean test?"),
        ("trian.steps=4", "trian: unknown key, did you mean train?"),
        ("train.batch_size=many", "train.batch_size: input should be a valid integer"),
        ("train.batch_size=1", "train.batch_size: input should be greater than or equal to 2 (got 1)"),
        ("train.steps=0", "train.steps: input should be greater than or equal to 1"),
        ("family.name=vea", "family.name: unknown family 'vea', did you mean vae?"),
        ("family.sigma.kind=open", "family.sigma.kind: unknown value 'open', known: fixed, learned"),
        ("train.precision=fp8", "train.precision: unknown value 'fp8', known: auto, bf16, float32"),
    ],
)
def test_mistakes_name_the_override_and_its_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(VAE, overrides=["train.threads=2", override])
    whole_section = f"{VAE}:{line_of('family:')} with " if message.startswith("family: ") else ""
    assert str(caught.value).startswith(f"{whole_section}--set {override}: {message}")


@pytest.mark.parametrize("override", ["train.steps", "=4", "train.steps.more=4", "train.steps=[1"])
def test_malformed_overrides_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(VAE, overrides=[override])


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("- 1\n", "must be a mapping"), ("", "must be a mapping"), ("\xff", "UTF-8")],
)
def test_files_that_are_no_configuration_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message):
        load_config(path)
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("text", "value"), [("2e-4", 2e-4), ("1e3", 1e3), (".5e-3", 5e-4), ("3.5", 3.5), ("2", 2)])
def test_numbers_in_scientific_notation_are_numbers(text: str, value: float) -> None:
    config = load_config(VAE, overrides=[f"family.optimise.all.lr={text}"])
    assert config.family.optimise["all"].lr == value


def test_a_budget_replaces_another_and_two_are_refused() -> None:
    assert load_config(VAE, overrides=["train.minutes=2"]).train.minutes == 2
    assert load_config(VAE, overrides=["train.minutes=2"]).train.steps is None
    with pytest.raises(ConfigError, match="exactly one of steps, samples, passes and minutes"):
        load_config(VAE, overrides=["train={steps: 3, minutes: 2}"])


def test_a_sigma_whose_floor_is_its_value_is_what_it_was_before_the_floor_had_a_key(tmp_path: Path) -> None:
    """The hash of such runs, and of those with a fixed sigma, is that of their results."""

    def identity(sigma: str) -> Any:
        config = load_config(VAE, overrides=[f"family.sigma={sigma}"])
        (tmp_path / "config.yaml").write_text(dump_config(config))
        assert load_config(tmp_path / "config.yaml") == config
        return plain_config(config)["family"]["sigma"]

    assert identity("{kind: learned, value: 0.3, floor: 0.3}") == {"kind": "learned", "value": 0.3}
    assert identity("{kind: fixed, value: 0.3}") == {"kind": "fixed", "value": 0.3}
    assert identity("{kind: learned, value: 0.3}") == {"kind": "learned", "value": 0.3, "floor": 0.05}


def test_data_may_be_a_folder() -> None:
    assert load_config(VAE, data="/clips").data.path == Path("/clips")
    with_pattern = load_config(VAE, data=CONFIGS / "data" / "bandai-namco-2.yaml", overrides=["data.path=/clips"])
    assert with_pattern.data.path == Path("/clips")
    assert with_pattern.data.pattern is not None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("family.backbone={kind: gru, wdith: 8}", "family.backbone.wdith: unknown key, did you mean width?"),
        ("family.backbone={kind: gur}", "family.backbone.kind: unknown value 'gur', did you mean gru?"),
        ("family.backbone={kind: transformer, heads: 0}", "family.backbone.heads: input should be greater"),
        ("family.backbone.widht=3", "family.backbone.widht: unknown key, did you mean width?"),
        ("family.sigma.valeu=3", "family.sigma.valeu: unknown key, did you mean value?"),
        ("family.optimise.all.rl=3", "family.optimise.all.rl: unknown key, did you mean lr?"),
    ],
)
def test_mistakes_in_a_section_of_several_kinds_are_named_as_they_were_written(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(VAE, overrides=[override])


def test_a_backbone_without_a_kind_is_a_basis_and_keys_of_another_kind_are_told_of() -> None:
    assert load_config(VAE, overrides=["family.backbone={width: 64}"]).family.basis
    for section, message in {
        "{widths: [8]}": r"backbone: widths belongs to conv, and the kind here is basis: .* \{kind: conv, widths",
        "{kind: gru, components: 8}": r"components belongs to basis, and the kind here is gru",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load_config(VAE, overrides=[f"family.backbone={section}"])
