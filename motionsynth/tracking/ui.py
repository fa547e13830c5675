"""The MLflow UI on the right store: one worker, for this machine unless asked otherwise, at the model-training view."""

from __future__ import annotations

import errno
import http.client
import ipaddress
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from motionsynth.errors import TrackingError
from motionsynth.processes import child_environment, module_command
from motionsynth.tracking.liveness import sweep
from motionsynth.tracking.store import (
    artifact_location,
    ensure_experiment,
    open_client,
    prepare_environment,
    store_errors,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

__all__ = ["HOST", "UiCommand", "UiServer", "is_loopback", "start_ui", "ui_command"]

DEFAULT_PORT = 5000
HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_PORTS_TRIED = 50
_VIEW = "motionsynth"
_METRIC_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class UiCommand:
    """How to start the UI, and where it will be seen."""

    arguments: tuple[str, ...]
    """Empty where the store is a server, which shows itself."""
    environment: dict[str, str]
    address: str


def is_loopback(host: str) -> bool:
    """Test whether only this machine can reach an address that is listened on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, which may stand for anything


def ui_command(port: int = DEFAULT_PORT, uri: str | None = None, *, host: str = HOST) -> UiCommand:
    """The command line, environment and address of the UI; opens the store, creates it if it is new, sweeps dead runs.

    Args:
        port: gives way to the next free one where it is taken.
        uri: the store; ``tracking_uri()`` by default.
        host: address of this machine to listen on; ``0.0.0.0`` for all of them.

    Raises:
        TrackingError: the store cannot be opened, or no port is free.
    """
    uri = uri or tracking_uri()
    with store_errors():
        client = open_client(uri)
        experiment_id = ensure_experiment(client, uri)
        sweep(client, experiment_id)
        page = f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        if uri.startswith(("http://", "https://")):
            return UiCommand((), {}, f"{uri.rstrip('/')}/{page}")  # other people's, whose views are not ours to change
        if columns := _columns(client, experiment_id):
            # MLflow's list of runs shows no metric until a person picks columns; a shared view picks them
            view = {"selectedColumns": columns, "orderByKey": "attributes.start_time", "orderByAsc": False}
            client.set_experiment_tag(experiment_id, f"mlflow.sharedViewState.{_VIEW}", json.dumps(view))
            page += f"&viewStateShareKey={_VIEW}"
    port = _free_port(host, port)
    environment = child_environment()
    prepare_environment(environment)
    environment.pop("PYTHONWARNINGS", None)  # what MLflow's server warns of must not end it
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # background jobs of a product that is not used here
    options = ["--backend-store-uri", uri, "--host", host, "--port", str(port), "--workers", "1"]
    # uvicorn looks for the server's modules in a folder of its own choice first, and that is the working folder
    options += ["--uvicorn-opts", f"--app-dir {os.devnull}"]
    if location := artifact_location(uri):
        options += ["--default-artifact-root", location]
    arguments = module_command("mlflow", "server", *options)
    return UiCommand(tuple(arguments), environment, f"http://{_shown_host(host)}:{port}/{page}")


class UiServer:
    """A running UI; a context manager that ends it."""

    def __init__(self, command: UiCommand) -> None:
        self.address = command.address
        """What to open in a browser."""
        self._process: subprocess.Popen[bytes] | None = None
        if command.arguments:
            self._process = subprocess.Popen(
                command.arguments, env=command.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def wait_until_ready(self, timeout: float = _START_SECONDS) -> None:
        """Return when the address answers.

        Raises:
            TrackingError: it ended, or did not answer in ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        health = self.address.partition("#")[0] + "health"
        while self._process is not None:
            if self._process.poll() is not None:
                raise TrackingError(f"the MLflow UI ended with {self._process.returncode} while starting")
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(health, timeout=2.0):
                    return
            except (OSError, http.client.HTTPException):  # nobody there, or a connection that met itself
                if time.monotonic() > deadline:
                    raise TrackingError(f"the MLflow UI did not answer within {timeout:.0f} s") from None
                time.sleep(0.1)

    def wait(self) -> int:
        """Stay until the UI ends, is interrupted, or this process is told to terminate."""
        if self._process is None:
            return 0
        previous = signal.signal(signal.SIGTERM, lambda *_: self._terminate())
        try:
            return self._process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            signal.signal(signal.SIGTERM, previous)
            self.close()

    def close(self) -> None:
        """End the UI and its worker."""
        if self._process is None or self._process.poll() is not None:
            return
        self._terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def __enter__(self) -> UiServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_ui(port: int = DEFAULT_PORT, uri: str | None = None, *, host: str = HOST) -> UiServer:
    """Start the UI and return when it answers.

    Raises:
        TrackingError: the store cannot be opened, no port is free, or the UI does not start.
    """
    server = UiServer(ui_command(port, uri, host=host))
    try:
        server.wait_until_ready()
    except BaseException:
        server.close()
        raise
    return server


def _columns(client: MlflowClient, experiment_id: str) -> list[str]:
    """Columns for the list of runs: what tells runs apart, then the metrics that most families share, scores first."""
    families: dict[str, set[str]] = {}
    runs = client.search_runs([experiment_id], max_results=200)
    for run in runs:
        for name in run.data.metrics:
            if name.startswith(("validation/", "budget/", "speed/")) or name.endswith("/total"):
                families.setdefault(name, set()).add(run.data.tags.get("family", ""))
    best = sorted(families, key=lambda name: (-len(families[name]), not name.startswith("validation/"), name))[
        :_METRIC_COLUMNS
    ]
    tags = [tag for tag in ("study", "arm", "family", "corpus", "seed") if any(tag in run.data.tags for run in runs)]
    return [f"tags.`{tag}`" for tag in tags] + [f"metrics.`{name}`" for name in best]


def _shown_host(host: str) -> str:
    """The part of an address that a browser on this machine can use."""
    host = {"0.0.0.0": HOST, "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _free_port(host: str, first: int) -> int:
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TrackingError(f"--host {host}: {error.strerror}") from error
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address[0], port))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise TrackingError(f"--host {host}: is no address of this machine") from error
                continue
            return port
    raise TrackingError(f"no port from {first} to {first + _PORTS_TRIED - 1} is free; give another with --port")
