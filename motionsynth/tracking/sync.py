"""Delivering a run to MLflow from its files: what is missing there, and nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from motionsynth.errors import StoreError, TrackingError
from motionsynth.files import locked
from motionsynth.journal_rows import JournalLine, JournalRow
from motionsynth.run_files import RunFiles, RunRecord
from motionsynth.tracking.artifacts import digest_of, run_artifacts
from motionsynth.tracking.cursor import Cursor
from motionsynth.tracking.journal import JOURNAL, count_rows, line_digest, read_rows
from motionsynth.tracking.liveness import STATUS_OF_STATE, last_sign, run_state, sweep
from motionsynth.tracking.record import ERROR_TAG, Description, describe, mlflow_key
from motionsynth.tracking.scores import SCORES, read_scores
from motionsynth.tracking.store import (
    ensure_experiment,
    open_client,
    shown_uri,
    store_errors,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient


__all__ = ["Delivery", "SyncReport", "is_tracked", "sync_run"]

BATCH_METRICS = 1000
_BATCH_PARAMS = 100
_LOCK = ".tracking.lock"
_RUN_ID_NOTE = "MLFLOW_RUN_ID is not used: every run has an entry of its own, found by its tag motionsynth.tracking_id"


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a delivery did, and what is left."""

    run_dir: str
    uri: str
    """The store, without credentials."""
    run_id: str | None = None
    """The run's id in MLflow."""
    rows: int = 0
    """Journal rows delivered."""
    artifacts: int = 0
    """Files delivered."""
    pending_rows: int = 0
    pending_artifacts: int = 0
    complete: bool = False
    """Whether the store now has everything that the run directory holds."""
    reason: str | None = None
    """Why it is not complete."""
    notes: tuple[str, ...] = ()
    """What was delivered differently from how it stands in the files, and damaged rows."""

    @property
    def warning(self) -> str | None:
        """One line for a person where something is left, else None."""
        if self.complete:
            return None
        return (
            f"MLflow at {self.uri} did not take everything ({self.reason}); nothing is lost: "
            f"`motionsynth runs sync {self.run_dir}` delivers it"
        )

    def __str__(self) -> str:
        done = f"{self.rows} rows and {self.artifacts} files delivered to {self.uri}"
        lines = [self.warning or (done if self.rows or self.artifacts else f"{self.uri} has everything"), *self.notes]
        return "\n  ".join(lines)


def sync_run(run_dir: str | Path, *, uri: str | None = None, wait_seconds: float = 10.0) -> SyncReport:
    """Deliver what the store does not have of a run; safe to repeat, and beside a feeder that is at work.

    Args:
        run_dir: the run's directory.
        uri: the store; ``tracking_uri()`` by default.
        wait_seconds: how long to wait for another process that is delivering the same run.

    Raises:
        RunError: there is no run in ``run_dir``, or its files are damaged.
    """
    delivery = Delivery(Path(run_dir), uri or tracking_uri())
    try:
        with delivery.lock(wait_seconds):
            delivery.deliver()
    except TrackingError as error:
        return delivery.report(str(error))
    return delivery.report()


def is_tracked(run_dir: str | Path, *, uri: str | None = None) -> bool:
    """Whether a run has an entry in a store, ``tracking_uri()`` by default, as far as the run's files tell."""
    return Cursor.load(Path(run_dir), uri or tracking_uri()).run_id is not None


class Delivery:
    """One run on its way into one store; ``deliver`` may be called again and again while the run grows."""

    def __init__(self, run_dir: Path, uri: str) -> None:
        self.run_dir, self.uri = run_dir, uri
        self.rows = self.artifacts = 0
        self.notes: dict[str, None] = {}  # a set in order
        self.talking = False
        """True while the store is being asked for something."""
        self.taken = 0
        """Answers of the store so far that something was taken."""
        self._client: MlflowClient | None = None
        self._verified = False
        if os.environ.get("MLFLOW_RUN_ID", "").strip():
            self.notes[_RUN_ID_NOTE] = None
        RunFiles(run_dir).record()
        self.cursor = Cursor.load(run_dir, uri)

    @contextmanager
    def lock(self, wait_seconds: float) -> Iterator[None]:
        """Keep every other process from delivering this run; the system drops the lock when this process dies.

        Raises:
            TrackingError: another process still holds it after ``wait_seconds``, or it cannot be taken.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.run_dir / _LOCK, wait_seconds=wait_seconds))
            except TimeoutError as error:
                raise TrackingError("another process is delivering this run at the moment") from error
            except OSError as error:
                raise TrackingError(f"{error.filename or self.run_dir / _LOCK}: {error.strerror}") from error
            self.cursor = Cursor.load(self.run_dir, self.uri)
            yield

    def deliver(self) -> None:
        """Bring the store up to date: description, metrics, artifacts, then the status.

        Raises:
            TrackingError: the store failed; what it has is known, and the next call goes on from there.
        """
        try:
            with store_errors():
                self._deliver()
        except TrackingError:
            self._verified = False
            raise
        finally:
            self.talking = False

    def report(self, reason: str | None = None) -> SyncReport:
        """What was done so far and what is left; ``reason`` says why something is."""
        cursor = self.cursor
        pending = [f for f in run_artifacts(self.run_dir) if cursor.artifacts.get(f) != digest_of(self.run_dir / f)]
        return SyncReport(
            run_dir=str(self.run_dir),
            uri=shown_uri(self.uri),
            run_id=cursor.run_id,
            rows=self.rows,
            artifacts=self.artifacts,
            pending_rows=count_rows(self.run_dir / JOURNAL, cursor.journal_bytes),
            pending_artifacts=len(pending),
            complete=reason is None,
            reason=reason,
            notes=tuple(self.notes),
        )

    def _deliver(self) -> None:
        record = RunFiles(self.run_dir).record()
        description = describe(self.run_dir, record)  # a damaged run is refused before a store is made for it
        if self._client is None:
            self._client = open_client(self.uri)
        client = self._client
        self.talking = True
        if not self._verified:
            self._find_or_create(client, description)
            self._verified = True
        self._describe(client, description)
        self._send_metrics(client)
        self._send_scores(client)
        self._send_artifacts(client)
        self._set_status(client, record)

    def _save(self) -> None:
        self.taken += 1
        self.cursor.save(self.run_dir, self.uri)

    def _find_or_create(self, client: MlflowClient, description: Description) -> None:
        """Settle which MLflow run this is: the cursor's, the one tagged with our tracking id, or a new one."""
        experiment_id = ensure_experiment(client, self.uri)
        sweep(client, experiment_id)
        run = _known_run(client, self.cursor.run_id) or _tagged_run(
            client, experiment_id, description.tags["motionsynth.tracking_id"]
        )
        if run is None:
            run = client.create_run(
                experiment_id, start_time=description.start_ms, tags=description.tags, run_name=description.name
            )
        if run.info.lifecycle_stage != "active":
            raise StoreError(f"run {run.info.run_id} is deleted there; restore it, and sync again")
        if run.info.run_id != self.cursor.run_id:
            self.cursor = Cursor(run_id=run.info.run_id, experiment_id=run.info.experiment_id)
        self.cursor.status = run.info.status  # a sweep may have changed it since the cursor was written
        self._save()

    def _describe(self, client: MlflowClient, description: Description) -> None:
        if self.cursor.description == description.digest:
            return
        from mlflow.entities import Param, RunTag

        run_id = self._run_id
        there = client.get_run(run_id).data
        known = there.params
        for key, value in description.params.items():
            if known.get(key, value) != value:
                self.notes[f"parameter {key} is now {value!r}; MLflow keeps the first value {known[key]!r}"] = None
        params = [Param(key, value) for key, value in description.params.items() if key not in known]
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in description.tags.items()])
        if ERROR_TAG in there.tags and ERROR_TAG not in description.tags:
            client.delete_tag(run_id, ERROR_TAG)  # it failed once, and goes on
        for start in range(0, len(params), _BATCH_PARAMS):
            client.log_batch(run_id, params=params[start : start + _BATCH_PARAMS])
        if description.dataset:
            _log_dataset(client, run_id, description.dataset)
        self.cursor.description = description.digest
        self._save()

    def _send_metrics(self, client: MlflowClient) -> None:
        batch: list[Metric] = []
        lines: list[JournalLine] = []
        for line in read_rows(self.run_dir / JOURNAL, self.cursor.journal_bytes):
            metrics: list[Metric] = []
            try:
                metrics = _as_metrics(line.parse())
            except ValueError as error:
                number = self.cursor.journal_rows + len(lines) + 1
                self.notes[f"{JOURNAL}:{number}: not a journal row, left out ({str(error)[:200]})"] = None
            if batch and len(batch) + len(metrics) > BATCH_METRICS:
                self._send_batch(client, batch, lines)
                batch, lines = [], []
            batch.extend(metrics)
            lines.append(line)
        if lines:
            self._send_batch(client, batch, lines)

    def _send_batch(self, client: MlflowClient, batch: list[Metric], lines: list[JournalLine]) -> None:
        for start in range(0, len(batch), BATCH_METRICS):
            client.log_batch(self._run_id, metrics=batch[start : start + BATCH_METRICS])
        cursor = self.cursor
        cursor.journal_bytes, cursor.journal_tail = lines[-1].end, line_digest(lines[-1].content)
        cursor.journal_rows += len(lines)
        self.rows += len(lines)
        self._save()

    def _send_scores(self, client: MlflowClient) -> None:
        """The figures of the newest evaluation; those of an earlier one stay beside them, as they have its time."""
        from mlflow.entities import Metric

        try:
            digest = digest_of(self.run_dir / SCORES)
            if self.cursor.scores == digest:
                return
            points = read_scores(self.run_dir)
        except FileNotFoundError:
            return
        except ValueError as error:
            self.notes[str(error)] = None
            return
        metrics = [Metric(mlflow_key(p.name), p.value, p.time_ms, p.step) for p in points]
        for start in range(0, len(metrics), BATCH_METRICS):
            client.log_batch(self._run_id, metrics=metrics[start : start + BATCH_METRICS])
        self.cursor.scores = digest
        self._save()

    def _send_artifacts(self, client: MlflowClient) -> None:
        sent = 0
        try:
            for relative in run_artifacts(self.run_dir):
                path = self.run_dir / relative
                try:
                    digest = digest_of(path)
                except FileNotFoundError:
                    continue  # replaced or removed since it was listed; the next call sees what there is
                if self.cursor.artifacts.get(relative) == digest:
                    continue
                folder = Path(relative).parent.as_posix()
                client.log_artifact(self._run_id, str(path), None if folder == "." else folder)
                self.cursor.artifacts[relative] = digest
                sent += 1
                self.taken += 1
        finally:
            if sent:  # once for all of them: a file that is sent again only replaces itself
                self.artifacts += sent
                self._save()

    def _set_status(self, client: MlflowClient, record: RunRecord) -> None:
        status = STATUS_OF_STATE.get(run_state(self.run_dir, record), "RUNNING")
        if status == self.cursor.status:
            return
        if status == "RUNNING":
            client.update_run(self._run_id, status=status)
        else:
            client.set_terminated(self._run_id, status, end_time=round(last_sign(self.run_dir) * 1000))
        self.cursor.status = status
        self._save()

    @property
    def _run_id(self) -> str:
        assert self.cursor.run_id is not None
        return self.cursor.run_id


def _known_run(client: MlflowClient, run_id: str | None) -> Run | None:
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None  # the store was emptied or replaced: deliver everything to the new one


def _tagged_run(client: MlflowClient, experiment_id: str, tracking_id: str) -> Run | None:
    """The run with our tracking id, in our experiment or in any other: its name may have been set differently then."""
    from mlflow.entities import ViewType

    condition = f"tags.`motionsynth.tracking_id` = '{tracking_id}'"
    others = [e.experiment_id for e in client.search_experiments() if e.experiment_id != experiment_id]
    for ids in filter(None, ([experiment_id], others)):
        found = client.search_runs(ids, condition, run_view_type=ViewType.ALL, max_results=1)
        if found:
            return found[0]
    return None


def _as_metrics(row: JournalRow) -> list[Metric]:
    from mlflow.entities import Metric

    # the journal's own time, never the time of delivery: a point sent twice is then one point to the store
    return [Metric(mlflow_key(name), value, round(row.time * 1000), row.step) for name, value in row.metrics.items()]


def _log_dataset(client: MlflowClient, run_id: str, dataset: dict[str, str]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    entity = Dataset(dataset["name"], dataset["digest"], "local", dataset["source"], None, dataset["profile"])
    inputs = [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])]
    try:
        client.log_inputs(run_id, datasets=inputs)
    except MlflowException:  # it looks, then adds: a dataset that another run added between the two is there now
        client.log_inputs(run_id, datasets=inputs)
