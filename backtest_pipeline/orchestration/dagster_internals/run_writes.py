"""Writes to a run's row, one at a time.

Dagster reads a run's row, changes it and writes all of it back. Two processes that do so at once undo what
one of them wrote: a worker's progress, for one, the word of the daemon that its run is out of time and must
not be tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlparse

from dagster import DagsterEvent, DagsterInstance
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.instance.methods.event_methods import EventMethods
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import select

from backtest_pipeline.model.errors import LockNotAcquired
from backtest_pipeline.orchestration.dagster_internals.compat import replace, uses
from backtest_pipeline.orchestration.dagster_internals.run_storage import advisory_lock, is_postgres
from backtest_pipeline.storage.locks import file_lock

PATIENCE_S = 5.0
_PURPOSE = "a run's row"
_ENDED = frozenset(status.value for status in FINISHED_STATUSES)
_Rest = ParamSpec("_Rest")
_usual_handle_run_event = SqlRunStorage.handle_run_event

uses(SqliteRunStorage, "_conn_string", within=SqliteRunStorage.connect)


def write_one_at_a_time() -> None:
    """Lets all instances of this process write a run's row only while no other process of ours does.

    Raises:
        InternalsChanged: Dagster writes to the row another way.
    """
    replace(SqlRunStorage, "add_run_tags", _add_run_tags, used_by=DagsterInstance.add_run_tags)
    replace(SqlRunStorage, "handle_run_event", _handle_run_event, used_by=EventMethods.handle_new_event)


def _alone(write: Callable[Concatenate[Any, str, _Rest], None]) -> Callable[..., None]:
    @wraps(write)
    def alone(storage: Any, run_id: str, *args: _Rest.args, **kwargs: _Rest.kwargs) -> None:
        with ExitStack() as held:
            with suppress(LockNotAcquired):  # somebody hangs; Dagster would not have waited at all
                held.enter_context(_row_lock(storage, run_id))
            write(storage, run_id, *args, **kwargs)

    return alone


def _row_lock(storage: Any, run_id: str) -> AbstractContextManager[None]:
    if isinstance(storage, SqliteRunStorage):  # which has one writer anyway
        runs = Path(urlparse(storage._conn_string).path)  # noqa: SLF001  there is no public name
        return file_lock(runs.with_suffix(".lock"), _PURPOSE, patience_s=PATIENCE_S)
    if is_postgres(storage):
        key = int.from_bytes(sha256(run_id.encode()).digest()[:8], signed=True)
        return advisory_lock(storage, key, _PURPOSE, patience_s=PATIENCE_S)
    return nullcontext()  # in memory, where nobody else writes


def _unless_ended(storage: Any, run_id: str, event: DagsterEvent, *rest: Any, **further: Any) -> None:
    """Writes what has become of a run, unless it has ended: it stays what it ended as, whatever comes later.

    A worker that stood still, or was cut off, may wake up when its run has failed and is tried again. The
    queue may launch a run that was cancelled since it was read, and the run's worker may begin then. Who
    cancels may come too late. The death of a cancelled run's worker is noticed after it.
    """
    if event.event_type in EVENT_TYPE_TO_PIPELINE_RUN_STATUS and _status(storage, run_id) in _ENDED:
        return
    _usual_handle_run_event(storage, run_id, event, *rest, **further)


def _status(storage: Any, run_id: str) -> str | None:
    asked = select(RunsTable.c.status).where(RunsTable.c.run_id == run_id)
    with storage.connect() as connection:
        status: str | None = connection.execute(asked).scalar()
    return status


_add_run_tags = _alone(SqlRunStorage.add_run_tags)
_handle_run_event = _alone(_unless_ended)
