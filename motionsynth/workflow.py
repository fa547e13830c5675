"""What the commands do, callable from Python: train, generate, reconstruct, compare, convert."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from motionsynth.errors import ConfigError, MotionSynthError, RunError

if TYPE_CHECKING:
    from torch import Tensor

    from motionsynth.config import RunConfig
    from motionsynth.corpus.corpus import Corpus
    from motionsynth.motion.clip import Clip
    from motionsynth.run import Run
    from motionsynth.training.trainer import ProgressListener

__all__ = [
    "Outcome",
    "compare",
    "generate",
    "reconstruct",
    "resolve_config",
    "resume",
    "train",
    "train_once",
]

SHOWN = 6
"""Clips that a finished run keeps as samples and shows beside as many real ones."""

Reading = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    run: Run
    step: int
    exit_code: int = 0
    """0 where it finished; 130 or 143 where a signal stopped it."""
    warnings: tuple[str, ...] = field(default=())


def resolve_config(
    family: str, *, config: Path | None = None, data: Path | None = None, overrides: Iterable[str] = ()
) -> RunConfig:
    """The complete configuration of a run: the family's baseline (or ``config``), then ``data``, then the overrides.

    Raises:
        ConfigError: a file, key or value is wrong, or ``config`` is of another family.
    """
    from motionsynth.config import load_config
    from motionsynth.families import FAMILIES

    if family not in FAMILIES:
        raise ConfigError(None, "FAMILY", f"unknown family {family!r}; known: {', '.join(FAMILIES)}")
    resolved = load_config(config or baseline(family), data=data, overrides=overrides)
    if resolved.family.name != family:
        raise ConfigError(config, "family.name", f"is {resolved.family.name}, but {family} was asked for")
    return resolved


def baseline(family: str) -> Path:
    """The YAML that ships for a family: in the checkout, or inside the installed package."""
    package = Path(__file__).parent
    for folder in (package.parent / "configs" / "run", package / "configs" / "run"):
        if (path := folder / f"{family}.yaml").is_file():
            return path
    raise ConfigError(f"configs/run/{family}.yaml", None, "is missing; give --config")


def train(
    config: RunConfig,
    *,
    run_dir: Path | None = None,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Reading | None = None,
) -> Outcome:
    """Train one model, sample it, and deliver the run to MLflow.

    Args:
        config: what to train, on what, for how long.
        run_dir: where the run is kept; ``runs/FAMILY-TIME`` where None.
        device: ``auto``, ``cpu`` or ``cuda``.
        track: whether MLflow is fed while it trains.
        progress: told of every row of the journal.
        reading: told how many clips are read, of how many.

    Raises:
        ConfigError, CorpusError, BvhError: the configuration or the clips cannot be used.
        RunError: the run directory is not empty, or in use.
        TrainingError: a loss or a gradient stopped being finite.
    """
    from datetime import datetime

    from motionsynth.corpus.corpus import open_corpus
    from motionsynth.motion.bvh import write_bvh
    from motionsynth.run import create_run

    _device(device)  # a missing GPU is told before the clips are read
    corpus = open_corpus(config.data, progress=reading)
    run = create_run(
        run_dir or Path("runs") / f"{config.family.name}-{datetime.now():%Y%m%d-%H%M%S}",
        config,
        spec=corpus.spec.to_dict(),
        width=corpus.spec.width,
        labels=corpus.label_names,
        normaliser=corpus.normaliser.tensors(),
        corpus_fingerprint=corpus.fingerprint,
        splits=corpus.splits,
        write_skeleton=lambda path: write_bvh(corpus.spec.reference_clip(), path),
    )
    return _fit(run, corpus, device, track, progress)


def resume(
    run_dir: Path,
    *,
    family: str | None = None,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Reading | None = None,
) -> Outcome:
    """Go on with a run where it stopped or was killed; a run that has finished is left as it is.

    Raises:
        RunError: it is no run, is of another ``family``, is being trained, or its corpus has changed.
    """
    from motionsynth.corpus.corpus import open_corpus
    from motionsynth.run import open_run

    run = open_run(run_dir)
    if family is not None and run.record.family != family:
        raise RunError(run_dir, f"is a run of {run.record.family}, but {family} was asked for")
    if run.record.state == "finished":
        return Outcome(run, run.record.step)
    corpus = open_corpus(run.config.data, progress=reading)
    if corpus.fingerprint != run.record.corpus_fingerprint:
        raise RunError(run_dir, f"the clips in {run.config.data.path} are not those that the run began with")
    return _fit(run, corpus, device, track, progress)


def train_once(
    config: RunConfig,
    *,
    run_dir: Path,
    progress: ProgressListener | None = None,
    reading: Reading | None = None,
) -> Outcome:
    """``train``, or ``resume`` where ``run_dir`` already holds this very configuration.

    Raises:
        RunError: the directory holds another configuration, or as ``train`` and ``resume``.
    """
    from motionsynth.config import config_hash
    from motionsynth.run import open_run

    if not (run_dir / "run.json").exists():
        return train(config, run_dir=run_dir, progress=progress, reading=reading)
    if open_run(run_dir).record.config_hash != config_hash(config):
        raise RunError(run_dir, "holds a run of another configuration; delete it, or name another folder")
    return resume(run_dir, progress=progress, reading=reading)


def _fit(run: Run, corpus: Corpus, device: str, track: bool, progress: ProgressListener | None) -> Outcome:
    """Train in an open run directory, from its newest checkpoint where it has one."""
    from motionsynth.tracking.feeder import start_feeder
    from motionsynth.training.determinism import build_family
    from motionsynth.training.journal import Journal
    from motionsynth.training.trainer import Trainer

    with run.lock():
        run.update(state="running", pid=os.getpid(), host=socket.gethostname(), error=None)
        feeder = start_feeder(run.path) if track else None
        try:
            with Journal(run.journal_path) as journal:
                trainer = Trainer(
                    build_family(run.config.family, run.shape, run.config.train.seed),
                    run.config.family,
                    run.config.train,
                    corpus.windows("train"),
                    corpus.windows("validation"),
                    device=_device(device),
                    journal=journal,
                    checkpoints=run.checkpoints_path,
                    listener=progress,
                )
                trainer.resume()
                result = trainer.fit()
            if result.outcome == "stopped":
                run.update(state="stopped", step=result.step, pid=None, host=None)
            else:
                run.save_weights(result.weights, result.averages, step=result.step)
                _keep_samples(run, corpus)
                run.update(state="finished", pid=None, host=None)
        except BaseException as error:
            state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            run.update(state=state, pid=None, host=None, error=str(error) or type(error).__name__)
            raise
        finally:
            warning = feeder.close().warning if feeder else None
    return Outcome(run, result.step, result.exit_code, (warning,) if warning else ())


def _keep_samples(run: Run, corpus: Corpus) -> None:
    """``samples/``: a few generated clips, as many real ones that went the same way, a page and a GIF of both."""
    from motionsynth.view.gif import write_gif

    generate(run.path, SHOWN)
    real = corpus.windows("validation")
    whole = real.mask_NT.all(1).nonzero().flatten()
    chosen = whole[:: max(1, len(whole) // SHOWN)][:SHOWN]
    names = [f"{Path(real.clips[int(real.clip_N[i])]).stem}_{int(real.start_N[i]):04}" for i in chosen]
    _write_windows(run, real.motion_NTD[chosen], run.samples_path / "real", names)
    compare([run.path], run.samples_path / "player.html")
    rows = _sample_rows(run)
    write_gif(
        [(f"{group}", clip) for group, clips in rows.items() for _, clip in clips],
        run.samples_path / "preview.gif",
        columns=SHOWN,
    )


def generate(
    run_dir: Path,
    count: int,
    *,
    seed: int = 0,
    out: Path | None = None,
    frames: int | None = None,
    device: str = "auto",
) -> list[Path]:
    """Draw ``count`` clips from a run and write them as portable BVH: same seed, same bytes.

    Args:
        run_dir: a run that has finished.
        count: clips to draw.
        seed: any integer.
        out: folder to write; the run's ``samples`` where None.
        frames: length of each clip; the window trained on where None.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        RunError: no run, no weights, or damaged ones.
        MotionSynthError: the family cannot make that many frames.
    """
    from motionsynth.run import open_run
    from motionsynth.sampling import draw_samples

    run = open_run(run_dir)
    try:
        samples = draw_samples(run, count, seed, frames=frames, device=_device(device))
    except ValueError as error:
        raise MotionSynthError(str(error)) from error
    digits = max(4, len(str(count - 1)))
    names = [f"{index:0{digits}}" for index in range(count)]
    return _write_windows(run, samples.motion_NTD, out or run.samples_path, names)


def reconstruct(run_dir: Path, clips: Sequence[Path], out: Path, *, device: str = "auto") -> list[Path]:
    """Send clips through a run's encoder and decoder, window by window, and write what comes back as portable BVH.

    Raises:
        RunError: no run, or a family that does not reconstruct.
        BvhError, CorpusError: a clip cannot be read, or does not have the run's skeleton.
    """
    import torch

    from motionsynth.corpus.corpus import prepare_clip
    from motionsynth.corpus.windows import cut_windows
    from motionsynth.families.base import Reconstructs
    from motionsynth.features.encode import encode
    from motionsynth.run import open_run

    run = open_run(run_dir)
    family = run.load_family(_device(device))
    if not isinstance(family, Reconstructs):
        raise RunError(run_dir, f"{run.record.family} has no encoder, so it cannot reconstruct")
    spec, normaliser, length = run.spec(), run.normaliser(), run.record.frames
    written = []
    for path in clips:
        feature_TD = normaliser.normalise(encode(prepare_clip(path, run.config.data, spec), spec))
        windows = cut_windows([feature_TD], {}, [path.name], length=length, stride=length)
        with torch.no_grad():
            back_NTD = family.reconstruct(windows.to(_device(device)).batch(torch.arange(len(windows)))).float().cpu()
        # the windows lie end to end but for the last, which ends on the clip's last frame
        back_TD = torch.zeros_like(feature_TD)
        for start, back in zip(windows.start_N.tolist(), back_NTD, strict=True):
            back_TD[start : start + length] = back[: len(feature_TD) - start]
        written += _write_windows(run, back_TD[None], out, [path.stem])
    return written


def compare(run_dirs: Sequence[Path], page: Path) -> Path:
    """Write a page that plays real clips and the samples of several runs side by side.

    Raises:
        RunError: a run has not finished, so it has no samples.
    """
    from motionsynth.run import open_run
    from motionsynth.view.player import write_player

    groups: dict[str, Sequence[tuple[str, Clip]]] = {}
    for path in run_dirs:
        run = open_run(path)
        for group, clips in _sample_rows(run).items():
            groups.setdefault(group, clips)
    families = " and ".join(group for group in groups if group != "real")
    write_player([], page, title=f"Real motion beside {families}", groups=groups)
    return page


def _sample_rows(run: Run) -> dict[str, list[tuple[str, Clip]]]:
    from motionsynth.motion.bvh import read_bvh

    rows = {"real": run.samples_path / "real", run.record.family: run.samples_path}
    found = {
        group: [(path.stem, read_bvh(path)) for path in sorted(folder.glob("*.bvh"))[:SHOWN]]
        for group, folder in rows.items()
    }
    if not all(found.values()):
        raise RunError(run.samples_path, "holds no samples: training has not finished")
    return found


def _write_windows(run: Run, motion_NTD: Tensor, folder: Path, names: Sequence[str]) -> list[Path]:
    """Decode normalised windows and write one BVH file each."""
    from motionsynth.features.encode import decode_batch
    from motionsynth.motion.bvh import write_bvh

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.bvh" for name in names]
    clips = decode_batch(run.normaliser().denormalise(motion_NTD), run.spec())
    for path, clip in zip(paths, clips, strict=True):
        write_bvh(clip, path)
    return paths


def _device(name: str) -> str:
    import torch

    if name not in ("auto", "cpu", "cuda") and not name.startswith("cuda:"):
        raise ConfigError(None, "--device", f"{name!r} is not auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(None, "--device", "cuda was asked for, but no GPU can be used; say cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
