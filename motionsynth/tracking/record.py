"""Description of a run for MLflow, from its files: name, tags, parameters, dataset."""

from __future__ import annotations

import getpass
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from motionsynth.errors import ConfigError, RunError
from motionsynth.hashes import hash_bytes, hash_json
from motionsynth.run_files import CONFIG, RECORD, RunRecord
from motionsynth.tracking.liveness import process_alive, process_started
from motionsynth.yaml_files import read_yaml

__all__ = [
    "ERROR_TAG",
    "Description",
    "describe",
    "mlflow_key",
]

ERROR_TAG = "motionsynth.error"
"""Tag with the reason of a run's failure; a run that goes on has none."""
MAX_PARAM, MAX_TAG, MAX_KEY = 6000, 5000, 250

_NOT_ALLOWED = re.compile(r"[^\w\-. /:]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about a run that does not grow with its steps."""

    name: str
    start_ms: int | None
    tags: dict[str, str]
    params: dict[str, str]
    dataset: dict[str, str] | None
    """Name, digest, source and profile of the corpus."""

    @property
    def digest(self) -> str:
        """Changes when anything here does."""
        return hash_json(asdict(self))


def describe(run_dir: Path, record: RunRecord) -> Description:
    """Describe a run by its ``run.json`` and ``config.yaml``.

    Raises:
        RunError: the configuration cannot be read.
    """
    config = _config(run_dir)
    corpus = Path(record.corpus_path).name or None
    own = record.model_extra or {}
    tags = {
        "family": record.family,
        "corpus": corpus,
        "seed": _section(config, "train").get("seed"),
        "study": own.get("study"),
        "surrogate": record.surrogate,
        **record.tags,  # a study's name of the corpus is better than that of the folder
        "motionsynth.tracking_id": record.tracking_id,
        "motionsynth.version": record.motionsynth,
        "motionsynth.config_hash": record.config_hash,
        "motionsynth.corpus_fingerprint": record.corpus_fingerprint,
        "motionsynth.state": record.state,
        ERROR_TAG: record.error,
        "motionsynth.run_dir": str(run_dir.resolve()),
        "motionsynth.host": record.host,
        "motionsynth.pid": record.pid,
        "motionsynth.process_started": _process_started(run_dir, record),
        "mlflow.source.git.commit": record.git_commit,
        "mlflow.source.name": "motionsynth",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
    }
    return Description(
        name=str(own.get("name") or tags.get("mlflow.runName") or run_dir.resolve().name),
        start_ms=_milliseconds(record.created),
        tags={mlflow_key(key): _text(value)[:MAX_TAG] for key, value in tags.items() if value is not None},
        params={mlflow_key(key): _cut(_text(value)) for key, value in _flat(config)},
        dataset=_dataset(corpus, record.corpus_fingerprint, config),
    )


def mlflow_key(name: str) -> str:
    """``name`` as MLflow takes it; a name that had to change ends in a digest of the original, and stays unique."""
    key = posixpath.normpath(_NOT_ALLOWED.sub("_", name)).lstrip("/")
    key = "_" if key in ("", ".") else key.replace("..", "__")
    if key == name and len(key) <= MAX_KEY:
        return key
    digest = hash_bytes(name.encode("utf-8", "surrogatepass"))
    return f"{key[: MAX_KEY - 9]}_{digest[:8]}"


def _process_started(run_dir: Path, record: RunRecord) -> float | None:
    written = (run_dir / RECORD).stat().st_mtime
    alive = process_alive(record.pid, record.host, written)
    return process_started(record.pid) if alive else None


def _config(run_dir: Path) -> dict[str, Any]:
    path = run_dir / CONFIG
    if not path.exists():
        return {}
    try:
        return read_yaml(path).value
    except ConfigError as error:
        raise RunError(error.path or path, error.reason) from error


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section of a configuration, which may have been written by anyone; empty where it is none."""
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()  # a store takes no half of a pair of surrogates


def _cut(text: str) -> str:
    return text if len(text) <= MAX_PARAM else f"{text[: MAX_PARAM - 1]}…"


def _dataset(corpus: str | None, fingerprint: str, config: Mapping[str, Any]) -> dict[str, str] | None:
    if not fingerprint:
        return None
    data = _section(config, "data")
    return {
        "name": corpus or "corpus",
        "digest": fingerprint.rpartition(":")[2][:16],  # MLflow's limit is 36; the whole stands in the profile
        "source": json.dumps({"uri": str(data.get("path") or corpus)}),
        "profile": json.dumps({"fingerprint": fingerprint, **data}, default=str),
    }


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None  # a container may run under a number without a name


def _milliseconds(created: Any) -> int | None:
    try:
        return round(datetime.fromisoformat(created).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return None
