"""A study's YAML: whatever can be seen to be wrong in it is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from motionsynth.config import resolve_config
from motionsynth.corpus.shape import MotionShape
from motionsynth.errors import ConfigError
from motionsynth.families import FAMILIES, family_class
from motionsynth.families.capabilities import SampleOptions
from motionsynth.study.check import check_views
from motionsynth.study.load import load_study, plan_cells, read_study
from motionsynth.study.plan import ArmConfig, StudyConfig, ViewConfig
from motionsynth.training.determinism import build_family
from motionsynth.yaml_files import read_yaml
from tests.study.small import CALIBRATION

STUDY = """\
name: small
question: Does it load?
corpora:
  walkers:
    data: {path: walkers, window_frames: 32}
  line:
    density: line
base:
  train.threads: 1
arms:
  vae:
    family: vae
    set: &small
      train.steps: 40
      train.ema_decay: 0.9
      family.latent_dim: 4
    views:
      mean: {prior: normal, show: mean}
      back: {reconstruct: true}
      raw: {ema: false}
  gan:
    family: gan
    set: {<<: *small, train.steps: 50}
    views:
      samples: {show: mean}
  real:
    landmark: real
  mixture:
    objective: forward
    set: {components: 2}
measure:
  count: 48
  metrics: [smoothness, fidelity/frechet]
  features: [pca]
  instruments: [suite, walker_coordinates]
calibration: {plan: calibration.yaml}
useful: {figure: fidelity/frechet.pca, of: real}
hypotheses:
  blur:
    says: A VAE blurs.
    endpoint: {metric: smoothness/energy_above_3hz, axis: blur}
    first: vae
    second: gan
    direction: less
    margin: 0.05
  dose:
    says: What it draws is more blurred than what it gives back.
    endpoint: {dose: jitter}
    first: vae
    second: vae@back
    direction: less
    margin: 0.05
  known:
    says: A VAE covers.
    endpoint: {metric: known/kl_forward, because: the density is known}
    first: gan
    second: vae
    direction: greater
    margin: 1
"""

REAL = "  real: {landmark: real, "
WRONG: dict[str, tuple[str, str, str]] = {
    "a prior that the family has not": ("prior: normal", "prior: norml", "did you mean normal"),
    "noise that the family has not": ("{show: mean}", "{show: sample}", "gan has none such: unknown show 'sample'"),
    "windows back from a GAN": ("{show: mean}", "{reconstruct: true}", "gan gives no window back"),
    "no average without one": ("train.ema_decay: 0.9", "train.ema_decay: null", "keeps no average"),
    "views of what is not trained": ("  real:\n    landmark: real", REAL + "views: {a: {}, b: {}}}", "only what is"),
    "usefulness by no arm": ("of: real", "of: rael", "did you mean real"),
    "usefulness by an arm elsewhere": ("of: real", "of: mixture", "no figure 'fidelity/frechet.pca' on line"),
    "usefulness by no figure": (
        "figure: fidelity/frechet.pca",
        "figure: fidelity/frechet.pcb",
        "fidelity/frechet.pca?",
    ),
    "a figure that is left out": ("metric: smoothness/energy_above_3hz", "metric: modes/recall.pca", "is not computed"),
    "a group for a figure": ("metric: smoothness/energy_above_3hz", "metric: smoothness", "no figure 'smoothness'"),
    "a figure of no instrument": ("metric: known/kl_forward", "metric: translation/moved", "suite, walker_coordinates"),
    "a misspelt figure of one": (
        "metric: known/kl_forward",
        "metric: known/kl_foward",
        "did you mean known/kl_forward",
    ),
    "its own contrast": ("second: vae@back", "second: vae@mean", "is vae@mean as well"),
    "arms that never meet": ("second: gan", "second: mixture", "share no corpus"),
    "an axis of no calibration": ("dose: jitter", "dose: jiter", "did you mean jitter"),
    "the same beside a figure": ("axis: blur", "axis: blurr", "did you mean blur"),
    "an axis without the suite": ("[suite, walker_coordinates]", "[walker_coordinates]", "no figure 'fidelity"),
    "a seed of an arm": ("train.steps: 50}", "train.seed: 3}", "train.seed is given by seeds"),
    "a seed of all": ("train.threads: 1", "train.seed: 3", "train.seed is given by seeds"),
    "a precision of each machine's own": ("train.threads: 1", "train.precision: auto", "train.precision must be said"),
    "clips of an arm": ("train.steps: 50}", "data.path: other}", "data.path belongs to corpora"),
    "clips of an arm, nested": ("train.steps: 50}", "data: {path: other}}", "data.path belongs to corpora"),
    "windows of an arm": ("train.steps: 50}", "data.window_frames: 64}", "data.window_frames belongs to corpora"),
    "a key that stands twice": ("question: Does it load?", "name: again", "the key name stands on line 1 already"),
    "a key that there is not": ("    family: gan", "    famly: gan", "did you mean family"),
    "a grid for a landmark": ("  real:\n    landmark: real", REAL + "corpora: [line]}", "line is no motion"),
    "a pair that there is not": ("hypotheses:\n", "contrast: [gan, vea]\nhypotheses:\n", "did you mean vae"),
    "a test that stands twice": (
        "  known:\n",
        "  again:\n    says: It is rougher.\n    endpoint: {metric: smoothness/energy_above_3hz, axis: blur}\n"
        "    first: gan\n    second: vae@mean\n    direction: greater\n    margin: 0.2\n  known:\n",
        "is the same test as blur on walkers: both compare smoothness/energy_above_3hz of the same two",
    ),
    "a dose that stands twice": (
        "  known:\n",
        "  again:\n    says: It is rougher.\n    endpoint: {dose: jitter}\n    first: vae@back\n    second: vae\n"
        "    direction: differ\n    margin: 0.2\n  known:\n",
        "is the same test as dose on walkers: both compare the dose of jitter",
    ),
    "a cut statement of no arm": (
        "hypotheses:\n",
        "cut:\n  gone: {says: So., why: It was., endpoint: {dose: blur}, first: vae, second: gna, direction: less,"
        " margin: 1}\nhypotheses:\n",
        "did you mean gan",
    ),
    "a plan that is none": ("plan: calibration.yaml", "plan: small.yaml", "doses: is missing"),
    "three components for eight modes": ("components: 2", "components: 3", "must divide 8"),
}

ELSEWHERE = {
    "windows back from a GAN": "samples: {reconstruct: true}",
    "no average without one": "raw: {ema: false}",
    "usefulness by an arm elsewhere": "useful:",
    "an axis without the suite": "useful:",
    "arms that never meet": "  blur:",
    "a pair that there is not": "contrast: [gan, vea]",
    "a test that stands twice": "  again:",
    "a dose that stands twice": "  again:",
    "a cut statement of no arm": "  gone:",
}
"""What the line that is told says, where it is not what was made wrong."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("calibration.yaml").write_text(CALIBRATION)
    return tmp_path


def loaded(text: str) -> StudyConfig:
    Path("small.yaml").write_text(text)
    return load_study("small.yaml")


def test_what_is_right_loads() -> None:
    study = loaded(STUDY)
    assert set(study.hypotheses) == {"blur", "dose", "known"}
    assert study.arms["gan"].set["train.steps"] == 50, "a key beside << replaces what it brings in"
    assert study.arms["gan"].set["family.latent_dim"] == 4


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_with_its_line(what: str) -> None:
    right, wrong, message = WRONG[what]
    assert STUDY.count(right) == 1, "one place is made wrong"
    text = STUDY.replace(right, wrong)
    with pytest.raises(ConfigError) as refused:
        loaded(text)
    assert message in str(refused.value)
    told = int(str(refused.value).removeprefix("small.yaml:").partition(":")[0])
    assert ELSEWHERE.get(what, wrong) in text.splitlines()[told - 1]


def test_other_figures_and_other_views_are_other_tests() -> None:
    again = "  again:\n    says: It is rougher.\n    endpoint: {METRIC}\n    first: SIDE\n    second: gan\n" \
        "    direction: less\n    margin: 0.2\n  known:\n"  # fmt: skip
    for metric, side in (
        ("metric: smoothness/energy_above_5hz, axis: blur", "vae"),
        ("metric: smoothness/energy_above_3hz, axis: blur", "vae@raw"),
    ):
        loaded(STUDY.replace("  known:\n", again.replace("METRIC", metric).replace("SIDE", side)))


def test_a_dose_and_the_figure_that_speaks_for_it_are_one_test(folder: Path) -> None:
    """On walkers ``smoothness/energy_above_5hz_within`` speaks for blur, by the calibration that is there."""
    committed = Path(__file__).parents[2] / "docs" / "calibration" / "walkers.json.xz"
    twice = STUDY.replace("window_frames: 32}\n", f"window_frames: 32}}\n    calibration: {committed}\n").replace(
        "metric: smoothness/energy_above_3hz, axis: blur", "dose: blur"
    )
    figure = "  again:\n    says: Less.\n    endpoint: {metric: smoothness/energy_above_5hz_within, axis: blur}\n" \
        "    first: vae\n    second: gan\n    direction: less\n    margin: 0.2\n  known:\n"  # fmt: skip
    with pytest.raises(ConfigError, match=r"again: is the same test as blur on walkers: .*energy_above_5hz_within"):
        loaded(twice.replace("  known:\n", figure))
    loaded(twice.replace("  known:\n", figure.replace("above_5hz", "above_8hz")))


def test_an_axis_needs_the_suite() -> None:
    text = STUDY.replace("[suite, walker_coordinates]", "[walker_coordinates]")
    text = text.replace("useful: {figure: fidelity/frechet.pca, of: real}\n", "")
    with pytest.raises(ConfigError, match="only figures of the suite are calibrated") as refused:
        loaded(text)
    assert refused.value.key == "hypotheses.blur.endpoint.axis"


def test_figures_of_translation_are_known_by_the_classes_it_goes_between() -> None:
    between = STUDY.replace(
        "instruments: [suite, walker_coordinates]",
        "instruments: [suite, walker_coordinates, translation]\n  between: {style: [old, young]}",
    )
    for key in ("translation/style_seen", "translation.to_old/jerk_change"):
        loaded(between.replace("metric: known/kl_forward", f"metric: {key}"))
    for key in ("translation/style_sen", "translation.to_odl/jerk_change"):
        with pytest.raises(ConfigError, match=f"no figure '{key}' on walkers.*did you mean translation"):
            loaded(between.replace("metric: known/kl_forward", f"metric: {key}"))


def test_what_arms_must_be_better_than_runs_beside_them() -> None:
    text = STUDY.replace("  line:\n    density: line\n", "  other: {data: {path: other}}\n")
    text = text[: text.index("  mixture:")] + text[text.index("measure:") :]
    loaded(text)
    with pytest.raises(ConfigError, match=r"vae can carry no verdict on other, where useful\.of, real, does not run"):
        loaded(text.replace("landmark: real", "landmark: real\n    corpora: [walkers]"))


def test_named_fields_are_those_of_the_section() -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(STUDY.replace("    family: gan", "    famly: gan"))
    assert "landmark" in refused.value.reason and "betas" not in refused.value.reason
    with pytest.raises(ConfigError, match="did you mean weight_decay"):
        resolve_config("vae", overrides=["family.optimise={all: {weight_deca: 1}}"])


@pytest.mark.parametrize("text", ["a: 1\nb: {c: 1, c: 2}\n", "a: 1\n'a': 2\n"])
def test_no_yaml_has_a_key_twice(folder: Path, text: str) -> None:
    (folder / "twice.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"twice.yaml:2: not valid YAML: the key [ac] stands on line [12] already"):
        read_yaml(folder / "twice.yaml")
    assert yaml.safe_load(text), "others take it"


def test_merged_mappings_may_be_merged_again(folder: Path) -> None:
    (folder / "merged.yaml").write_text("a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 3}\nd: *b\n")
    assert read_yaml(folder / "merged.yaml", aliases=True).value == {
        "a": {"x": 1, "y": 1},
        "b": {"x": 2, "y": 1},
        "c": {"x": 2, "y": 3},
        "d": {"x": 2, "y": 1},
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_all_arms_see_the_same_windows(name: str) -> None:
    study = loaded(STUDY.replace("  real:\n", f"  other: {{family: {name}}}\n  real:\n"))
    cells = [cell for cell in plan_cells(study, Path("small.yaml")) if cell.data is not None]
    assert {cell.arm for cell in cells} > {"other", "real", "vae"}
    assert len({(cell.data.window_frames, cell.data.stride_frames) for cell in cells}) == 1


@pytest.mark.parametrize("name", FAMILIES)
def test_views_are_refused_where_drawing_would_be(name: str, folder: Path) -> None:
    """What a built family says to a draw is what is said of it before."""
    config = resolve_config(name, overrides=SMALL.get(name, []))
    own = config.family.model_dump()
    labels = {*own.get("condition", ()), *([own["domain"]] if "domain" in own else [])}
    family = build_family(config.family, MotionShape(config.data.window_frames, 40, dict.fromkeys(labels, 2)), 0)
    (folder / "views.yaml").write_text("arms: {}\n")
    document = read_study(folder / "views.yaml")
    for prior in {*family.priors, "normal", "fitted", "codes", "windows"}:
        for show in ("mean", "sample"):
            arm = ArmConfig(family=name, views={"drawn": ViewConfig(prior=prior, show=show)})  # type: ignore[arg-type]
            try:
                family.refuse_draw(SampleOptions(prior=prior, show=show), shows=family_class(name).SHOWS)
            except ValueError:
                with pytest.raises(ConfigError, match="has none such"):
                    check_views(name, arm, config, document)
            else:
                check_views(name, arm, config, document)


SMALL = {"gmm": ["family.latent_dim=4", "family.axes=8"]}
