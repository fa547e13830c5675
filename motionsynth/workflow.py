"""Training from configuration to finished run, as `motionsynth train` does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from motionsynth.errors import ConfigError, RunError, unknown_word
from motionsynth.files import refuse_unwritable
from motionsynth.printable import shown
from motionsynth.provenance import shipped_file
from motionsynth.run_files import CONFIG, holds_run, refuse_taken

if TYPE_CHECKING:
    from motionsynth.config import DataConfig, RunConfig
    from motionsynth.corpus.corpus import Corpus
    from motionsynth.run import Run
    from motionsynth.settings import Setting
    from motionsynth.training.distributed import Ranks
    from motionsynth.training.trainer import ProgressListener

__all__ = ["Outcome", "new_run", "resolve_config", "resolve_data", "resume", "settle", "train", "train_once"]

Reading = Callable[[int, int], None]
Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    run: Run
    step: int
    exit_code: int = 0
    """0 where it finished; 130 or 143 where a signal stopped it."""
    warnings: tuple[str, ...] = field(default=())


def resolve_config(
    family: str, *, config: Path | None = None, data: Path | None = None, overrides: Iterable[str | Setting] = ()
) -> RunConfig:
    """The complete configuration of a run: the family's baseline (or ``config``), then ``data``, then the overrides.

    Raises:
        ConfigError: a file, key or value is wrong, or ``config`` is of another family.
    """
    from motionsynth.config import load_config
    from motionsynth.families import FAMILIES

    if family not in FAMILIES:
        raise ConfigError(None, "FAMILY", unknown_word(f"family {family!r}", family, FAMILIES))
    resolved = load_config(config or baseline(family), data=data, overrides=overrides)
    if resolved.family.name != family:
        raise ConfigError(config, "family.name", f"is {resolved.family.name}, but {family} was asked for")
    return resolved


def resolve_data(corpus: Path | None, *, settings: Path | None = None, overrides: Sequence[str] = ()) -> DataConfig:
    """Which clips, and what becomes of them, for commands that train no family.

    Args:
        corpus: folder of clips, YAML of a data section, or run directory, whose clips are then read as the run read
            them; the folder that ``settings`` names where None.
        settings: a YAML of the data section; what neither says is as in the shipped runs.
        overrides: as ``--set`` takes them, such as ``data.stride_frames=16``.

    Raises:
        ConfigError: a file, key or value is wrong, an override is not of the data section, or no clips are named.
    """
    from motionsynth.config import load_config
    from motionsynth.run import open_run
    from motionsynth.settings import Setting

    if corpus is None and settings is None:
        raise ConfigError(None, "CORPUS", "is missing: name a folder of BVH or AMC files, or a YAML by --data")
    changes: list[str | Setting] = list(overrides)
    if stranger := next((text for text in overrides if not text.strip().startswith("data.")), None):
        raise ConfigError("--set", shown(stranger), "is not of the data section, such as data.window_frames=32")
    if corpus is not None and settings is not None:
        changes.insert(0, Setting(("data", "path"), str(corpus), "CORPUS"))
    elif corpus is not None and holds_run(corpus):
        run = open_run(corpus)
        folders = {"path": run.data.path, "second": run.data.second}
        there = [Setting(("data", key), str(path), str(run.path)) for key, path in folders.items() if path]
        return load_config(corpus / CONFIG, overrides=[*there, *changes]).data
    return load_config(baseline(), data=settings or corpus, overrides=changes).data


def settle(config: RunConfig, device: str = "auto") -> RunConfig:
    """The configuration with what ``auto`` threads and precision stand for on this machine, as a run keeps it.

    Raises:
        ConfigError: there is no such device.
    """
    from motionsynth.training.device import resolve_device
    from motionsynth.training.machine import settled

    return config.model_copy(update={"train": settled(config.train, config.family, resolve_device(device))})


def baseline(family: str = "gmm") -> Path:
    """The YAML that ships for a family, in the checkout or inside the installed package.

    Without a family: the one whose data section is that of commands that train none, with windows every fourth frame.
    """
    if path := shipped_file(f"configs/run/{family}.yaml"):
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
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Train one model, sample it, and deliver the run to MLflow.

    Of several processes that train it, rank 0 alone does all but train, and is alone to be given ``progress``,
    ``reading`` and ``announce``.

    Args:
        config: what to train, on what, for how long.
        run_dir: where the run is kept; ``runs/FAMILY-TIME`` where None.
        device: ``auto``, ``cpu`` or ``cuda``.
        track: whether MLflow is fed while it trains.
        progress: told of every row of the journal.
        reading: told how many clips are read, of how many.
        announce: told, a line at a time, what ``auto`` stands for, what the corpus holds, what was left out, and what
            a basis keeps.
        ranks: the processes that train it, of ``joined_ranks``; this one alone where None.
        tags: what the run belongs to, kept in ``run.json`` and shown by MLflow.

    Raises:
        ConfigError, CorpusError, ClipError: the configuration or the clips cannot be used.
        RunError: the run directory is not empty, or in use.
        RanksError: another process of the training has gone.
        TrainingError: a loss or a gradient stopped being finite.
    """
    from motionsynth.trainings import fit_run

    run, corpus = begin(
        config, run_dir=run_dir, device=device, reading=reading, announce=announce, ranks=ranks, tags=tags
    )
    return fit_run(run, corpus, device=device, track=track, progress=progress, ranks=ranks)


def begin(
    config: RunConfig,
    *,
    run_dir: Path | None = None,
    device: str = "auto",
    reading: Reading | None = None,
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    tags: Mapping[str, str] | None = None,
    corpus: Corpus | None = None,
) -> tuple[Run, Corpus]:
    """The new run that ``train`` trains, and its corpus, which may be open already; see there."""
    from datetime import datetime

    from motionsynth.training.budget import refuse_company, refuse_hopeless
    from motionsynth.training.distributed import Ranks
    from motionsynth.training.machine import chosen

    ranks = ranks or Ranks()
    run_dir = run_dir or Path("runs") / f"{config.family.name}-{datetime.now():%Y%m%d-%H%M%S}"
    # a missing GPU and a taken place are told before the clips are read
    asked, config = config, settle(config, ranks.device(device))
    choice = chosen(asked.train, config.train)
    if ranks.first:
        refuse_taken(run_dir)
        refuse_unwritable(run_dir)
    refuse_company(config.family, config.train, ranks.size)
    refuse_hopeless(config.family, config.train)
    corpus = corpus or _open(config.data, reading, ranks)
    if announce:
        if choice:
            announce(f"auto: {', '.join(f'train.{key} {value}' for key, value in choice.items())}")
        for line in corpus.report.lines():
            announce(line)
        if config.family.surrogate:
            announce(config.family.surrogate)
    refuse_company(config.family, config.train, ranks.size, corpus.windows("train"))
    refuse_hopeless(config.family, config.train, corpus.windows("train"))
    _refuse_unbuildable(config, corpus)
    if announce and (how := config.family.basis) and (basis := corpus.basis(how)):
        announce(basis.account(getattr(how, "components", 0)))
    run = ranks.share(new_run(run_dir, config, corpus, tags) if ranks.first else None)
    assert run is not None
    if ranks.first and choice:
        run.update(chosen=choice)
    return run, corpus


def _refuse_unbuildable(config: RunConfig, corpus: Corpus) -> None:
    """Say before a directory is made what a family cannot be built for, with the classes of the labels it names."""
    from motionsynth.training.determinism import build_family

    try:
        build_family(config.family, corpus.shape, config.train.seed)
    except ValueError as error:
        key, _, reason = str(error).partition(": ") if str(error).startswith("family.") else ("family", "", str(error))
        named = [f"{name}: {', '.join(of)}" for name, of in corpus.label_names.items() if name in reason]
        raise ConfigError(None, key, "; ".join([reason, *named])) from error
    except (RuntimeError, MemoryError, OverflowError) as error:  # sizes beyond what this machine can hold
        reason = f"its networks cannot be built ({str(error).partition(chr(10))[0][:120]})"
        raise ConfigError(None, "family", reason) from error


def new_run(run_dir: Path, config: RunConfig, corpus: Corpus, tags: Mapping[str, str] | None = None) -> Run:
    """Make the directory of a run that is to learn from a corpus.

    Raises:
        RunError: the directory is not empty, or cannot be made.
    """
    from motionsynth.motion.bvh import write_bvh
    from motionsynth.run import create_run

    return create_run(
        run_dir,
        config,
        spec=corpus.spec.to_dict(),
        width=corpus.spec.width,
        labels=corpus.label_names,
        normaliser=corpus.normaliser.tensors(),
        basis=basis.tensors() if (basis := corpus.basis(config.family.basis)) else None,
        corpus_fingerprint=corpus.fingerprint,
        splits=corpus.splits,
        write_skeleton=lambda path: write_bvh(corpus.spec.reference_clip(), path),
        tags=tags,
    )


def resume(
    run_dir: Path,
    *,
    family: str | None = None,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Reading | None = None,
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    data: DataConfig | None = None,
) -> Outcome:
    """Go on with a run where it stopped or was killed; a run that has finished is left as it is.

    It may go on with another number of processes: the state is the same. ``data`` says where the clips are now; None
    where they are still where they were. ``announce`` is told how this machine differs from the one before.

    Raises:
        ConfigError: the processes cannot share it.
        RunError: it is no run, is of another ``family``, is being trained, or its corpus has changed.
        RanksError: another process of the training has gone.
    """
    from motionsynth.trainings import fit_run

    run, corpus = reopen(
        run_dir, family=family, device=device, reading=reading, announce=announce, ranks=ranks, data=data
    )
    if corpus is None:
        return Outcome(run, run.record.step)
    return fit_run(run, corpus, device=device, track=track, progress=progress, ranks=ranks)


def reopen(
    run_dir: Path,
    *,
    family: str | None = None,
    device: str = "auto",
    reading: Reading | None = None,
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    data: DataConfig | None = None,
    corpus: Corpus | None = None,
) -> tuple[Run, Corpus | None]:
    """The run that ``resume`` goes on with, and its corpus, None where it has finished; see there."""
    from motionsynth.run import open_run
    from motionsynth.training.budget import refuse_company
    from motionsynth.training.distributed import Ranks
    from motionsynth.training.machine import differences

    ranks = ranks or Ranks()
    where = ranks.device(device)
    run = ranks.share(open_run(run_dir) if ranks.first else None)
    assert run is not None
    if family is not None and run.record.family != family:
        raise RunError(run_dir, f"is a run of {run.record.family}, but {family} was asked for")
    if run.record.state == "finished":
        return run, None
    if announce:
        for line in differences(run.config.train, run.record.machine, where):
            announce(line)
    refuse_company(run.config.family, run.config.train, ranks.size)
    corpus = corpus or _open(data or run.data, reading, ranks)
    if corpus.fingerprint != run.record.corpus_fingerprint:
        raise RunError(run_dir, f"the clips in {corpus.config.path} are not those that the run began with")
    if data is not None and ranks.first:
        second = str(data.second.absolute()) if data.second else None
        with run.lock():
            run.update(corpus_path=str(data.path.absolute()), second_path=second)
    refuse_company(run.config.family, run.config.train, ranks.size, corpus.windows("train"))
    return run, corpus


def train_once(
    config: RunConfig,
    *,
    run_dir: Path,
    device: str = "auto",
    track: bool = True,
    progress: ProgressListener | None = None,
    reading: Reading | None = None,
    announce: Announce | None = None,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """``train``, or ``resume`` where ``run_dir`` already holds this very configuration.

    Where the clips lie may have changed: they are then read from where ``config`` has them. ``auto`` is what it was
    when the run began.

    Raises:
        RunError: the directory holds another configuration, or as ``train`` and ``resume``.
    """
    from motionsynth.trainings import fit_run

    run, corpus = begin_once(config, run_dir=run_dir, device=device, reading=reading, announce=announce, tags=tags)
    if corpus is None:
        return Outcome(run, run.record.step)
    return fit_run(run, corpus, device=device, track=track, progress=progress)


def begin_once(
    config: RunConfig,
    *,
    run_dir: Path,
    device: str = "auto",
    reading: Reading | None = None,
    announce: Announce | None = None,
    tags: Mapping[str, str] | None = None,
    corpus: Corpus | None = None,
) -> tuple[Run, Corpus | None]:
    """The run that ``train_once`` trains, and its corpus, None where it has finished; see there."""
    from motionsynth.config import config_hash
    from motionsynth.run import open_run
    from motionsynth.training.machine import CHOSEN

    if not holds_run(run_dir):
        return begin(
            config, run_dir=run_dir, device=device, reading=reading, announce=announce, tags=tags, corpus=corpus
        )
    run = open_run(run_dir)
    began, second = run.config.data, config.data.second
    there = config.data.model_copy(update={"path": began.path, "second": (second and began.second) or second})
    meant = {key: getattr(run.config.train, key) for key in CHOSEN if getattr(config.train, key) == "auto"}
    same = {"data": there, "train": config.train.model_copy(update=meant)}
    if run.record.config_hash != config_hash(config.model_copy(update=same)):
        raise RunError(run_dir, "holds a run of another configuration; delete it, or name another folder")
    return reopen(run_dir, device=device, reading=reading, announce=announce, data=config.data, corpus=corpus)


def _open(data: DataConfig, reading: Reading | None, ranks: Ranks) -> Corpus:
    """The corpus; rank 0 reads it, and the others then find it in the cache."""
    from motionsynth.corpus.corpus import open_corpus

    if not ranks.first:
        ranks.wait()
    corpus = open_corpus(data, progress=reading)
    if ranks.first:
        ranks.wait()
    return corpus
