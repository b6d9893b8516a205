"""From Dagster's runs to a task's status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from backtest_pipeline.model import tags
from backtest_pipeline.model.status import FINAL_STATES, STATE_OF, WAITING_STAGE, TaskState, TaskStatus

Run: TypeAlias = Mapping[str, Any]
"""A run as `queries.RUN_FIELDS` returns it."""

UNDECIDED_S = 5.0
"""Dagster tells by a tag whether it will retry a failed run, a moment after the failure can be seen."""

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
    if state == "failed" and _may_be_retried(newest, run_tags, number, now_s):
        state = "queued"
    error = run_tags.get(tags.ERROR) or "the worker ended without a message; see the run's page in the web UI"
    return TaskStatus(
        task_id=task_of(newest),
        kind="sweep" if newest.get("jobName") == tags.SWEEP_JOB else "backtest",
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
        symbols=[symbol for symbol in run_tags.get(tags.SYMBOLS, "").split(",") if symbol],
        labels={
            key.removeprefix(tags.LABEL_PREFIX): value
            for key, value in run_tags.items()
            if key.startswith(tags.LABEL_PREFIX)
        },
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


def _may_be_retried(failed: Run, run_tags: Mapping[str, str], number: int, now_s: float) -> bool:
    """Whether another attempt will come, or may: undecided, not long ago, and not the last allowed one."""
    decided = run_tags.get(tags.WILL_RETRY)
    if decided is not None:
        return decided == "true"
    most_retries = run_tags.get(tags.MAX_RETRIES)
    if most_retries is not None and not (most_retries.isdecimal() and int(most_retries) >= number):
        return False
    return failed["endTime"] is None or now_s - float(failed["endTime"]) < UNDECIDED_S


def _stage(state: TaskState, run_status: str, run_tags: Mapping[str, str], number: int) -> str:
    """What the worker told last, unless it has told nothing yet or something else is to be told."""
    if run_status == "CANCELING":
        return "cancelling"
    if state == "queued" and run_tags.get(tags.WILL_RETRY) == "true":
        return f"waiting for attempt {number + 1}"
    told = run_tags.get(tags.STAGE, WAITING_STAGE)
    return _STAGES[state] if told == WAITING_STAGE or state == "completed" else told


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)
