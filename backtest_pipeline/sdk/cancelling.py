"""Stopping a task, whatever its newest attempt is doing."""

from __future__ import annotations

from backtest_pipeline.model.errors import TaskNotCancelled, TaskUnknown
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.clock import Clock
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.sdk.states import newest_of, status_of
from backtest_pipeline.sdk.task_runs import TaskRuns
from backtest_pipeline.sdk.transport import GraphQL

FORCE_AFTER_S = 2.0
_PAUSE_S = 0.1


def cancel(graphql: GraphQL, task_runs: TaskRuns, clock: Clock, task_id: str, timeout_s: float) -> TaskStatus:
    """Cancels a task and waits for its end.

    Dagster terminates runs that wait or work; one that is just starting refuses, mostly for less than a
    second. A run that goes on refusing is marked as cancelled, and its worker stops as soon as it looks.
    Dagster cannot be kept from retrying a failed attempt, so its next one is awaited and terminated.

    Returns:
        the status once the task has ended, or after `timeout_s` of one that is still being cancelled.

    Raises:
        TaskUnknown: the server knows no such task.
        TaskNotCancelled: an attempt could not be terminated in time, or the next did not come.
        ServiceError: the server did not answer, or does not allow it.
    """
    started_s = clock.monotonic_s()
    refused_s: dict[str, float] = {}
    problem = "its next attempt is not there yet"
    while True:
        runs = task_runs.of([task_id]).get(task_id)
        if runs is None:
            raise TaskUnknown(task_id)
        now_s, status, newest = clock.monotonic_s(), status_of(runs, clock.now_s()), newest_of(runs)
        stopping, in_time = newest["status"] == "CANCELING", now_s - started_s < timeout_s
        if status.final or (stopping and not in_time):
            return status
        if not in_time:
            raise TaskNotCancelled(task_id, status.state, problem)
        if not stopping and newest["status"] != "FAILURE":
            run_id = newest["runId"]
            refusal = _terminate(graphql, run_id, force=now_s - refused_s.get(run_id, now_s) >= FORCE_AFTER_S)
            if refusal:
                refused_s.setdefault(run_id, now_s)
                problem = refusal
        clock.sleep(_PAUSE_S)


def _terminate(graphql: GraphQL, run_id: str, *, force: bool) -> str:
    """Asks for a run's end; returns why it was refused, or nothing."""
    policy = "MARK_AS_CANCELED_IMMEDIATELY" if force else "SAFE_TERMINATE"
    answer = graphql.ask_patiently(queries.TERMINATE, {"runId": run_id, "policy": policy})["terminateRun"]
    if answer["__typename"] == "TerminateRunFailure":
        return str(answer["message"]).partition("\n")[0].rstrip(".")
    if answer["__typename"] not in {"TerminateRunSuccess", "RunNotFoundError"}:
        raise refusal_of_answer(graphql.url, answer)
    return ""
