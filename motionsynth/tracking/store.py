"""Which MLflow store is meant, and how it is opened: quietly, without telemetry, and never for minutes."""

from __future__ import annotations

import logging
import os
import socket
import urllib.request
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from motionsynth.errors import MotionSynthError, TrackingError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = [
    "artifact_location",
    "ensure_experiment",
    "experiment_name",
    "open_client",
    "prepare_environment",
    "shown_uri",
    "store_errors",
    "tracking_uri",
    "unreachable_reason",
]

PROBE_SECONDS = 3.0
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the UI guesses, and may show its GenAI pages

_FORCED = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_DEFAULTS = {
    # MLflow's own retries would hold a dead server's caller for minutes, and a repeated POST can create a run twice;
    # the feeder retries instead, from what the store answers.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def tracking_uri(folder: str | Path | None = None) -> str:
    """The store in use: ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` (sqlite) in ``folder`` (the working folder)."""
    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if given:
        return given
    return f"sqlite:///{(Path(folder) if folder else Path.cwd()).resolve() / 'mlflow.db'}"


def experiment_name() -> str:
    """``MLFLOW_EXPERIMENT_NAME``, or ``motionsynth``."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or "motionsynth"


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its files: ``mlartifacts`` beside an sqlite store; None leaves it to a server.

    Always absolute, because MLflow would otherwise resolve its default against whichever folder it was created from.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") or parts.scheme.startswith("databricks"):
        return None
    if parts.scheme.startswith("sqlite"):
        database = Path(parts.path.removeprefix("/")) if parts.path else Path("mlflow.db")
        return (database.absolute().parent / "mlartifacts").as_uri()
    return (Path.cwd() / "mlartifacts").as_uri()


def shown_uri(uri: str) -> str:
    """``uri`` without user name and password: what may be printed and written into a run directory."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def prepare_environment(environment: MutableMapping[str, str] | None = None) -> None:
    """Switch telemetry off and bound every HTTP call; must run before MLflow is first imported."""
    environment = os.environ if environment is None else environment
    environment.update(_FORCED)
    for name, value in _DEFAULTS.items():
        environment.setdefault(name, value)


def unreachable_reason(uri: str) -> str | None:
    """Why the server behind an http(s) ``uri`` cannot be reached, found in seconds; None where nothing is known."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return None
    host = parts.hostname or ""
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return None  # a proxy connects on our behalf: only a real request can tell
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((host, port), timeout=PROBE_SECONDS):
            return None
    except (OSError, ValueError) as error:
        return f"no connection ({getattr(error, 'strerror', None) or error})"


def open_client(uri: str) -> MlflowClient:
    """A client on the store, with MLflow's chatter silenced and its errors left audible.

    Raises:
        TrackingError: the server cannot be reached.
    """
    reason = unreachable_reason(uri)
    if reason:
        raise TrackingError(reason)
    prepare_environment()
    # what those packages warn of is theirs to mend, and must not end a run under PYTHONWARNINGS=error
    warnings.filterwarnings("ignore", module=r"(alembic|mlflow|sqlalchemy)(\.|$)")
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def ensure_experiment(client: MlflowClient, uri: str) -> str:
    """The id of the experiment that runs go to, created where it is missing.

    Raises:
        TrackingError: the experiment was deleted in MLflow, so that nothing can be logged to it.
    """
    from mlflow.exceptions import MlflowException

    name = experiment_name()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_location(uri), tags=_KIND))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # another run's feeder was faster
    if experiment is None or experiment.lifecycle_stage != "active":
        raise TrackingError(f"experiment {name!r} is deleted there; restore it, or set MLFLOW_EXPERIMENT_NAME")
    return str(experiment.experiment_id)


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever a store raises into one ``TrackingError`` of one line."""
    try:
        yield
    except MotionSynthError:
        raise
    except Exception as error:
        # artifact stores and database drivers are plug-ins with exceptions of their own; the run's files are safe,
        # so that every failure means the same: not delivered yet
        raise TrackingError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    text: Any = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
