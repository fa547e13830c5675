"""Train generative models of skeletal motion through one pipeline, and compare what they make.

Example:
    >>> import motionsynth as ms
    >>> small = ["family.latent_dim=4", "family.backbone={components: 16, width: 32}", "family.fitted.components=4"]
    >>> config = ms.resolve_config("vae", data="walkers", overrides=[*small, "train.steps=20", "train.batch_size=8"])
    >>> run = ms.train(config, run_dir="runs/vae", track=False).run
    >>> clips = ms.generate(run.path, 2, out="generated")
    >>> [path.name for path in clips], len(ms.read_bvh(clips[0]))
    (['0000.bvh', '0001.bvh'], 64)
"""

# Nothing is imported here: `python -m motionsynth` comes past with the working folder first on the path.
TYPE_CHECKING = False  # which type checkers take for true, as they do typing's
if TYPE_CHECKING:
    from typing import Any

    from motionsynth.config import load_config, resolve_config
    from motionsynth.corpus.convert import convert_path
    from motionsynth.corpus.corpus import open_corpus
    from motionsynth.corpus.inspect import inspect_path
    from motionsynth.errors import (
        AmcError,
        BvhError,
        ClipError,
        ConfigError,
        CorpusError,
        MotionSynthError,
        RunError,
        TrainingError,
    )
    from motionsynth.evaluation.evaluate import evaluate
    from motionsynth.evaluation.scores import Scores
    from motionsynth.motion.amc import read_amc
    from motionsynth.motion.bvh import read_bvh, write_bvh
    from motionsynth.motion.clip import Clip
    from motionsynth.motion.convert import Conversion
    from motionsynth.motion.formats import read_clip
    from motionsynth.motion.mirror import mirror
    from motionsynth.motion.portable import to_portable
    from motionsynth.motion.resample import resample
    from motionsynth.motion.skeleton import EndSite, Skeleton
    from motionsynth.runs.export import Export
    from motionsynth.runs.generation import compare, generate, reconstruct
    from motionsynth.runs.run import Run, open_run
    from motionsynth.runs.sampling import draw_samples
    from motionsynth.runs.train import Outcome, resume, train
    from motionsynth.runs.translation import translate
    from motionsynth.tracking.local import list_runs
    from motionsynth.tracking.sync import sync_run
    from motionsynth.view.gif import write_gif
    from motionsynth.view.player import write_player
    from motionsynth.walkers.corpus import make_walkers

__version__ = "0.1.0"

_HOMES = {
    "AmcError": "errors",
    "BvhError": "errors",
    "Clip": "motion.clip",
    "ClipError": "errors",
    "ConfigError": "errors",
    "Conversion": "motion.convert",
    "CorpusError": "errors",
    "EndSite": "motion.skeleton",
    "Export": "runs.export",
    "MotionSynthError": "errors",
    "Outcome": "runs.train",
    "Run": "runs.run",
    "RunError": "errors",
    "Scores": "evaluation.scores",
    "Skeleton": "motion.skeleton",
    "TrainingError": "errors",
    "compare": "runs.generation",
    "convert_path": "corpus.convert",
    "draw_samples": "runs.sampling",
    "evaluate": "evaluation.evaluate",
    "generate": "runs.generation",
    "inspect_path": "corpus.inspect",
    "list_runs": "tracking.local",
    "load_config": "config",
    "make_walkers": "walkers.corpus",
    "mirror": "motion.mirror",
    "open_corpus": "corpus.corpus",
    "open_run": "runs.run",
    "read_amc": "motion.amc",
    "read_bvh": "motion.bvh",
    "read_clip": "motion.formats",
    "reconstruct": "runs.generation",
    "resample": "motion.resample",
    "resolve_config": "config",
    "resume": "runs.train",
    "sync_run": "tracking.sync",
    "to_portable": "motion.portable",
    "train": "runs.train",
    "translate": "runs.translation",
    "write_bvh": "motion.bvh",
    "write_gif": "view.gif",
    "write_player": "view.player",
}

__all__ = [
    "AmcError",
    "BvhError",
    "Clip",
    "ClipError",
    "ConfigError",
    "Conversion",
    "CorpusError",
    "EndSite",
    "Export",
    "MotionSynthError",
    "Outcome",
    "Run",
    "RunError",
    "Scores",
    "Skeleton",
    "TrainingError",
    "compare",
    "convert_path",
    "draw_samples",
    "evaluate",
    "generate",
    "inspect_path",
    "list_runs",
    "load_config",
    "make_walkers",
    "mirror",
    "open_corpus",
    "open_run",
    "read_amc",
    "read_bvh",
    "read_clip",
    "reconstruct",
    "resample",
    "resolve_config",
    "resume",
    "sync_run",
    "to_portable",
    "train",
    "translate",
    "write_bvh",
    "write_gif",
    "write_player",
]


def __getattr__(name: str) -> "Any":
    """Import a public name where it is first used, so that ``import motionsynth`` stays light."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
