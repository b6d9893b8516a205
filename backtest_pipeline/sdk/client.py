"""The client: submit, watch and read backtests from Python."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import (
    RequestInvalid,
    ServerRefused,
    StrategyUnknown,
    TaskUnknown,
    WaitTimedOut,
)
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.model.status import WAITING_STAGE, TaskState, TaskStatus
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.states import status_of, task_of
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.task_store import TaskStore
from backtest_pipeline.strategies.registry import resolve

_SELECTOR = {
    "repositoryLocationName": tags.CODE_LOCATION,
    "repositoryName": tags.REPOSITORY,
    "jobName": tags.JOB,
}
_FIRST_POLL_S = 0.05
_LAST_POLL_S = 0.5


class BacktestClient:
    """Talks to a pipeline's web server; reads results from the folder that both share.

    Use it as a context manager or call `close()`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        data_root: str | Path | None = None,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepares a client; nothing is sent yet.

        Args:
            url: the web server; BACKTEST_URL by default.
            data_root: where results lie; DATA_ROOT by default.
            token: bearer token; BACKTEST_TOKEN by default.
            transport: another way to send, for tests.
        """
        settings = get_settings()
        token = settings.backtest_token if token is None else token
        self._graphql = GraphQL(url or settings.backtest_url, token, transport)
        self._tasks = TaskStore(data_root or settings.data_root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back."""
        self._graphql.close()

    def submit(self, request: BacktestRequest) -> TaskStatus:
        """Asks for a backtest and returns at once.

        Parameters are checked here where the strategy is installed here; the server checks them in any case.

        Raises:
            RequestInvalid: the strategy or its parameters are wrong; nothing was started.
            ServerUnreachable, ServerRefused: the server did not take it.
        """
        request = _checked(request)
        params = {
            "selector": _SELECTOR,
            "runConfigData": to_run_config(request),
            "executionMetadata": {"tags": _submission_tags(request)},
        }
        answer = self._graphql.ask(queries.LAUNCH, {"params": params})["launchRun"]
        if answer["__typename"] == "RunConfigValidationInvalid":
            raise RequestInvalid([("", error["message"]) for error in answer["errors"]])
        if answer["__typename"] != "LaunchRunSuccess":
            raise self._refused(answer)
        return self.status(answer["run"]["runId"])

    def status(self, task_id: str) -> TaskStatus:
        """Where a task stands now.

        Raises:
            TaskUnknown: the server knows no such task.
            ServerUnreachable, ServerRefused: the server did not answer.
        """
        answer = self._graphql.ask(queries.TASK, {"taskId": task_id})["runGroupOrError"]
        if answer["__typename"] == "RunGroupNotFoundError":
            raise TaskUnknown(task_id)
        if answer["__typename"] != "RunGroup":
            raise self._refused(answer)
        return status_of(answer["runs"])

    def wait(
        self,
        task_id: str,
        *,
        timeout_s: float | None = None,
        on_progress: Callable[[TaskStatus], object] | None = None,
    ) -> TaskStatus:
        """Waits until a task has completed, failed or been cancelled.

        Args:
            task_id: the task.
            timeout_s: how long to wait at most, in seconds; none waits for ever.
            on_progress: called with each new status, the final one included.

        Raises:
            WaitTimedOut: the task has not ended in time; it goes on.
            TaskUnknown, ServerUnreachable, ServerRefused: as for `status`.
        """
        started, pause_s, told = time.monotonic(), _FIRST_POLL_S, None
        while True:
            status = self.status(task_id)
            if on_progress is not None and status != told:
                on_progress(status)
                told = status
            waited_s = time.monotonic() - started
            if status.final:
                return status
            if timeout_s is not None and waited_s >= timeout_s:
                raise WaitTimedOut(task_id, status.state, timeout_s)
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LAST_POLL_S)

    def result(self, task_id: str) -> BacktestResult:
        """Reads a completed task's result from its folder, checking every file.

        Raises:
            ResultMissing: there is none (yet), or the task did not complete.
            ResultDamaged: a file is gone or differs from what was published.
        """
        return self._tasks.result(task_id)

    def list_tasks(
        self, *, state: TaskState | None = None, strategy: str | None = None, limit: int = 100
    ) -> list[TaskStatus]:
        """The newest tasks, newest first.

        Args:
            state: only tasks in this state.
            strategy: only tasks of this strategy.
            limit: how many attempts to look at, at most.
        """
        wanted: dict[str, Any] = {"pipelineName": tags.JOB}
        if strategy:
            wanted["tags"] = [{"key": tags.STRATEGY, "value": strategy}]
        answer = self._graphql.ask(queries.TASKS, {"filter": wanted, "limit": limit})["runsOrError"]
        if answer["__typename"] != "Runs":
            raise self._refused(answer)
        attempts = defaultdict(list)
        for run in answer["results"]:
            attempts[task_of(run)].append(run)
        tasks = [status_of(runs) for runs in attempts.values()]
        return [task for task in tasks if state in {None, task.state}]

    def _refused(self, answer: dict[str, Any]) -> ServerRefused:
        message = str(answer.get("message") or answer["__typename"])
        return ServerRefused(self._graphql.url, message.strip().partition("\n")[0])


def _checked(request: BacktestRequest) -> BacktestRequest:
    try:
        return resolve(request).request
    except StrategyUnknown:
        return request  # the server may have strategies that are not installed here


def _submission_tags(request: BacktestRequest) -> list[dict[str, str]]:
    """Tags that are wanted before a worker has looked at the request."""
    marks = {
        tags.STRATEGY: request.strategy,
        tags.PROGRESS: "0.00",
        tags.STAGE: WAITING_STAGE,
        **{f"{tags.LABEL_PREFIX}{key}": value for key, value in request.labels.items()},
    }
    if request.priority:
        marks[tags.PRIORITY] = str(request.priority)
    return [{"key": key, "value": value} for key, value in marks.items()]
