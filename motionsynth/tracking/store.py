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

from motionsynth.errors import MotionSynthError, StoreError, TrackingError
from motionsynth.tracking.database import database_path, database_uri, prepare_database

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

__all__ = [
    "artifact_location",
    "ensure_experiment",
    "experiment_name",
    "find_experiment",
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
    """The store in use: ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` (sqlite) in ``folder`` (the working folder).

    Raises:
        StoreError: the folder's name has no place in an address.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    if not given:
        return database_uri((Path(folder) if folder else Path.cwd()).resolve() / "mlflow.db")
    try:
        database = database_path(given)
    except StoreError:
        return given  # said where it is opened
    return database_uri(database) if database else given


def experiment_name() -> str:
    """``MLFLOW_EXPERIMENT_NAME``, or ``motionsynth``."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or "motionsynth"


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its files: ``mlartifacts`` beside an sqlite store; None leaves it to a server.

    Always absolute, because MLflow would otherwise resolve its default against whichever folder it was created from.
    """
    if database := database_path(uri):
        return (database.parent / "mlartifacts").as_uri()
    scheme = urlsplit(uri).scheme
    if scheme in ("http", "https") or scheme.startswith("databricks"):
        return None
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
        StoreError: the database cannot be used.
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
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback of what it raises as well
    if database := database_path(uri):
        prepare_database(database)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def find_experiment(client: MlflowClient) -> Experiment | None:
    """The experiment that runs go to: that of ``MLFLOW_EXPERIMENT_ID``, or the one named; None where it is missing.

    Raises:
        StoreError: there is none of that id, it has another name than the one that is set too, or it was deleted in
            MLflow, so that nothing can be logged to it.
    """
    from mlflow.exceptions import MlflowException

    name, chosen = experiment_name(), os.environ.get("MLFLOW_EXPERIMENT_ID", "").strip()
    try:
        experiment = client.get_experiment(chosen) if chosen else client.get_experiment_by_name(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise StoreError(f"there is no experiment {chosen!r} there, which MLFLOW_EXPERIMENT_ID names") from error
    if experiment is None:
        return None
    if os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() not in ("", experiment.name):
        raise StoreError(f"MLFLOW_EXPERIMENT_ID={chosen} is {experiment.name!r}, not {name!r}; set one of the two")
    if experiment.lifecycle_stage != "active":
        raise StoreError(f"experiment {experiment.name!r} is deleted there; restore it, or set MLFLOW_EXPERIMENT_NAME")
    return experiment


def ensure_experiment(client: MlflowClient, uri: str) -> str:
    """The id of the experiment that runs go to, made where it is missing.

    Raises:
        StoreError: it cannot be used; see ``find_experiment``.
    """
    from mlflow.exceptions import MlflowException

    if (experiment := find_experiment(client)) is None:
        try:
            return str(
                client.create_experiment(experiment_name(), artifact_location=artifact_location(uri), tags=_KIND)
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = find_experiment(client)  # another run's feeder was faster
    assert experiment is not None
    return str(experiment.experiment_id)


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever a store raises into one ``TrackingError`` of one line, a ``StoreError`` where access is refused."""
    try:
        yield
    except MotionSynthError:
        raise
    except Exception as error:
        # artifact stores and database drivers are plug-ins with exceptions of their own; the run's files are safe,
        # so that every failure means the same: not delivered yet
        refused = getattr(error, "error_code", None) in ("UNAUTHENTICATED", "PERMISSION_DENIED")
        raise (StoreError if refused else TrackingError)(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    # beneath what SQLAlchemy and MLflow make of it lies the sentence of the database
    driver = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None)
    text: Any = str(driver or error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
