"""Deleting what has expired: results first, then Dagster's own record of tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance

from backtest_pipeline.model.errors import (
    BacktestError,
    RequestInvalid,
    ResultMissing,
    ServiceNotReady,
    TaskUnknown,
)
from backtest_pipeline.orchestration.dagster_internals.run_storage import is_of_database
from backtest_pipeline.orchestration.tasks.run_records import Unfinished, delete_old_records, shrink
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.result_log import forget
from backtest_pipeline.results.retention import Swept, sweep
from backtest_pipeline.results.retention_rules import Rules, Verdict
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.storage.atomic import write_bytes_durably

if TYPE_CHECKING:
    from backtest_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """What a cleanup did, or in a dry run would do.

    Attributes:
        swept: folders deleted and kept.
        records: tasks whose record in Dagster is gone.
        shrunk_bytes: what the instance's SQLite files gave back.
        took_s: seconds.
        dry_run: whether nothing was changed.
    """

    swept: Swept
    records: list[str]
    shrunk_bytes: int
    took_s: float
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dry_run": self.dry_run,
            "deleted": [_shown(verdict) for verdict in self.swept.deleted],
            "freed_bytes": self.swept.freed_bytes,
            "kept": dict(self.swept.kept),
            "kept_bytes": self.swept.kept_bytes,
            "failed": [_shown(verdict) for verdict in self.swept.failed],
            "run_records_deleted": self.records,
            "instance_shrunk_bytes": self.shrunk_bytes,
            "took_s": round(self.took_s, 3),
        }


def clean_up(
    instance: DagsterInstance,
    settings: Settings,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    older_than_days: float | None = None,
    dry_run: bool = False,
    on_verdict: Callable[[Verdict], object] = lambda _: None,
) -> CleanupReport:
    """Deletes results past TASK_RESULT_TTL_DAYS and records past RUN_RECORD_TTL_DAYS.

    The same function serves the scheduled job, the command and the script. It may be repeated, interrupted
    and run twice at once.

    Args:
        instance: Dagster's, which knows what is unfinished.
        settings: the folders and times.
        now: the clock.
        older_than_days: another time to live for results; more than 0.
        dry_run: only report.
        on_verdict: called with each verdict on a folder.

    Raises:
        RequestInvalid: `older_than_days` is not more than 0.
        OSError: the tasks' folder cannot be read or its lock not be taken.
    """
    if older_than_days is not None and not older_than_days > 0:
        raise RequestInvalid(
            [("older_than_days", f"write a number of days above 0, not {older_than_days:g}")]
        )
    started_s = time.monotonic()
    days = settings.task_result_ttl_days if older_than_days is None else older_than_days
    rules = Rules(
        now=now(),
        ttl=timedelta(days=days) if days else None,
        unfinished=Unfinished(instance, now),
        as_promised=older_than_days is None and "task_result_ttl_days" not in settings.model_fields_set,
    )
    swept = sweep(settings.data_root, rules, dry_run=dry_run, on_verdict=on_verdict)
    records: list[str] = []
    store = TaskStore(settings.data_root)
    if settings.run_record_ttl_days and store.layout.tasks.is_dir():  # else nobody knows what is pinned
        records = delete_old_records(
            instance,
            before=now() - timedelta(days=settings.run_record_ttl_days),
            keep=lambda task_id: _is_pinned(store, task_id),
            dry_run=dry_run,
        )
    if records and not dry_run:
        with publishing(store.layout):
            forget(store.layout, records)
    shrunk_bytes = shrink(instance) if records and not dry_run else 0
    report = CleanupReport(swept, records, shrunk_bytes, time.monotonic() - started_s, dry_run)
    if not dry_run and store.layout.tasks.is_dir():
        _note(store=store, report=report, at=now())
    return report


def clean_up_home(
    settings: Settings, *, older_than_days: float | None = None, dry_run: bool = False
) -> CleanupReport:
    """Cleans up beside a service or without one, with the instance of DAGSTER_HOME, which must be prepared.

    Raises:
        ServiceNotReady: the instance's database does not answer; nothing was deleted.
        RequestInvalid, OSError: as for `clean_up`.
    """
    try:
        with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            return clean_up(instance, settings, older_than_days=older_than_days, dry_run=dry_run)
    except Exception as error:
        if not is_of_database(error):
            raise
        reason = str(error).partition("\n")[0]
        raise ServiceNotReady(
            f"Dagster's database does not answer ({reason}); what is unfinished is known there only, so "
            "start the database and clean up again"
        ) from error


def _is_pinned(store: TaskStore, task_id: str) -> bool:
    """Whether a task is to be kept, or may be: what cannot be read is not known to be unpinned."""
    try:
        return store.manifest(task_id).pinned
    except (ResultMissing, TaskUnknown):
        return False
    except BacktestError:
        return True


def _note(store: TaskStore, report: CleanupReport, at: datetime) -> None:
    """Leaves the time of the last cleanup for those who watch."""
    note = {
        "finished_at": at.isoformat(timespec="seconds"),
        "deleted": len(report.swept.deleted),
        "freed_bytes": report.swept.freed_bytes,
    }
    write_bytes_durably(store.layout.last_cleanup, json.dumps(note).encode())


def _shown(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "why": verdict.why,
        "size_bytes": verdict.size_bytes,
        "finished_at": verdict.finished_at.isoformat() if verdict.finished_at else None,
    }
