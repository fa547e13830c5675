"""The sqlite database of a store: its address, whether it can be used, and how it is made, whole or not at all.

MLflow makes the tables of a new database, and brings those of an older version up to date, in whichever process opens
it first, without a lock and without a word; of two that meet there, one fails. Here one process at a time makes a new
one, beside its place, and a database that is there is never changed.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from motionsynth.errors import StoreError, TrackingError
from motionsynth.files import TEMPORARY_SUFFIX, locked, refuse_irregular

__all__ = ["database_path", "database_uri", "prepare_database"]

LOCK_SECONDS = 60.0
"""A new database takes seconds to make; a process that waits for it much longer waits for one that is stuck."""
_REVISIONS = "alembic_version"
_MLFLOW_TABLES = {"experiments", "runs", "metrics", "params", "tags"}


def database_uri(path: Path) -> str:
    """Address of the database at an absolute path, as SQLAlchemy and MLflow read it, whatever the path's characters.

    Raises:
        StoreError: this version of SQLAlchemy has no address for it.
    """
    from sqlalchemy.engine import URL, make_url

    url = URL.create("sqlite", database=str(path))
    uri = url.render_as_string(hide_password=False)
    if (
        uri != f"sqlite:///{path}"
    ):  # MLflow makes the folder that a quoted address seems to name, unless a driver stands in it
        uri = url.set(drivername="sqlite+pysqlite").render_as_string(hide_password=False)
    if make_url(uri).database != str(path):
        raise StoreError(
            f"{path}: SQLAlchemy has no address for this name; rename the folder, or set MLFLOW_TRACKING_URI"
        )
    return uri


def database_path(uri: str) -> Path | None:
    """The database's file, absolute, as SQLAlchemy finds it in an address; None where the store is of another kind.

    Raises:
        StoreError: the address is none.
    """
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"{uri!r} is no address of a database; sqlite:////home/me/mlflow.db is one") from error
    if not url.database or url.database == ":memory:" or url.query:
        return None  # settings of sqlite's own: MLflow is left alone with them
    return Path(url.database).absolute()


def prepare_database(path: Path) -> None:
    """Make a database where there is none, and refuse one that MLflow would change or wait for in vain.

    Raises:
        StoreError: it cannot be read or written, or is not one of this very version of MLflow; it is left as it is.
        TrackingError: another process has been making it for a minute.
    """
    try:
        path = Path(os.path.realpath(link := path))
        if not _is_there(path):
            refuse_irregular(link)  # a link to a database is somebody's wish, one to a place for a new one a trap
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path.with_name(f".{path.name}.lock"), wait_seconds=LOCK_SECONDS):
                if not _is_there(path):
                    _make(path)
        _refuse_unusable(path)
    except TimeoutError as error:
        raise TrackingError(f"{path}: another process has been making it for {LOCK_SECONDS:.0f} s") from error
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def _is_there(path: Path) -> bool:
    refuse_irregular(path)
    return path.exists() and path.stat().st_size > 0


def _make(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")  # one name is enough: the lock is held
    _remove(temporary)  # what a kill left, or a link that somebody put there
    try:
        temporary.touch(exist_ok=False)  # fails at once where nothing can be written; MLflow would try for two minutes
        store: Any = SqlAlchemyStore(  # type: ignore[no-untyped-call]
            database_uri(temporary), (path.parent / "mlartifacts").as_uri()
        )
        store.engine.dispose()
        temporary.replace(path)
    finally:
        _remove(temporary)


def _remove(database: Path) -> None:
    for name in ("", "-journal", "-wal", "-shm"):
        database.with_name(f"{database.name}{name}").unlink(missing_ok=True)


def _refuse_unusable(path: Path) -> None:
    """Refuse a database that is there where MLflow could not use it as it is."""
    for needed in (path.parent, path):
        if not os.access(needed, os.W_OK):
            raise StoreError(f"{needed}: cannot be written; {_ELSEWHERE}")
    # not opened as a file: closing that would drop the locks that this process holds on it through sqlite
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            query = f"SELECT version_num FROM {_REVISIONS}" if _REVISIONS in tables else "SELECT 0 WHERE false"
            found = {name for (name,) in connection.execute(query)}
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return  # somebody writes: MLflow waits for that
            raise
    if not found or not tables.issuperset(_MLFLOW_TABLES):
        raise StoreError(f"{path}: holds the tables of another program, or half of MLflow's; {_ELSEWHERE}")
    if found != (newest := _newest_revisions()):
        copy = shlex.join(["cp", str(path), f"{path}.before-upgrade"])
        upgrade = shlex.join(["mlflow", "db", "upgrade", database_uri(path)])
        raise StoreError(
            f"{path}: has the tables of another version of MLflow ({_joined(found)}, not {_joined(newest)}), "
            f"and is left as it is: `{copy} && {upgrade}` brings an older one up to date; or {_ELSEWHERE}"
        )


def _joined(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions))


_ELSEWHERE = "name another store by MLFLOW_TRACKING_URI"


def _newest_revisions() -> set[str]:
    """The revisions that MLflow's tables have where this version of it makes them."""
    import mlflow
    from alembic.script import ScriptDirectory

    return set(ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations")).get_heads())
