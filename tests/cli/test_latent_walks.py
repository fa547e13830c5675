"""Walks through latents, as their user types them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import motionsynth
from motionsynth.families.latent_paths import Axis, great_circle, path_between, straight_line
from motionsynth.output import MANIFEST
from motionsynth.runs.latent_walks import ROWS
from tests.cli.invocation import Invoke

SMALL = (
    "train.batch_size=8",
    "train.steps=2",
    "train.threads=1",
    "family.backbone={kind: gru, width: 8, layers: 1, mapping_width: 8}",
)


@pytest.fixture(scope="module")
def train(corpus: Path, tmp_path_factory: pytest.TempPathFactory):
    from motionsynth.config import resolve_config
    from motionsynth.runs.train import train

    made: dict[tuple[str, ...], Path] = {}

    def trained(family: str, *overrides: str) -> Path:
        if (family, *overrides) not in made:
            config = resolve_config(family, data=corpus, overrides=(*SMALL, *overrides))
            folder = tmp_path_factory.mktemp("runs") / family
            made[family, *overrides] = train(config, run_dir=folder, track=False).run.path
        return made[family, *overrides]

    return trained


def positions(path: Path):
    return motionsynth.read_bvh(path).positions()


def plain(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", re.sub(r"\x1b\[[0-9;]*m", "", text)).split())


def test_the_ends_are_the_reconstructions(invoke: Invoke, train, corpus: Path, tmp_path: Path) -> None:
    ends = [min(corpus.glob("walk_normal_*.bvh")), min(corpus.glob("run_*.bvh"))]
    result = invoke("interpolate", train("vae"), *ends, "-n", 5, "--out", tmp_path / "path")
    assert result.code == 0, result.err
    assert "straight line" in result.out
    clips = sorted((tmp_path / "path").glob("*.bvh"))
    assert [clip.name for clip in clips] == [f"{index:02}.bvh" for index in range(5)]
    for end, name in ((ends[0], "00.bvh"), (ends[1], "04.bvh")):
        # a clip's first window alone, so that no later window of the clip is laid over it
        window = tmp_path / end.name
        motionsynth.write_bvh(motionsynth.read_bvh(end)[:64], window)
        assert invoke("reconstruct", train("vae"), window, "--out", tmp_path / "back", "--overwrite").code == 0
        again = tmp_path / f"again-{name}"
        assert invoke("interpolate", train("vae"), window, ends[1], "-n", 2, "--out", again).code == 0
        assert abs(positions(again / "00.bvh") - positions(tmp_path / "back" / end.name)).max() < 1e-3
        assert abs(positions(again / "00.bvh") - positions(tmp_path / "path" / name)).max() < 0.5
    assert abs(positions(clips[0]) - positions(clips[-1])).max() > 1e-2
    page = (tmp_path / "path" / "player.html").read_text()
    assert all(caption in page for caption in ('"0.00"', '"0.25"', '"1.00"', ends[0].stem, ends[1].stem))


def test_seeds_are_the_clips_that_generate_draws(invoke: Invoke, train, tmp_path: Path) -> None:
    run = train("gan")
    assert invoke("interpolate", run, "--seeds", 3, 4, "-n", 3, "--linear", "--out", tmp_path / "path").code == 0
    for seed, name in ((3, "00"), (4, "02")):
        assert invoke("generate", run, "-n", 1, "--seed", seed, "--out", tmp_path / str(seed)).code == 0
        drawn = positions(tmp_path / str(seed) / "0000.bvh")
        assert abs(positions(tmp_path / "path" / f"{name}.bvh") - drawn).max() < 1e-3
        assert abs(positions(tmp_path / "path" / "01.bvh") - drawn).max() > 1e-3


def test_conditional_runs_take_the_clips_own_labels_or_those_given(
    invoke: Invoke, train, corpus: Path, tmp_path: Path
) -> None:
    run = train("ae", "family.condition=[style]")
    ends = [min(corpus.glob("walk_normal_*.bvh")), min(corpus.glob("walk_elderly_*.bvh"))]
    assert invoke("interpolate", run, *ends, "-n", 2, "--out", tmp_path / "own").code == 0
    named = ("--label", "style=normal")
    assert invoke("interpolate", run, *ends, "-n", 2, *named, "--out", tmp_path / "named").code == 0
    assert (tmp_path / "own" / "00.bvh").read_bytes() == (tmp_path / "named" / "00.bvh").read_bytes()
    assert (tmp_path / "own" / "01.bvh").read_bytes() != (tmp_path / "named" / "01.bvh").read_bytes()
    assert invoke("reconstruct", run, *ends, "--out", tmp_path / "back").code == 0
    stray = tmp_path / "stray.bvh"
    stray.write_bytes(ends[0].read_bytes())
    result = invoke("reconstruct", run, stray, "--out", tmp_path / "stray")
    assert result.code == 2
    assert re.search(r"stray.bvh: its style is not known; one of .*normal.*; give it by --label style=", result.err)
    assert invoke("reconstruct", run, stray, *named, "--out", tmp_path / "stray").code == 0
    wrong = invoke("reconstruct", run, stray, "--label", "content=walk", "--out", tmp_path / "wrong")
    assert "label content: this model takes none, only style" in wrong.err


def test_traverse_varies_one_number_at_a_time(invoke: Invoke, train, tmp_path: Path) -> None:
    run = train("vae")
    result = invoke("traverse", run, "-n", 3, "--range", -1, 1, "--seed", 5, "--out", tmp_path / "all")
    assert result.code == 0, result.err
    assert f"{ROWS} of 64 latent numbers" in result.out
    rows = sorted(path.name for path in (tmp_path / "all").iterdir() if path.is_dir())
    assert len(rows) == ROWS and all(re.fullmatch(r"z\d+", row) for row in rows)
    page = (tmp_path / "all" / "player.html").read_text()
    assert all(f'"{caption}"' in page for caption in ("-1.00", "+0.00", "+1.00", *rows))
    assert invoke("traverse", run, "--code", "z4", "--code", 2, "-n", 2, "--out", tmp_path / "two").code == 0
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"z4", "z2", "player.html", MANIFEST}
    first, last = (positions(tmp_path / "two" / "z4" / f"{name}.bvh") for name in ("00", "01"))
    assert abs(first - last).max() > 1e-4


def test_traverse_shows_every_code_of_a_family_that_has_some(invoke: Invoke, train, tmp_path: Path) -> None:
    run = train("infogan", "family.codes={continuous: 1, categorical: [3]}")
    assert invoke("traverse", run, "-n", 4, "--out", tmp_path / "all").code == 0
    rows = {row.name: len(list(row.iterdir())) for row in (tmp_path / "all").iterdir() if row.is_dir()}
    assert rows == {"categorical_0": 3, "continuous_0": 4}
    assert '"-1.00"' in (tmp_path / "all" / "player.html").read_text(), "continuous codes are uniform in [-1, 1]"
    result = invoke("traverse", run, "--code", "continuos_0", "--out", tmp_path / "none")
    assert result.code == 2
    assert "unknown code, did you mean continuous_0? known: categorical_0, continuous_0" in result.err


@pytest.mark.parametrize(
    ("family", "arguments", "message"),
    [
        ("vae", ("interpolate",), "give two clips, or --seeds 0 1 (got 0 clips)"),
        ("vae", ("interpolate", "/absent/a.bvh", "/absent/b.bvh"), "/absent/a.bvh"),
        ("vae", ("interpolate", "/absent/a.bvh", "/absent/b.bvh", "--seeds", 0, 1), "not both"),
        ("vae", ("interpolate", "--seeds", 0, 1, "-n", 1), "greater than or equal to 2"),
        ("gan", ("interpolate", "/absent/a.bvh", "/absent/b.bvh"), "gan has no encoder, so its ends must be --seeds"),
        ("vae", ("interpolate", "--seeds", 0, 1, "--label", "style=normal"), "label style: this model takes none"),
        ("vae", ("traverse", "--code", 64), "--code 64: the numbers of a latent are 0 to 63"),
        ("vae", ("traverse", "--code", "speed"), "--code speed: the numbers of a latent are 0 to 63"),
        ("vae", ("traverse", "--range", 2, 2), "range: must go up, not from 2 to 2"),
    ],
)
def test_mistakes_say_what_to_do(
    invoke: Invoke, train, tmp_path: Path, family: str, arguments: tuple[object, ...], message: str
) -> None:
    command, *rest = arguments
    result = invoke(command, train(family), *rest, "--out", tmp_path / "out")
    assert result.code == 2
    assert message in plain(result.err)
    assert not (tmp_path / "out").exists()


def test_a_family_without_latents_says_which_have_some(invoke: Invoke, corpus: Path, tmp_path: Path) -> None:
    from motionsynth.config import resolve_config
    from motionsynth.runs.train import train

    overrides = ("train.passes=5", "family.components=1", "family.latent_dim=2", "family.axes=8", "train.threads=1")
    config = resolve_config("gmm", data=corpus, overrides=overrides)
    run = train(config, run_dir=tmp_path / "gmm", track=False).run.path
    for command in (("interpolate", run, "--seeds", 0, 1), ("traverse", run)):
        result = invoke(*command)
        assert result.code == 2
        assert re.search(r"gmm decodes no latents; families that do: .*ae.*gan.*vae", result.err)


def test_generate_goes_beyond_the_window_where_the_backbone_can(
    invoke: Invoke, train, corpus: Path, tmp_path: Path
) -> None:
    assert invoke("generate", train("vae"), "-n", 2, "--frames", 150, "--out", tmp_path / "long").code == 0
    assert len(motionsynth.read_bvh(tmp_path / "long" / "0001.bvh")) == 150
    conv = train("ae", "family.backbone={kind: conv, widths: [8, 8]}")
    result = invoke("generate", conv, "--frames", 150, "--out", tmp_path / "none")
    assert result.code == 2
    assert "this model makes 1 to 64 frames, not 150" in result.err


@pytest.mark.parametrize("command", ["interpolate", "traverse"])
def test_help_texts_have_an_example(invoke: Invoke, command: str) -> None:
    assert "Example" in invoke(command, "--help").out


# ---- the paths themselves ----

A, B = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))


def test_a_great_circle_keeps_the_norm_and_turns_evenly() -> None:
    a, b = A / A.norm() * 3, B / B.norm() * 3
    path = great_circle(a, b, 7)
    torch.testing.assert_close(path.norm(dim=1), torch.full((7,), 3.0))
    cosines = torch.nn.functional.cosine_similarity(path[:-1], path[1:])
    torch.testing.assert_close(cosines, cosines[:1].expand(6))
    assert torch.equal(path[0], a) and torch.equal(path[-1], b)
    assert straight_line(a, b, 7)[3].norm() < 2.8, "which a straight line does not"


def test_a_great_circle_goes_from_one_norm_to_the_other() -> None:
    norms = great_circle(A, 3 * B, 5).norm(dim=1)
    torch.testing.assert_close(norms, torch.linspace(float(A.norm()), float(3 * B.norm()), 5))


@pytest.mark.parametrize("last", [2 * A, -A, torch.zeros(12)], ids=["parallel", "opposite", "zero"])
def test_where_there_is_no_one_great_circle_the_line_is_straight(last: torch.Tensor) -> None:
    assert torch.equal(great_circle(A, last, 5), straight_line(A, last, 5))


def test_codes_go_straight_beside_noise_that_goes_round() -> None:
    from types import SimpleNamespace

    from motionsynth.families.capabilities import LatentCode

    family = SimpleNamespace(latent_codes=(LatentCode("c", "continuous", slice(0, 2)),))
    path = path_between(family, A, B, 5, linear=False)
    assert torch.equal(path[:, :2], straight_line(A, B, 5)[:, :2])
    assert torch.equal(path[:, 2:], great_circle(A[2:], B[2:], 5))


def test_axes_vary_nothing_but_their_own_numbers() -> None:
    z, captions = Axis("kind", slice(1, 4), -1, 1, classes=3).vary(A, 8)
    assert torch.equal(z[:, 1:4], torch.eye(3)) and captions == ["class 0", "class 1", "class 2"]
    assert torch.equal(z[:, 4:], A[4:].expand(3, -1)) and torch.equal(z[:, 0], A[:1].expand(3))
    z, captions = Axis("z2", slice(2, 3), -2, 2).vary(A, 5)
    assert z[:, 2].tolist() == [-2, -1, 0, 1, 2] and captions[0] == "-2.00"
    assert torch.equal(z[:, 3:], A[3:].expand(5, -1))
