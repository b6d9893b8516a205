"""Completed tasks whose results are gone although nothing of ours has deleted them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.result_log import ResultLog, read_result_log
from backtest_pipeline.sdk.client import BacktestClient
from backtest_pipeline.storage.layout import Layout

EVERY = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LostResults:
    """What was found.

    Attributes:
        tasks: completed tasks without results, newest first.
        elsewhere: where the server's results lie, if not in the folder that was looked at; nothing can be
            said of them then.
    """

    tasks: list[TaskStatus] = field(default_factory=list)
    elsewhere: str = ""


def lost_results(
    client: BacktestClient, layout: Layout, *, now: datetime, ttl_days: int, newest: int = EVERY
) -> LostResults:
    """Compares the tasks that the server calls completed with the folders that there are.

    Not lost is what the cleanup has deleted, and what is past its time unless it was pinned.

    Args:
        client: of the server whose tasks these are.
        layout: where its results lie.
        now: the time that ages are measured from.
        ttl_days: how long results live after a task's end, in days; 0: for ever.
        newest: how many tasks to look at.

    Raises:
        ServiceError: the server does not answer.
    """
    tasks = client.list_tasks(state="completed", limit=newest)
    missing = _missing(layout, tasks)
    if not missing:
        return LostResults()
    if not _in_sight(layout, tasks, missing):
        return LostResults(elsewhere=next((task.result_path for task in missing if task.result_path), ""))
    ttl = timedelta(days=ttl_days) if ttl_days else None
    log = read_result_log(layout)  # after the folders: a deletion is noted before it happens
    lost = [task for task in missing if _should_be_there(task, log, now, ttl)]
    if lost and layout.tasks.is_dir() and os.access(layout.tasks, os.W_OK):
        with publishing(layout):  # one may be replaced just now
            lost = _missing(layout, lost)
    return LostResults(lost)


def _missing(layout: Layout, tasks: Sequence[TaskStatus]) -> list[TaskStatus]:
    return [task for task in tasks if not layout.manifest(task.task_id).exists()]


def _in_sight(layout: Layout, tasks: Sequence[TaskStatus], missing: Sequence[TaskStatus]) -> bool:
    """Whether the server's results lie here: some are here, or it calls this very folder theirs."""
    if len(missing) < len(tasks):
        return True
    return layout.data_root.is_dir() and any(
        task.result_path == str(layout.task(task.task_id)) for task in missing
    )


def _should_be_there(task: TaskStatus, log: ResultLog, now: datetime, ttl: timedelta | None) -> bool:
    ended_at = task.finished_at or task.submitted_at
    deleted_at = log.deleted_at.get(task.task_id)
    if deleted_at is not None and deleted_at >= ended_at:
        return False
    return task.task_id in log.pinned or ttl is None or now <= ended_at + ttl
