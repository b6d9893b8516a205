"""The client: submit, watch and read backtests from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import ServiceError, TaskUnknown
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.status import TaskState, TaskStatus
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.results import catalog
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.sdk.attempts import Attempts
from backtest_pipeline.sdk.cancelling import cancel
from backtest_pipeline.sdk.clock import Clock
from backtest_pipeline.sdk.listing import Wanted, moment, newest_tasks
from backtest_pipeline.sdk.reuse import Reuse
from backtest_pipeline.sdk.states import may_have_successors, status_of, task_of
from backtest_pipeline.sdk.submission import launch, new_key, submit_all
from backtest_pipeline.sdk.sweep_results import read_sweep, request_of_trial
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.sdk.waiting import wait_for
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    import pandas as pd

Told = Callable[[TaskStatus], object]


class BacktestClient:
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
            on_retry: called with what went wrong before each further try.
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
            clock=self._clock,
            on_retry=on_retry,
        )
        self._attempts = Attempts(self._graphql)
        self._tasks = TaskStore(data_root or settings.data_root)
        candles = CandleStore(data_root or settings.data_root, settings.candle_timezone)
        self._reuse = Reuse(self._graphql, self._tasks, candles)

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
        request: BacktestRequest | SweepRequest,
        *,
        idempotency_key: str | None = None,
        reuse: bool = True,
        server_code: bool = False,
    ) -> TaskStatus:
        """Asks for a backtest, or for a sweep, and returns at once.

        Where a completed task has the very result already (same request, candles and code), that task is
        returned and nothing runs. Parameters are checked here where the strategy is installed here; the
        server checks them in any case.

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
            RequestInvalid: the strategy, its parameters or the key are wrong; nothing was started.
        """
        if isinstance(request, BacktestRequest) and reuse and idempotency_key is None and not server_code:
            done = self._with_result_of(request)
            if done is not None:
                return done
        key = new_key() if idempotency_key is None else idempotency_key
        run = launch(self._graphql, request, key, server_code=server_code)
        if may_have_successors(run):
            return self.status(task_of(run))
        return status_of([run], self._clock.now_s())

    def submit_many(
        self,
        requests: Sequence[BacktestRequest | SweepRequest],
        *,
        idempotency_keys: Sequence[str] | None = None,
        at_once: int = 8,
        server_code: bool = False,
    ) -> list[TaskStatus]:
        """Asks for many backtests or sweeps; returns their tasks in the same order. Reuses no results.

        Args:
            requests: what to run.
            idempotency_keys: one for each request, as for `submit`.
            at_once: how many to submit at the same time.
            server_code: as for `submit`.

        Raises:
            SubmissionsFailed: some were not taken, all others were; it has the keys to repeat the call with.
        """

        def submit(request: BacktestRequest | SweepRequest, key: str) -> TaskStatus:
            return self.submit(request, idempotency_key=key, server_code=server_code)

        return submit_all(submit, requests, idempotency_keys, at_once)

    def status(self, task_id: str) -> TaskStatus:
        """Where a task stands now.

        Raises:
            TaskUnknown: the server knows no such task.
        """
        return self.statuses([task_id])[0]

    def statuses(self, task_ids: Iterable[str]) -> list[TaskStatus]:
        """Where tasks stand now, in the order of the ids: one request for up to 200 tasks.

        Raises:
            TaskUnknown: the server does not know one of them.
        """
        wanted = list(task_ids)
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

        return wait_for(task_ids, known, self._clock, timeout_s, on_progress)

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
        return cancel(self._graphql, self._attempts, self._clock, task_id, timeout_s)

    def result(self, task_id: str) -> Any:
        """Reads a completed task's result from its folder, checking every file.

        Returns:
            A `BacktestResult`, or of a sweep a `SweepResult`.

        Raises:
            ResultMissing: there is none (yet), or the task did not complete.
            ResultDamaged: a file is gone or differs from what was published.
        """
        if self._tasks.manifest(task_id).kind == "sweep":
            return read_sweep(self._tasks, task_id)
        return self._tasks.result(task_id)

    def trial(self, task_id: str, trial: int) -> BacktestRequest:
        """The backtest that a trial of a completed sweep is: run alone, it yields the very same numbers.

        Raises:
            RequestInvalid: there is no such trial, or its values do not fit together.
            ResultMissing, ResultDamaged: as `result`.
        """
        return request_of_trial(self._tasks, task_id, trial)

    def pin(self, task_id: str) -> Manifest:
        """Keeps a finished task's results past TASK_RESULT_TTL_DAYS, in the folder that both share.

        A task that is still to finish is asked for with `pinned=True` instead.

        Raises:
            ResultMissing: the task has not finished, or its results are gone.
            ResultDamaged: its manifest cannot be read.
            OSError: the folder cannot be written.
        """
        return self._tasks.pin(task_id, pinned=True, ttl_days=0)

    def unpin(self, task_id: str) -> Manifest:
        """Lets a task's results expire again, TASK_RESULT_TTL_DAYS after it finished; errors as for `pin`."""
        return self._tasks.pin(task_id, pinned=False, ttl_days=get_settings().task_result_ttl_days)

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
        return newest_tasks(self._graphql, self._attempts, self._statuses_of, wanted, limit)

    def results_frame(
        self,
        *,
        state: TaskState | None = None,
        strategy: str | None = None,
        symbol: str | None = None,
        label: Mapping[str, str] | None = None,
        since: date | datetime | None = None,
        until: date | datetime | None = None,
    ) -> pd.DataFrame:
        """All finished tasks whose results are kept, as one table; needs no server.

        One row a task, its id the index. Columns: what was asked (labels as `label.<key>`, parameters as
        `param.<name>`), when and how it ran, and every metric as float; see docs/results.md. Tasks whose
        manifest cannot be read are left out and told in `attrs["unreadable"]`.

        Args:
            state: only tasks that ended so.
            strategy: only tasks of this strategy.
            symbol: only tasks with this symbol, be it beside others.
            label: only tasks with all these labels.
            since: only tasks submitted then or later; without a zone, in UTC.
            until: only tasks submitted then or earlier; a date includes that whole day.
        """
        last = moment(until, end_of_day=True)
        wanted = catalog.Wanted(state, strategy, symbol, label or {}, moment(since), last)
        return catalog.results_frame(catalog.read_catalog(self._tasks.layout, wanted))

    def _with_result_of(self, request: BacktestRequest) -> TaskStatus | None:
        """A completed task that has the request's result, if one can be found."""
        task_id = self._reuse.task_id(request)
        if task_id is None:
            return None
        try:
            task = self.status(task_id)
        except (TaskUnknown, ServiceError):
            return None
        return task if task.state == "completed" else None  # it may be executed again right now

    def _statuses_of(self, task_ids: Iterable[str]) -> dict[str, TaskStatus]:
        """The statuses of those tasks that the server knows."""
        runs = self._attempts.of(task_ids)
        now_s = self._clock.now_s()
        return {task_id: status_of(attempts, now_s) for task_id, attempts in runs.items()}
