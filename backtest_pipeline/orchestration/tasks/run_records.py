"""Dagster's own record of tasks: which have not ended, and deleting those that ended long ago."""

from __future__ import annotations

import math
import shutil
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from dagster import DagsterInstance, RunRecord, RunsFilter
from sqlalchemy import text

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals.run_storage import is_postgres, run_storage_of
from backtest_pipeline.orchestration.tasks.attempts import attempts_of_task, task_of
from backtest_pipeline.orchestration.tasks.run_states import ENDED, STATUSES, UNFINISHED

_LOOK_AGAIN_S = 2.0
_BATCH = 200
_FRESH_FAILURE = timedelta(minutes=5)
_WORTH_SHRINKING = 0.25


class Unfinished:
    """Which tasks and runs have not ended, or may get another attempt; looks again every two seconds."""

    def __init__(self, instance: DagsterInstance, now: Callable[[], datetime]) -> None:
        self._instance = instance
        self._now = now
        self._ids: frozenset[str] = frozenset()
        self._looked_s = float("-inf")

    def __call__(self, task_or_run_id: str) -> bool:
        if time.monotonic() - self._looked_s > _LOOK_AGAIN_S:
            self._ids = self._look()
            self._looked_s = time.monotonic()
        return task_or_run_id in self._ids

    def _look(self) -> frozenset[str]:
        failed = STATUSES["failed"]
        runs = [
            *self._instance.get_runs(RunsFilter(statuses=UNFINISHED)),
            *self._instance.get_runs(RunsFilter(statuses=failed, tags={tags.RETRY_OWED: "true"})),
            *self._instance.get_runs(
                RunsFilter(
                    statuses=failed,
                    tags={tags.WILL_RETRY: "true"},
                    updated_after=self._now() - _FRESH_FAILURE,
                )
            ),
        ]
        return frozenset(run_id for run in runs for run_id in (run.run_id, task_of(run)))


def delete_old_records(
    instance: DagsterInstance,
    *,
    before: datetime,
    keep: Callable[[str], bool],
    dry_run: bool = False,
    jobs: Collection[str] = (*tags.TASK_JOBS, tags.CLEANUP_JOB, tags.UPDATE_JOB),
) -> list[str]:
    """Deletes runs, events and compute logs of tasks that ended long ago, all attempts of a task together.

    Args:
        instance: whose record it is.
        before: only tasks whose last attempt ended before that moment.
        keep: whether a task's record stays in any case, as of pinned ones.
        dry_run: only report.
        jobs: whose runs are deleted; other jobs of the instance are not ours.

    Returns:
        Ids of the tasks whose record is gone.
    """
    gone: list[str] = []
    for task_id in _tasks_ended(instance, before, jobs):
        group = [] if keep(task_id) else attempts_of_task(instance, task_id)
        if group and all(_ended_before(one, before) for one in group):
            gone.append(task_id)
            if not dry_run:
                _delete(instance, group)
    if gone and not dry_run:
        _forget_tags_of_deleted(instance)
    return gone


def _tasks_ended(instance: DagsterInstance, before: datetime, jobs: Collection[str]) -> list[str]:
    """Tasks of which a run ended before that moment; all are found before any is deleted."""
    found: dict[str, None] = {}
    for job in jobs:
        wanted = RunsFilter(job_name=job, statuses=ENDED, updated_before=before)
        page: Sequence[RunRecord] = []
        cursor: str | None = None
        while cursor is None or len(page) == _BATCH:
            page = instance.get_run_records(wanted, limit=_BATCH, cursor=cursor)
            found |= dict.fromkeys(task_of(record.dagster_run) for record in page)
            cursor = page[-1].dagster_run.run_id if page else ""
    return list(found)


def shrink(instance: DagsterInstance) -> int:
    """Gives free pages of SQLite's files back to the disk; returns by how many bytes they shrank.

    A file that others are writing to is left for the next time, and so is a large one while backtests run:
    they could not write for seconds. PostgreSQL vacuums itself.
    """
    if is_postgres(run_storage_of(instance)):
        return 0
    running = any(
        instance.get_run_ids(RunsFilter(job_name=job, statuses=STATUSES["running"]), limit=1)
        for job in tags.TASK_JOBS
    )
    most_bytes = _LARGE_BYTES if running else math.inf
    paths = sorted(Path(instance.root_directory).rglob("*.db"))
    return sum(_shrink_file(path) for path in paths if path.stat().st_size <= most_bytes)


def _shrink_file(path: Path) -> int:
    before = path.stat().st_size
    try:
        with closing(sqlite3.connect(path, timeout=1)) as database:
            pages, free = (database.execute(f"PRAGMA {one}").fetchone()[0] for one in _PAGES)
            if free < _WORTH_SHRINKING * pages:
                return 0
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.DatabaseError:  # somebody writes to it, or it is no database
        return 0
    return before - path.stat().st_size


_PAGES = ("page_count", "freelist_count")
_LARGE_BYTES = 200_000_000


def _ended_before(record: RunRecord, before: datetime) -> bool:
    ended_s = record.end_time or record.create_timestamp.timestamp()
    return record.dagster_run.status in ENDED and ended_s < before.timestamp()


def _delete(instance: DagsterInstance, group: list[RunRecord]) -> None:
    """Later attempts first: what a kill leaves is found again by its root."""
    for record in reversed(group):
        run_id = record.dagster_run.run_id
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        shutil.rmtree(Path(instance.storage_directory()) / run_id, ignore_errors=True)
        instance.delete_run(run_id)
        for path in (Path(instance.root_directory) / "history" / "runs").glob(f"{run_id}.db*"):
            path.unlink(missing_ok=True)


def _forget_tags_of_deleted(instance: DagsterInstance) -> None:
    """SQLite leaves the tags of a deleted run behind; PostgreSQL takes them along."""
    with run_storage_of(instance).connect() as connection:
        connection.execute(text("DELETE FROM run_tags WHERE run_id NOT IN (SELECT run_id FROM runs)"))
