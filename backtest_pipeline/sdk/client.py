"""The client: submit, watch and read backtests from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from backtest_pipeline.model.errors import ServiceError, TaskUnknown
from backtest_pipeline.model.status import TaskState, TaskStatus
from backtest_pipeline.model.task_request import TaskRequest
from backtest_pipeline.sdk.cancelling import cancel
from backtest_pipeline.sdk.clock import Clock
from backtest_pipeline.sdk.first_contact import LoggedOnce
from backtest_pipeline.sdk.listing import Wanted, moment, newest_tasks
from backtest_pipeline.sdk.server_strategies import server_strategies
from backtest_pipeline.sdk.states import Run, may_have_successors, status_of, task_of
from backtest_pipeline.sdk.stored_results import StoredResults
from backtest_pipeline.sdk.submission import launch, launch_all, new_key
from backtest_pipeline.sdk.task_naming import whole_id
from backtest_pipeline.sdk.task_places import Place, place_of
from backtest_pipeline.sdk.task_runs import TaskRuns
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.sdk.waiting import wait_for
from backtest_pipeline.settings import get_settings

Told = Callable[[TaskStatus], object]


class BacktestClient(StoredResults):
    """Talks to a pipeline's web server; reads results from the folder that both share.

    Use it as a context manager or call `close()`. Every call goes on trying for a while where the server
    does not answer, and all may raise `ServerUnreachable` and `ServerRefused`. Threads may share a client.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        data_root: str | Path | None = None,
        token: str | None = None,
        patience_s: float = 10.0,
        first_patience_s: float | None = None,
        on_retry: Callable[[ServiceError], object] | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepares a client; nothing is sent yet.

        Args:
            url: the web server; BACKTEST_URL by default.
            data_root: where results lie; DATA_ROOT by default.
            token: bearer token; BACKTEST_TOKEN by default.
            patience_s: how long to go on trying after a first failure, in seconds.
            first_patience_s: the same as long as the server has not answered once; by default no different.
            on_retry: called with what went wrong before each further try; by default the first is logged.
            transport: another way to send, for tests.
            clock: another clock, for tests.
        """
        settings = get_settings()
        self._clock = clock or Clock()
        self._graphql = GraphQL(
            url or settings.backtest_url,
            settings.backtest_token if token is None else token,
            transport,
            patience_s=patience_s,
            first_patience_s=first_patience_s,
            clock=self._clock,
            on_retry=on_retry or LoggedOnce(),
        )
        self._task_runs = TaskRuns(self._graphql)
        super().__init__(data_root or settings.data_root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back."""
        self._graphql.close()

    def submit(
        self,
        request: TaskRequest,
        *,
        idempotency_key: str | None = None,
        reuse: bool = True,
        server_code: bool = False,
    ) -> TaskStatus:
        """Asks for a backtest, a sweep or a walk-forward, and returns at once.

        Where a completed task has the very result already (same request, candles and code), the server
        returns that task and runs nothing. Parameters are checked here where the strategy is installed here;
        the server checks them in any case, and whether it has the candles.

        Args:
            request: what to run.
            idempotency_key: names this submission. A second one with the same key, whatever its request,
                starts nothing and gets the first one's task, even if that has ended. By default each call
                has a key of its own, so that a launch can be sent again after a lost connection.
            reuse: whether an earlier task's result will do. A key asks for a submission of its own, so with
                one nothing is reused.
            server_code: run the server's code, whatever is installed here, and reuse nothing. Otherwise a
                task whose strategy has other code there than here fails before any work; where the strategy
                is not installed here, the server's runs in any case. `TaskStatus.code_sha256` tells which
                code ran.

        Raises:
            RequestInvalid: the strategy, its parameters or the key are wrong, or the server has not the
                strategy or the candles; nothing was started.
        """
        reuse = reuse and idempotency_key is None and not server_code
        key = new_key() if idempotency_key is None else idempotency_key
        run = launch(self._graphql, request, key, reuse=reuse, server_code=server_code)
        return self._status_after(run)

    def submit_many(
        self,
        requests: Iterable[TaskRequest],
        *,
        idempotency_keys: Sequence[str] | None = None,
        at_once: int = 2,
        server_code: bool = False,
    ) -> list[TaskStatus]:
        """Asks for many tasks; returns their tasks in the same order. Reuses no results.

        Args:
            requests: what to run.
            idempotency_keys: one for each request, as for `submit`.
            at_once: how many questions to send at the same time, each with some 25 requests, which the server
                stores together.
            server_code: as for `submit`.

        Raises:
            SubmissionsFailed: some were not taken, all others were; it has the keys to repeat the call with.
        """
        runs = launch_all(self._graphql, requests, idempotency_keys, at_once, server_code=server_code)
        return [self._status_after(run) for run in runs]

    def _status_after(self, run: Run) -> TaskStatus:
        """Where a task stands, by the run that its submission was answered with."""
        if may_have_successors(run):
            return self.status(task_of(run))
        return status_of([run], self._clock.now_s())

    def task_id(self, task: str) -> str:
        """The whole id of the task that somebody means; all methods that take an id take this as well.

        Args:
            task: an id, which is handed back as it is; the beginning of one, eight characters or more; or
                `last`, the newest task.

        Raises:
            TaskUnknown, TaskAmbiguous: no task, or more than one, is named so.
        """
        return whole_id(self._graphql, self._task_runs, self._tasks, task, self.list_tasks)

    def located(self, task: str) -> Place:
        """As `StoredResults.located`; where the own folder has no result, the server is asked for its own."""
        return place_of(self._tasks, task, self._graphql.url, self.status)

    def status(self, task_id: str) -> TaskStatus:
        """Where a task stands now.

        Raises:
            TaskUnknown, TaskAmbiguous: the server knows no such task, or more than one.
        """
        return self.statuses([task_id])[0]

    def statuses(self, task_ids: Iterable[str]) -> list[TaskStatus]:
        """Where tasks stand now, in the order of the ids: one request for up to 200 tasks.

        Raises:
            TaskUnknown: the server does not know one of them.
        """
        wanted = [self.task_id(task_id) for task_id in task_ids]
        known = self._statuses_of(wanted)
        for task_id in wanted:
            if task_id not in known:
                raise TaskUnknown(task_id)
        return [known[task_id] for task_id in wanted]

    def wait(
        self, task_id: str, *, timeout_s: float | None = None, on_progress: Told | None = None
    ) -> TaskStatus:
        """Waits until a task has completed, failed or been cancelled; see `wait_many`."""
        return self.wait_many([task_id], timeout_s=timeout_s, on_progress=on_progress)[0]

    def wait_many(
        self, task_ids: Sequence[str], *, timeout_s: float | None = None, on_progress: Told | None = None
    ) -> list[TaskStatus]:
        """Waits until all tasks have completed, failed or been cancelled; returns them in the same order.

        Args:
            task_ids: the tasks.
            timeout_s: how long to wait at most, in seconds; none waits for ever.
            on_progress: called with each new status, the final ones included.

        Raises:
            WaitTimedOut: not all have ended in time; they go on.
            TaskUnknown: the server does not know one of them.
        """

        def known(wanted: Sequence[str]) -> Mapping[str, TaskStatus]:
            return dict(zip(wanted, self.statuses(wanted), strict=True))

        wanted = [self.task_id(task_id) for task_id in task_ids]
        return wait_for(wanted, known, self._clock, timeout_s, on_progress)

    def cancel(self, task_id: str, *, timeout_s: float = 15.0) -> TaskStatus:
        """Cancels a task that waits, starts, runs or is about to be retried; an ended one stays as it is.

        Args:
            task_id: the task.
            timeout_s: how long to wait for its end; one that takes longer to stop is returned as `running`,
                its stage `cancelling`.

        Raises:
            TaskUnknown: the server knows no such task.
            TaskNotCancelled: it may go on, and the message says why.
        """
        return cancel(self._graphql, self._task_runs, self._clock, self.task_id(task_id), timeout_s)

    def server_strategies(self) -> dict[str, str | None]:
        """The strategies that the server can run, by name, with the digest of their code as it is loaded.

        Raises:
            ServiceError: the server did not answer, or its code location has not loaded.
        """
        return server_strategies(self._graphql)

    def list_tasks(
        self,
        *,
        state: TaskState | None = None,
        strategy: str | None = None,
        label: Mapping[str, str] | None = None,
        since: date | datetime | None = None,
        until: date | datetime | None = None,
        limit: int = 100,
    ) -> list[TaskStatus]:
        """The newest tasks, newest first by submission.

        Args:
            state: only tasks in this state.
            strategy: only tasks of this strategy.
            label: only tasks with all these labels.
            since: only tasks submitted then or later; without a zone, in UTC.
            until: only tasks submitted then or earlier; a date includes that whole day.
            limit: how many tasks at most.
        """
        wanted = Wanted(state, strategy, label or {}, moment(since), moment(until, end_of_day=True))
        return newest_tasks(self._graphql, self._task_runs, self._statuses_of, wanted, limit)

    def _statuses_of(self, task_ids: Iterable[str]) -> dict[str, TaskStatus]:
        """The statuses of those tasks that the server knows."""
        runs = self._task_runs.of(task_ids)
        now_s = self._clock.now_s()
        return {task_id: status_of(of_task, now_s) for task_id, of_task in runs.items()}
