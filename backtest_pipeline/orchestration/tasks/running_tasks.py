"""The tasks that run or wait, newest first, as the pages of results show them."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from dagster import RunsFilter

from backtest_pipeline.model import tags
from backtest_pipeline.model.request_tags import labels_of, symbols_of
from backtest_pipeline.model.task_kind import kind_of_job
from backtest_pipeline.orchestration.tasks.attempts import task_of
from backtest_pipeline.orchestration.tasks.run_states import UNFINISHED, state_of
from backtest_pipeline.web.pages.live_rows import LiveTask

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord

MOST_SHOWN = 100


def running_tasks(instance: DagsterInstance) -> list[LiveTask]:
    """The newest 100 of each job that have not ended, by submission."""
    records = [
        record
        for job in tags.TASK_JOBS
        for record in instance.get_run_records(
            RunsFilter(job_name=job, statuses=UNFINISHED), limit=MOST_SHOWN
        )
    ]
    return [_live(record) for record in sorted(records, key=lambda one: one.create_timestamp, reverse=True)]


def _live(record: RunRecord) -> LiveTask:
    run = record.dagster_run
    return LiveTask(
        task_id=task_of(run),
        run_id=run.run_id,
        kind=kind_of_job(run.job_name),
        state=state_of(run),
        progress=min(max(tags.number(run.tags, tags.PROGRESS, 0.0), 0.0), 1.0),
        stage=run.tags.get(tags.STAGE, ""),
        strategy=run.tags.get(tags.STRATEGY, ""),
        symbols=symbols_of(run.tags),
        user=run.tags.get(tags.USER, ""),
        submitted_at=record.create_timestamp.replace(tzinfo=UTC).isoformat(),
        labels=labels_of(run.tags),
    )
