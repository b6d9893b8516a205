"""One pool of connections for all that a process asks of each SQLite file.

Dagster makes an engine and opens the file anew for each question. SQLAlchemy then compiles every statement
again, and whoever closes the last connection writes SQLite's log back into the file and waits for the disk:
more than the question itself takes.

What is compiled is shared by the engines of all files, and workers are forked with it: their rehearsal has
asked the same questions of other files.

Where a connection is kept, a commit writes to the log alone. Dagster's pages follow a run by watching the
file, so it is touched after a commit.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import Dialect, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.util import LRUCache

from backtest_pipeline.orchestration.dagster_internals.compat import replace

_STORAGES = {
    "dagster._core.storage.runs.sqlite.sqlite_run_storage": ("SqliteRunStorage", "connect"),
    "dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log": (
        "ConsolidatedSqliteEventLogStorage",
        "_connect",
    ),
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage": ("SqliteScheduleStorage", "connect"),
}
_FILE, _CHANGES = "file", "changes"
_engines: list[Engine] = []
_MOST_COMPILED = 500  # as of an engine of its own
_has_run_stats_index_cols = SqlRunStorage.has_run_stats_index_cols


def keep_connections(*, each_commit_lasts: bool = True) -> None:
    """Makes the SQLite storages that this process creates keep their connections.

    Args:
        each_commit_lasts: whether a commit waits until the disk has it. Otherwise a power cut may take the
            last commits, one after another from the newest, and leaves a sound database; what another process
            commits with this on takes all earlier ones along. The end of a process takes nothing.

    Raises:
        InternalsChanged: the storages create their connections another way.
    """

    def engine(url: str, poolclass: object = None, connect_args: Any = None) -> Engine:  # noqa: ARG001  Dagster's
        return _engine(os.getpid(), url, (connect_args or {}).get("timeout"), each_commit_lasts)

    for name, (storage, method) in _STORAGES.items():
        module = import_module(name)
        replace(module, "create_engine", engine, used_by=getattr(getattr(module, storage), method))
    replace(SqlRunStorage, "has_run_stats_index_cols", _has_columns, used_by=SqlRunStorage.get_run_records)


def close_connections() -> None:
    """Closes what this process has open, as before others are forked from it; it may go on asking."""
    for engine in _engines:
        engine.dispose()
    _engines.clear()
    _engine.cache_clear()


@cache
def _engine(_process: int, url: str, timeout_s: float | None, each_commit_lasts: bool) -> Engine:
    file = Path(make_url(url).database or "")
    arguments = {} if timeout_s is None else {"timeout": timeout_s}
    made = create_engine(url, poolclass=QueuePool, pool_size=2, max_overflow=20, connect_args=arguments)
    dialect, compiled = _compiled()
    made.dialect = dialect
    engine = made.execution_options(compiled_cache=compiled)
    _engines.append(engine)

    @event.listens_for(engine, "connect")
    def opened(connection: Any, record: Any) -> None:
        record.info.update({_FILE: _identity(file), _CHANGES: 0})
        if not each_commit_lasts:
            connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "checkout")
    def handed_out(_connection: Any, record: Any, _proxy: Any) -> None:
        """Has SQLAlchemy open the file that is there now, where another was put in its place."""
        if record.info.get(_FILE) != _identity(file):
            raise DisconnectionError

    @event.listens_for(engine, "checkin")
    def given_back(connection: Any, record: Any) -> None:
        changes = connection.total_changes if connection is not None else 0
        if changes > record.info.get(_CHANGES, 0):
            record.info[_CHANGES] = changes
            with suppress(FileNotFoundError):
                os.utime(file)

    return engine


@cache
def _compiled() -> tuple[Dialect, LRUCache[Any, Any]]:
    """Statements as they are compiled, and the dialect that is a part of their keys."""
    engine = create_engine("sqlite://")
    engine.connect().close()  # by which the dialect learns what SQLite it has
    engine.dispose()
    return engine.dialect, LRUCache(_MOST_COMPILED)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _has_columns(storage: Any) -> bool:
    """Whether the table of runs has times in it, which is true for good once it is true."""
    if not storage.__dict__.get("_has_run_times"):
        storage.__dict__["_has_run_times"] = _has_run_stats_index_cols(storage)
    return bool(storage.__dict__["_has_run_times"])
