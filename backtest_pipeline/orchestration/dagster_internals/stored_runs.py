"""Runs stored queued: many of them by one transaction of each database.

Dagster stores a run that has not started, then an event that it is queued, then the run once more, and reads
it back in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from dagster import DagsterInstance, DagsterRun
from dagster._core.events import DagsterEvent
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._serdes import serialize_value

from backtest_pipeline.orchestration.dagster_internals.compat import uses
from backtest_pipeline.orchestration.dagster_internals.run_storage import run_storage_of

uses(SqlEventLogStorage, "_event_to_row", "run_connection")
uses(DagsterEvent, "job_enqueue")
uses(DagsterRun, "tags_for_storage")


def store_queued(instance: DagsterInstance, runs: Sequence[DagsterRun]) -> None:
    """Stores runs, with their tags, and before them the events that they are queued.

    Whoever finds such a run in the queue, as the daemon does at once, finds its event before its own.
    """
    now = datetime.now(UTC)
    entries = [_queued_event(run, now) for run in runs]
    events: Any = getattr(instance.event_log_storage, "_storage", instance.event_log_storage)
    if isinstance(events, SqlEventLogStorage) and not isinstance(events, SqliteEventLogStorage):
        rows = [events._event_to_row(entry) for entry in entries]  # noqa: SLF001  there is no public name
        with events.run_connection(None) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
    else:  # a file for each run, or somebody else's
        for entry in entries:
            events.store_event(entry)
    run_tags = [
        {"run_id": run.run_id, "key": name, "value": value}
        for run in runs
        for name, value in run.tags_for_storage().items()
    ]
    try:
        with run_storage_of(instance).connect() as connection:
            connection.execute(RunsTable.insert(), [_row(run, now) for run in runs])
            connection.execute(RunTagsTable.insert(), run_tags)
    except Exception:
        with suppress(Exception):  # a database that fails is reported already
            for run in runs:
                events.delete_events(run.run_id)
        raise


def _queued_event(run: DagsterRun, now: datetime) -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]  # as Dagster has it
        user_message="",
        level="INFO",
        job_name=run.job_name,
        run_id=run.run_id,
        error_info=None,
        timestamp=now.timestamp(),
        dagster_event=DagsterEvent.job_enqueue(run),
    )


def _row(run: DagsterRun, now: datetime) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "pipeline_name": run.job_name,
        "status": run.status.value,
        "run_body": serialize_value(run),
        "snapshot_id": run.job_snapshot_id,
        "create_timestamp": now,
        "update_timestamp": now,
    }
