"""A study with known answers and made-up results: what its report is tested on, and looked at with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from motionsynth.corpus.motions import MotionSet
from motionsynth.features.encode import encode
from motionsynth.features.spec import FeatureSpec
from motionsynth.study.plan import Cell, StudyConfig
from motionsynth.study.results import CellResult, DoseReading, ViewResult
from motionsynth.walkers.corpus import plan_walkers, walker_clip

NASTY = '<b>x</b> | *y* & "z"'


def study(**changes: Any) -> StudyConfig:
    plain: dict[str, Any] = {
        "name": "made-up",
        "question": "VAE blurs and GAN drops modes: in motion, do they differ?",
        "corpora": {
            "walkers": {"title": "walkers (procedural)", "data": {"path": "data/walkers"}},
            "real": {"title": "motion capture", "data": {"path": "data/real"}},
        },
        "seeds": 5,
        "arms": {
            "gan": {"title": "GAN", "family": "gan", "views": {"samples": {}, "without EMA": {"ema": False}}},
            "vae": {
                "title": "VAE",
                "family": "vae",
                "views": {
                    "prior mean": {"prior": "normal", "show": "mean"},
                    "prior sample": {"prior": "normal", "show": "sample"},
                    "fitted prior": {"prior": "fitted", "show": "mean"},
                    "reconstruction": {"reconstruct": True},
                },
            },
            "ae": {"title": "AE", "family": "ae"},
            "aae": {"title": f"AAE {NASTY}", "family": "aae"},
            "gmm": {"title": "EM (mixture of PPCA)", "family": "gmm"},
            "gan_proximal": {"title": "GAN with the proximal term", "family": "gan_proximal"},
            "real": {"title": "real training motion", "landmark": "real", "tier": "landmark"},
            "memoriser": {"landmark": "memoriser", "tier": "landmark", "set": {"windows": 128}},
            "mean_clip": {"title": "mean clip", "landmark": "mean_clip", "tier": "landmark", "seeds": 1},
            "low_pass": {"title": "low-passed at 4 Hz", "landmark": "low_pass", "tier": "landmark", "set": {"hz": 4}},
            "vae_sigma": {"title": "VAE, sigma 0.3", "family": "vae", "tier": "B", "seeds": 3},
            "ali": {"title": "ALI", "family": "ali", "tier": "B", "seeds": 3},
        },
        "useful": {"figure": "fidelity/frechet.pca", "share": 0.5, "of": "mean_clip"},
        "contrast": ["gan", "vae"],
        "caveats": ["All of this is made up."],
        "cut": {
            "aae-drops": {
                "says": "The AAE drops modes.", "endpoint": {"dose": "drop"}, "first": "aae", "second": "gan",
                "direction": "greater", "margin": 0.1, "why": "Cut before anything was made up.",
            },
        },
        "hypotheses": {
            "vae-blurs": {
                "says": "VAE samples are more blurred than GAN samples.",
                "endpoint": {"dose": "blur"}, "first": "vae", "second": "gan", "direction": "greater", "margin": 0.1,
            },
            "gan-drops": {
                "says": "GAN samples cover fewer cells than VAE samples.",
                "endpoint": {"metric": "modes/cells_covered", "axis": "drop"},
                "first": "gan", "second": "vae", "direction": "less", "margin": 0.05,
            },
            "ema-covers": {
                "says": "Averaged weights cover more.",
                "endpoint": {"metric": "modes/cells_covered", "axis": "drop"},
                "first": "gan", "second": "gan@without EMA", "direction": "greater", "margin": 0.1,
            },
            "aae-blurs": {
                "says": "The AAE blurs more than the GAN.",
                "endpoint": {"dose": "blur"}, "first": "aae", "second": "gan", "direction": "greater", "margin": 0.1,
            },
            "term-blurs": {
                "says": "The proximal term blurs more than the VAE does.",
                "endpoint": {"dose": "blur"},
                "first": "gan_proximal", "second": "vae", "direction": "greater", "margin": 0.1,
            },
        },
        **changes,
    }  # fmt: skip
    return StudyConfig.model_validate(plain)


BLUR_DROP: Mapping[str, tuple[float, float]] = {
    "gan": (0.0, 0.35), "gan/without EMA": (0.0, 0.36), "vae": (0.62, 0.08), "vae/prior sample": (0.05, 0.1),
    "vae/fitted prior": (0.5, 0.05), "vae/reconstruction": (0.4, 0.02), "ae": (0.55, 0.12), "aae": (0.2, 0.3),
    "gmm": (0.45, 0.03), "gan_proximal": (0.15, 0.3), "real": (0.02, 0.01), "memoriser": (0.01, 0.5),
    "mean_clip": (1.0, 0.95), "low_pass": (0.45, 0.01), "vae_sigma": (0.3, 0.2), "ali": (0.35, 0.4),
}  # fmt: skip
"""Arm, or arm and view -> where it stands."""
FRECHET = {"mean_clip": 900.0, "aae": 800.0, "real": 3.0}


def planned(of: StudyConfig) -> list[Cell]:
    return [
        Cell(of.name, arm, corpus, seed, None, f"{number:016x}", None)
        for number, (arm, corpus, seed) in enumerate(
            (arm, corpus, seed) for corpus in of.corpora for arm in of.arms for seed in of.seeds_of(arm)
        )
    ]


def results(of: StudyConfig, *, lost: int = 3, diverged: int = 1) -> dict[str, CellResult]:
    """A result of every cell but the last few; the first seeds of the ALI diverged."""
    cells = planned(of)[: -lost or None]
    return {cell.key: _result(of, cell, diverged) for cell in cells}


def _result(of: StudyConfig, cell: Cell, diverged: int) -> CellResult:
    rng = np.random.default_rng(int(cell.key, 16))
    arm, lost = of.arms[cell.arm], cell.arm == "ali" and cell.seed < diverged
    trained = arm.family is not None
    return CellResult(
        study=of.name, arm=cell.arm, corpus=cell.corpus, seed=cell.seed, key=cell.key,
        state="diverged" if lost else "finished", error="step 1200: generator/loss is nan" if lost else "",
        hypotheses_sha256=of.hypotheses_sha256, measure_sha256=of.measure_sha256(cell.arm),
        fingerprint=f"{cell.corpus}-fingerprint", judge=f"{cell.corpus}-judge",
        calibration=f"{cell.corpus}-calibration", config={},
        steps=6000 if trained else 0,
        seconds={"train": 200 + 5 * rng.normal(), "measure": 20 + rng.normal()} if trained else {"measure": 20.0},
        parameters={"decoder": 250_000, "critic": 120_000} if trained else {},
        machine={"device": "CPU", "processor": "Some Processor", "cores": 2, "threads": 1, "torch": "2.8.0"},
        created=f"2026-01-0{1 + cell.seed % 9}T10:00:00+00:00", versions={"motionsynth": "0.1.0", "commit": "abc"},
        curve=_curve(rng) if trained and not lost else (),
        views={} if lost else {view: _view(of, cell, view, rng) for view in arm.views},
        notes=["16 clips shorter than 64 frames are left out"],
    )  # fmt: skip


def _curve(rng: np.random.Generator) -> list[tuple[int, float, float]]:
    steps = range(1000, 7000, 1000)
    return [(step, step / 1500, 300 * np.exp(-step / 1500) + 20 + 3 * rng.random()) for step in steps]


def _view(of: StudyConfig, cell: Cell, view: str, rng: np.random.Generator) -> ViewResult:
    main = view == of.arms[cell.arm].main_view
    blur, drop = BLUR_DROP[cell.arm if main else f"{cell.arm}/{view}"]
    blur, drop = (share + 0.02 * float(rng.normal()) for share in (blur, drop))
    hertz = np.arange(0, 15.1, 0.5)
    figures = {
        "smoothness/energy_above_5hz_within": float(np.exp(-4 * blur)),
        "smoothness/jerk_ratio_within": float(np.exp(-2 * blur)),
        "modes/cells_covered": 1 - drop,
        "modes/coverage.autoencoder": 0.95 - drop,
        "modes/recall.pca": 0.9 - drop,
        "modes/precision.pca": 0.7 + 0.2 * blur,
        "fidelity/frechet.pca": FRECHET.get(cell.arm, 40.0) + rng.normal(),
        "fidelity/foot_skate": 0.05 + 0.1 * blur,
        "walker/off_manifold": 0.01 * (1 + rng.random()),
    }
    doses = {
        "blur": _reading(
            "low_pass", blur, 15 * np.exp(-blur * np.log(15 / 0.8)), "as smooth as real motion low-passed"
        ),
        "drop": _reading("cells", drop, drop * 0.97, "covers as much as real data with cells dropped"),
    }
    if cell.arm in ("gan", "gan_proximal"):
        share = -0.1 + 0.02 * float(rng.normal())
        doses["blur"] = DoseReading(
            doses["blur"].key, share, "other side", None, "low_pass", "outside the range: jitter"
        )
    rough = 0.2 + 0.01 * rng.normal() if cell.arm in ("gan", "gan_proximal") else 0.0
    doses["jitter"] = _reading("jitter", rough, 4 * rough, "as rough as real motion with jitter")
    undefined = {"modes/recall.autoencoder": "too few windows"}
    decibels = -8 * blur * np.log2(1 + hertz)
    spectrum = {"frequencies_hz": hertz.tolist(), "decibels": decibels.tolist()}
    return ViewResult(figures, undefined, doses, spectrum, _cells(cell.corpus, -4 * blur))


def _cells(corpus: str, log: float) -> dict[str, dict[str, float]]:
    """Three cells of walkers, 40 of motion capture; every other is rougher than their mean, the others smoother."""
    names = ["walk/calm", "walk/brisk", "run/brisk"]
    if corpus == "real":
        names = [f"{content}/{style}" for content in ("walk", "run", "wave", "bow") for style in "abcdefghij"]
    real = {name: 400.0 - 3 * place for place, name in enumerate(names)}
    off = {name: 0.6 if place % 2 == 0 else -0.6 for place, name in enumerate(names)}
    cells = {
        name: {"windows": 100.0, "real": real[name], "energy_above_5hz": log + off[name], "energy": log}
        for name in names
    }
    if corpus == "walkers":
        cells["run/brisk"] = {"windows": 0.0, "real": real["run/brisk"]}
    return cells


def _reading(kind: str, share: float, dose: float, words: str) -> DoseReading:
    key = "smoothness/energy_above_5hz_within" if kind == "low_pass" else "modes/cells_covered"
    if share > 0.9:
        return DoseReading(key, share, "beyond", None, kind, f"{words} farther than the strongest dose")
    if share < 0.03:
        return DoseReading(key, share, "none", None, kind, "none beyond real motion")
    return DoseReading(key, share, "measured", float(dose), kind, f"{words}: {dose:.2g}")


def walker_motions(count: int = 3, frames: int = 40) -> MotionSet:
    """Windows of walkers, as models draw them."""
    clip = walker_clip(plan_walkers(12, 0)[0][0].parameters)
    spec = FeatureSpec.for_clip(clip, frame_rate=clip.frame_rate, metres_per_unit=0.01)
    windows_NTD = encode(clip, spec)[: count * frames].reshape(count, frames, -1).float()
    names = tuple(str(place) for place in range(count))
    return MotionSet(windows_NTD, spec, names, names, {}, clip.frame_rate / 2)
