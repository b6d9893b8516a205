"""From Dagster's runs to a task's status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from backtest_pipeline.model import tags
from backtest_pipeline.model.request_tags import labels_of, symbols_of
from backtest_pipeline.model.retries import retry_is_coming
from backtest_pipeline.model.status import FINAL_STATES, STATE_OF, WAITING_STAGE, TaskState, TaskStatus
from backtest_pipeline.model.task_kind import kind_of_job

Run: TypeAlias = Mapping[str, Any]
"""A run as `queries.RUN_FIELDS` returns it."""

_STAGES: Mapping[TaskState, str] = {
    "queued": WAITING_STAGE,
    "running": "starting",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


def status_of(runs: Sequence[Run], now_s: float) -> TaskStatus:
    """The status of a task.

    Args:
        runs: all its attempts, in any order.
        now_s: seconds since 1970, from which a fresh failure's age counts.
    """
    attempts = sorted(runs, key=_age)
    newest, number = attempts[-1], len(attempts)
    run_tags = {tag["key"]: tag["value"] for tag in newest["tags"]}
    state = STATE_OF[newest["status"]]
    if state == "failed":
        failed_for_s = None if newest["endTime"] is None else now_s - float(newest["endTime"])
        if retry_is_coming(run_tags, attempt=number, failed_for_s=failed_for_s) is not False:
            state = "queued"
    error = run_tags.get(tags.ERROR) or "the worker ended without a message; see the run's page in the web UI"
    return TaskStatus(
        task_id=task_of(newest),
        kind=kind_of_job(newest.get("jobName", tags.JOB)),
        state=state,
        progress=1.0 if state == "completed" else tags.number(run_tags, tags.PROGRESS, 0.0),
        stage=_stage(state, newest["status"], run_tags, number),
        attempt=number,
        result_path=run_tags.get(tags.RESULT_PATH) or None,
        error=error if state == "failed" else None,
        submitted_at=_moment(attempts[0]["creationTime"]),
        started_at=_moment_or_none(newest["startTime"]),
        finished_at=_moment_or_none(newest["endTime"]) if state in FINAL_STATES else None,
        strategy=run_tags.get(tags.STRATEGY),
        symbols=symbols_of(run_tags),
        labels=labels_of(run_tags),
        code_sha256=run_tags.get(tags.CODE) or None,
        submitted_code_sha256=run_tags.get(tags.SUBMITTED_CODE) or None,
    )


def newest_of(runs: Sequence[Run]) -> Run:
    """A task's newest attempt."""
    return max(runs, key=_age)


def may_have_successors(run: Run) -> bool:
    """Whether a run may not be its task's only one: it is a later attempt, or it has ended."""
    return run["runId"] != task_of(run) or STATE_OF[run["status"]] in FINAL_STATES


def task_of(run: Run) -> str:
    """Id of the task that a run is an attempt of; a root run names no root."""
    return str(run["rootRunId"] or run["runId"])


def _age(run: Run) -> tuple[bool, float]:
    """Sorts by time, the root first even where clocks were set back."""
    return run["runId"] != task_of(run), float(run["creationTime"])


def _stage(state: TaskState, run_status: str, run_tags: Mapping[str, str], number: int) -> str:
    """What the worker reported last, unless it has reported nothing yet or something else is to be shown."""
    if run_status == "CANCELING":
        return "cancelling"
    if state == "queued" and run_tags.get(tags.WILL_RETRY) == "true":
        return f"waiting for attempt {number + 1}"
    stage = run_tags.get(tags.STAGE, WAITING_STAGE)
    return _STAGES[state] if stage == WAITING_STAGE or state == "completed" else stage


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)
