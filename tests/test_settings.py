"""Settings from several sources: each is told by the place it was written in, and a path is found from there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from motionsynth.calibration.plan import load_plan
from motionsynth.config import RunConfig, dump_config, load_config, resolve_config
from motionsynth.corpus.config import DataConfig
from motionsynth.errors import ConfigError
from motionsynth.runs.begin import resolve_data
from motionsynth.settings import Setting, Settings, located
from motionsynth.study.load import load_study

CONFIGS = Path(__file__).parents[1] / "configs"
VAE = CONFIGS / "run" / "vae.yaml"
FAULTS = Path(__file__).parent / "fixtures" / "faults"
STUDY = """\
name: small
question: Where?
corpora:
  one:
    data: {path: clips, window_frames: 32}
base:
  train.steps: 4
arms:
  vae:
    family: vae
    set: {family.latent_dim: 4}
measure: {metrics: [smoothness]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; the home folder lies in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path


def written(path: str, text: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


def refusal(path: Path = VAE, **how: object) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config(path, **how)  # type: ignore[arg-type]
    return str(refused.value)


def test_a_typo_in_a_data_section_is_told_with_its_line() -> None:
    section = FAULTS / "bad_data_section.yaml"
    told = f"{section}:2: data.frame_rat: unknown key, did you mean frame_rate?"
    assert refusal(data=section).startswith(told)
    with pytest.raises(ConfigError) as refused:
        resolve_config("gan", data=section)
    assert str(refused.value).startswith(told)
    with pytest.raises(ConfigError) as refused:
        resolve_data(section)
    assert str(refused.value).startswith(told)


def test_without_the_places_the_shipped_file_would_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "place_of", lambda settings, _: settings._source)
    assert refusal(data=FAULTS / "bad_data_section.yaml").startswith(f"{VAE}: data.frame_rat")


def test_the_last_source_of_a_value_is_named() -> None:
    section = written("my.yaml", "path: clips\nwindow_frames: 2\nsplit:\n  gap: -1\n")
    assert refusal(data=section).startswith("my.yaml:2: data.window_frames: ")
    assert refusal(data=section, overrides=["data.window_frames=32"]).startswith("my.yaml:4: data.split.gap: ")
    over = ["data.window_frames=32", "data.split={gap: -2}"]
    assert refusal(data=section, overrides=over).startswith("--set data.split={gap: -2}: data.split.gap: ")
    over[1] = "data.split.test=2"
    assert refusal(data=section, overrides=over).startswith("--set data.split.test=2: data.split.test: ")
    config = written("run.yaml", re.sub(r"latent_dim: \d+", "latent_dim: 0", VAE.read_text()))
    line = config.read_text().split("latent_dim: 0")[0].count("\n") + 1
    assert refusal(config).startswith(f"run.yaml:{line}: family.latent_dim: ")
    assert refusal(config, overrides=["family.latent_dim=-1"]).startswith("--set family.latent_dim=-1: ")


def test_a_section_that_is_wrong_as_a_whole_names_all_that_made_it() -> None:
    told = refusal(overrides=["train.threads=2", "train.steps=null"])
    assert f"{VAE}:" in told.split(" with ")[0]
    assert "--set train.steps=null" in told
    assert "train: give exactly one of steps" in told
    section = written("my.yaml", "path: clips\n")
    assert "my.yaml" not in refusal(data=section, overrides=["train.steps=null"])
    gmm = CONFIGS / "run" / "gmm.yaml"
    told = refusal(gmm, data=section, overrides=["train.ema_decay=0.9", "train.seed=2"])
    assert told.startswith("--set train.ema_decay=0.9: train.ema_decay means nothing to gmm")


def test_an_option_is_named_by_its_own_name() -> None:
    told = refusal(overrides=[Setting(("data", "on_bad_file"), "stopp", "--on-bad-file")])
    assert told.startswith("--on-bad-file: data.on_bad_file: unknown value 'stopp', did you mean stop?")
    assert refusal(overrides=["train.steps=[1"]).startswith("--set: train.steps: '[1': ")
    long = refusal(overrides=[f"train.steps={'9' * 5000}"])
    assert "beyond the integers" in long
    assert len(long) < 300


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data: 5\n", "run.yaml:1: data: "),
        ("data:\n  path: [a]\n", "run.yaml:2: data.path: "),
        ("data:\n  path: 2026\n", "run.yaml:2: data.path: must be text, as 2026 is in quotes"),
        ("data:\n  path: ''\n", "run.yaml:2: data.path: names nothing"),
        ("data:\n  clips: absent.txt\n", "run.yaml:2: data.clips: no such file: "),
        ("data:\n  keep: {style: [a, 1]}\n", "run.yaml:2: data.keep.style.1: must be text"),
        ("data:\n  frame_rate: .inf\n", "run.yaml:2: data.frame_rate: input should be a finite number (got inf)"),
        ("data:\n  frame_rate: .nan\n", "run.yaml:2: data.frame_rate: input should be a finite number (got nan)"),
        ("data:\n  window_frames: true\n", "run.yaml:2: data.window_frames: must be a number (got True)"),
        ("data:\n  contacts: 3\n", "run.yaml:2: data.contacts: "),
    ],
)
def test_values_of_another_kind_are_refused_by_line_and_key(text: str, told: str) -> None:
    config = written("run.yaml", text + "family: {name: vae}\ntrain: {steps: 1}\n")
    load_config(config, overrides=["data={}"])
    if "data: 5" in text:
        assert refusal(config, data="clips").startswith("--data clips: data.path: data is not a section (run.yaml:1)")
    assert refusal(config).startswith(told)


def test_a_family_that_is_no_word_is_refused() -> None:
    for value in ("[vae]", "{kind: conv}", "null", "5"):
        told = refusal(overrides=[f"family.name={value}"])
        assert told.startswith(f"--set family.name={value}: family.name: unknown family ")
    assert refusal(written("run.yaml", "family: [vae]\n")).startswith("run.yaml:1: family.name: unknown family None")


@pytest.mark.parametrize("path", sorted((FAULTS / "hostile").glob("fuzz_*.yaml")), ids=lambda path: path.stem)
def test_configurations_that_gave_tracebacks_are_refused_in_a_line(path: Path) -> None:
    told = refusal(path) if path.stem.startswith("fuzz_config") else refusal(data=path)
    assert told.startswith(f"{path}:")
    assert told.isprintable()


def test_a_study_tells_its_own_line_and_that_of_the_data_it_names() -> None:
    def told(old: str, new: str) -> str:
        assert STUDY.count(old) == 1
        with pytest.raises(ConfigError) as refused:
            load_study(written("small.yaml", STUDY.replace(old, new)))
        return str(refused.value)

    load_study(written("small.yaml", STUDY))
    assert told("window_frames: 32", "window_frame: 32").startswith(
        "small.yaml:5: corpora.one.data.window_frame: data.window_frame: unknown key, did you mean window_frames?"
    )
    assert told("latent_dim: 4", "latent_dim: 0").startswith(
        "small.yaml:11: arms.vae.set.family.latent_dim: family.latent_dim: input should be greater than or equal to 1"
    )
    assert told("train.steps: 4", "train.steps: many").startswith("small.yaml:7: base.train.steps: train.steps: ")
    written("my.yaml", "path: clips\nframe_rat: 30\n")
    assert told("{path: clips, window_frames: 32}", "my.yaml").startswith(
        "small.yaml:5: corpora.one.data: my.yaml:2: data.frame_rat: unknown key"
    )
    assert told("{path: clips, window_frames: 32}", "absent.yaml").startswith(
        "small.yaml:5: corpora.one.data: absent.yaml: No such file"
    )
    assert told("question: Where?", "question: [Where]").startswith("small.yaml:2: question: ")
    assert told("{metrics:", "{count: 8, metrics:").startswith(
        "small.yaml:12: measure.count: count=8: count: input should"
    )
    assert told("{metrics:", "{metric:").startswith("small.yaml:12: measure.metric: unknown key")


@pytest.mark.parametrize("amount", [".inf", ".nan", "true", "0", "-1", "[1]", "1.5", "many"])
@pytest.mark.parametrize(("landmark", "key"), [("low_pass", "hz"), ("memoriser", "windows")])
def test_amounts_of_landmarks_are_numbers(landmark: str, key: str, amount: str) -> None:
    text = f"{STUDY}  low: {{landmark: {landmark}, set: {{{key}: {amount}}}}}\n".replace(
        "measure: {metrics: [smoothness]}\n", ""
    )
    text += "measure: {metrics: [smoothness]}\n"
    if (key, amount) == ("hz", "1.5"):
        assert load_study(written("small.yaml", text)).arms["low"].set == {"hz": 1.5}
        return
    with pytest.raises(
        ConfigError, match=rf"^small\.yaml:12: arms\.low\.set\.{key}: must be a (whole )?number above 0 "
    ):
        load_study(written("small.yaml", text))


def test_a_calibration_tells_its_line() -> None:
    text = (CONFIGS / "study" / "smoke-calibration.yaml").read_text()
    plan = written("plan.yaml", "repeats: 2\n" + "\n".join(x for x in text.splitlines() if not x.startswith("repeats")))
    with pytest.raises(ConfigError, match=r"^plan\.yaml:1: repeats: input should be greater than or equal to 3"):
        load_plan(plan)
    with pytest.raises(ConfigError, match=r"^count=4: count: input should be greater"):
        load_plan(plan, repeats=3, count=4)


def test_the_home_folder_stands_for_its_sign(folder: Path) -> None:
    home = folder / "home"
    assert load_config(VAE, data=FAULTS / "tilde.yaml").data.path == home / "mocap"
    assert load_config(VAE, data="~/mocap").data.path == home / "mocap"
    assert load_config(VAE, overrides=["data.path=~/mocap"]).data.path == home / "mocap"
    assert load_config(VAE, overrides=["data={path: ~/mocap, second: '~/more'}"]).data.second == home / "more"
    names = written("home/names.txt", "a.bvh\n").absolute()
    section = written("home/my.yaml", "path: ~/mocap\nclips: ~/names.txt\n")
    for where in (section, "~/my.yaml"):
        assert load_config(VAE, data=where).data.clips == names
    assert load_config(VAE, data="~nobody-at-all/x").data.path == Path("~nobody-at-all/x")
    assert resolve_data(Path("~/other"), settings=section).path == home / "other"
    study = load_study(written("small.yaml", "results: ~/results\n" + STUDY.replace("path: clips", "path: ~/clips")))
    assert study.results == home / "results"
    assert study.corpora["one"].data == {"path": str(home / "clips"), "window_frames": 32}


@pytest.mark.parametrize("key", ["path", "second", "clips"])
def test_a_path_counts_from_its_yaml_and_else_from_the_working_folder(folder: Path, key: str) -> None:
    def found(name: str, **how: object) -> Path:
        section = written(
            "configs/my.yaml", f"path: elsewhere\n{key}: {name}\n".removeprefix("path: elsewhere\n" * (key == "path"))
        )
        place = getattr(load_config(VAE, data=section, **how).data, key)  # type: ignore[arg-type]
        assert isinstance(place, Path)
        return place.absolute()

    written("configs/both", "")
    written("configs/beside", "")
    written("both", "")
    written("here", "")
    assert found("beside") == folder / "configs" / "beside"
    assert found("both") == folder / "configs" / "both"
    assert found("here") == folder / "here"
    assert found(str(folder / "both")) == folder / "both"
    assert found("beside", overrides=[f"data.{key}=both"]) == folder / "both"
    if key != "clips":
        assert found("nowhere") == folder / "nowhere"


def test_paths_of_a_study_follow_the_same_rule(folder: Path) -> None:
    written("studies/clips/a.bvh", "")
    written("studies/plan.yaml", (CONFIGS / "study" / "smoke-calibration.yaml").read_text())
    written("studies/names.txt", "a.bvh\n")
    text = (
        STUDY.replace("path: clips,", "path: clips, clips: names.txt,")
        + "calibration: {plan: plan.yaml}\nresults: out\n"
    )
    study = load_study(written("studies/small.yaml", text))
    data = study.corpora["one"].data
    assert isinstance(data, dict)
    assert (Path(data["path"]), Path(data["clips"])) == (Path("studies/clips"), Path("studies/names.txt"))
    assert study.calibration.plan == Path("studies/plan.yaml")
    assert study.results == Path("out"), "nothing is there beside the study"


def test_the_configuration_of_a_run_is_as_it_was_where_the_run_was_made(folder: Path) -> None:
    config = load_config(VAE, data=".")
    kept = written("run/config.yaml", dump_config(config))
    assert load_config(kept).data.path == Path("run"), "a YAML that a user wrote there"
    written("run/run.json", "{}")
    assert load_config(kept) == config


def test_paths_are_found_by_the_type_of_their_field(folder: Path) -> None:
    document = {"data": {"path": "~/a", "pattern": "~/b", "keep": {"path": ["~/c"]}}, "other": {"path": "~/d"}}
    assert located(document, RunConfig, None) == {
        **document,
        "data": {**document["data"], "path": str(folder / "home/a")},
    }
    for wrong in (None, 5, ["~/x"], {"data": 5}, {"data": {"path": ["~/x"], "split": {"gap": {}}}}):
        assert located(wrong, RunConfig, folder) == wrong
    long = {"path": "a" * 5000}
    assert located(long, DataConfig, folder) == long, f"no name of a file on {os.name}"
