"""From Dagster's runs to a task's status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backtest_pipeline.model import tags
from backtest_pipeline.model.status import WAITING_STAGE, TaskState, TaskStatus

STATE_OF: Mapping[str, TaskState] = {
    "NOT_STARTED": "queued",
    "QUEUED": "queued",
    "MANAGED": "queued",
    "STARTING": "running",
    "STARTED": "running",
    "CANCELING": "running",
    "SUCCESS": "completed",
    "FAILURE": "failed",
    "CANCELED": "cancelled",
}

_STAGES: Mapping[TaskState, str] = {
    "queued": WAITING_STAGE,
    "running": "starting",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


def status_of(runs: Sequence[Mapping[str, Any]]) -> TaskStatus:
    """The status of a task from its runs, in any order, as `queries.RUN_FIELDS` returns them."""
    attempts = sorted(runs, key=lambda run: (run["runId"] != task_of(run), run["creationTime"]))
    newest = attempts[-1]
    marks = {tag["key"]: tag["value"] for tag in newest["tags"]}
    state = _state(newest["status"], marks)
    error = marks.get(tags.ERROR) or "the worker ended without a message; see the run's page in the web UI"
    return TaskStatus(
        task_id=task_of(newest),
        state=state,
        progress=1.0 if state == "completed" else float(marks.get(tags.PROGRESS, 0)),
        stage=_stage(state, marks.get(tags.STAGE, WAITING_STAGE)),
        attempt=len(attempts),
        result_path=marks.get(tags.RESULT_PATH) or None,
        error=error if state == "failed" else None,
        submitted_at=_moment(attempts[0]["creationTime"]),
        started_at=_moment_or_none(newest["startTime"]),
        finished_at=_moment_or_none(newest["endTime"])
        if state in {"completed", "failed", "cancelled"}
        else None,
        strategy=marks.get(tags.STRATEGY),
        symbols=[symbol for symbol in marks.get(tags.SYMBOLS, "").split(",") if symbol],
        labels={
            key.removeprefix(tags.LABEL_PREFIX): value
            for key, value in marks.items()
            if key.startswith(tags.LABEL_PREFIX)
        },
    )


def task_of(run: Mapping[str, Any]) -> str:
    """Id of the task that a run is an attempt of; a root run names no root."""
    return str(run["rootRunId"] or run["runId"])


def _state(run_status: str, marks: Mapping[str, str]) -> TaskState:
    if run_status == "FAILURE" and marks.get(tags.WILL_RETRY) == "true":
        return "queued"
    return STATE_OF[run_status]


def _stage(state: TaskState, told: str) -> str:
    """What the worker told last, unless it has told nothing yet or has nothing more to tell."""
    return _STAGES[state] if told == WAITING_STAGE or state == "completed" else told


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)
