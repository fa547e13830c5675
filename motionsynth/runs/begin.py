"""The beginning of a training: settings are checked, clips opened, and a run directory made or found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from motionsynth.config import RunConfig, baseline, config_hash, load_config
from motionsynth.corpus.config import DataConfig
from motionsynth.corpus.corpus import Corpus, open_corpus
from motionsynth.errors import ConfigError, RunError
from motionsynth.files import refuse_unwritable
from motionsynth.motion.bvh import write_bvh
from motionsynth.printable import shown
from motionsynth.progress import Announce, Progress
from motionsynth.run_files import CONFIG, holds_run, refuse_taken
from motionsynth.runs.run import Run, create_run, open_run
from motionsynth.settings import Setting
from motionsynth.training.budget import refuse_company, refuse_hopeless
from motionsynth.training.determinism import build_family
from motionsynth.training.device import resolve_device
from motionsynth.training.distributed import Ranks
from motionsynth.training.machine import CHOSEN, chosen, differences, settled

__all__ = ["begin", "begin_once", "new_run", "reopen", "resolve_data", "settle"]


def resolve_data(corpus: Path | None, *, settings: Path | None = None, overrides: Sequence[str] = ()) -> DataConfig:
    """Resolve the choice and treatment of clips for commands that train no family.

    Args:
        corpus: folder of clips, YAML of a data section, or run directory, whose clips are then read as the run read
            them; the folder that ``settings`` names where None.
        settings: a YAML of the data section; what neither says is as in the shipped runs.
        overrides: as ``--set`` takes them, such as ``data.stride_frames=16``.

    Raises:
        ConfigError: a file, key or value is wrong, an override is not of the data section, or no clips are named.
    """
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
    return config.model_copy(update={"train": settled(config.train, config.family, resolve_device(device))})


def begin(
    config: RunConfig,
    *,
    run_dir: str | Path | None = None,
    device: str = "auto",
    reading: Progress | None = None,
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    tags: Mapping[str, str] | None = None,
    corpus: Corpus | None = None,
) -> tuple[Run, Corpus]:
    """The new run that ``train`` trains, and its corpus, which may be open already; see there."""
    ranks = ranks or Ranks()
    run_dir = Path(run_dir or f"runs/{config.family.name}-{datetime.now():%Y%m%d-%H%M%S}")
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
    """Raise before a directory is made where its family cannot be built, with the classes of the labels it names."""
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


def reopen(
    run_dir: str | Path,
    *,
    family: str | None = None,
    device: str = "auto",
    reading: Progress | None = None,
    announce: Announce | None = None,
    ranks: Ranks | None = None,
    data: DataConfig | None = None,
    corpus: Corpus | None = None,
) -> tuple[Run, Corpus | None]:
    """The run that ``resume`` goes on with, and its corpus, None where it has finished; see there."""
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


def begin_once(
    config: RunConfig,
    *,
    run_dir: str | Path,
    device: str = "auto",
    reading: Progress | None = None,
    announce: Announce | None = None,
    tags: Mapping[str, str] | None = None,
    corpus: Corpus | None = None,
) -> tuple[Run, Corpus | None]:
    """The run that ``train_once`` trains, and its corpus, None where it has finished; see there."""
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


def _open(data: DataConfig, reading: Progress | None, ranks: Ranks) -> Corpus:
    """The corpus; rank 0 reads it, and the others then find it in the cache."""
    if not ranks.first:
        ranks.wait()
    corpus = open_corpus(data, progress=reading)
    if ranks.first:
        ranks.wait()
    return corpus
