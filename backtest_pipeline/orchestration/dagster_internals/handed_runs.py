"""What Dagster's code server starts runs with, made so that it hands them to workers that stand by.

Its `StartRun` asks a multiprocessing context for a queue, an event and a process. Here the three are views of
one worker: the queue reads what the worker sends, and to start the process means to hand it the run.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dagster._grpc import impl
from dagster._grpc.server import DagsterApiServer

from backtest_pipeline.orchestration.dagster_internals import warm_workers
from backtest_pipeline.orchestration.dagster_internals.compat import uses
from backtest_pipeline.orchestration.dagster_internals.standby import HandedRun
from backtest_pipeline.orchestration.dagster_internals.standing_workers import StandingWorker, StandingWorkers

if TYPE_CHECKING:
    import logging

    from dagster._core.instance.ref import InstanceRef

uses(
    DagsterApiServer,
    "Queue",
    "Event",
    "Process",
    "start_run_in_subprocess",
    "get_nowait",
    "is_alive",
    "exitcode",
    within=DagsterApiServer.StartRun,
)
uses(impl, "start_run_in_subprocess")


class RunReports:
    """In the place of a queue: what the worker that has the run reports."""

    def __init__(self) -> None:
        self.worker: StandingWorker | None = None

    def get_nowait(self) -> object:
        """The next report.

        Raises:
            queue.Empty: there is none.
        """
        report = self.worker.report() if self.worker is not None else None
        if report is None:
            raise queue.Empty
        return report


class RunProcess:
    """In the place of a process: the worker that has the run."""

    def __init__(self, workers: RunWorkers, run: HandedRun, reports: RunReports) -> None:
        self._workers = workers
        self._run = run
        self._reports = reports
        self._worker: StandingWorker | None = None

    def start(self) -> None:
        """Hands the run to a worker that stands by, or to a new one.

        Raises:
            OSError: no process can be started.
        """
        self._worker = self._reports.worker = self._workers.worker_for(self._run)

    @property
    def pid(self) -> int | None:
        """Process id; `None` before the start."""
        return self._worker.process.pid if self._worker else None

    @property
    def exitcode(self) -> int | None:
        """How the process has ended; `None` before it has."""
        return self._worker.process.exitcode if self._worker else None

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._worker is not None and self._worker.process.is_alive()

    def kill(self) -> None:
        """Ends it at once."""
        if self._worker is not None:
            self._worker.process.kill()


class RunWorkers:
    """In the place of a multiprocessing context: where a code server's workers come from.

    Nobody stands by before `come_from` has been called, and while code is loaded.
    """

    Queue = RunReports

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._context: warm_workers.WarmContext | warm_workers.ColdContext = warm_workers.ColdContext()
        self._standing = StandingWorkers(self._context.fresh, 0, logger)

    @property
    def are_warm(self) -> bool:
        """Whether they are forked from what has loaded everything."""
        return isinstance(self._context, warm_workers.WarmContext)

    def come_from(
        self,
        context: warm_workers.WarmContext | warm_workers.ColdContext,
        instance: InstanceRef,
        standing: int,
    ) -> None:
        """Takes workers from a context from now on.

        Args:
            context: their context.
            instance: what those that stand by have opened.
            standing: how many do where they are warm; cold ones would hold too much memory.
        """
        self.stand_down()
        self._context = context
        if isinstance(context, warm_workers.WarmContext):
            self._standing = StandingWorkers(partial(context.standing, instance), standing, self._logger)

    def stand_down(self) -> None:
        """Dismisses who stands by, as their code is not what the next run is to have."""
        self._standing.close()

    def Event(self) -> object:  # noqa: N802  multiprocessing's name
        """Something that nobody sets: our server interrupts workers by a signal."""
        return object()

    def Process(self, target: Callable[..., object], args: Sequence[Any]) -> RunProcess:  # noqa: N802  as above
        """A run's process, not started yet; the last two of `args` are of `Queue` and `Event`."""
        *arguments, reports, _ = args
        return RunProcess(self, HandedRun(target, tuple(arguments)), reports)

    def worker_for(self, run: HandedRun) -> StandingWorker:
        """A worker that has been handed the run.

        Raises:
            OSError: no process can be started.
        """
        while (standing := self._standing.take()) is not None:
            if standing.takes(run):
                return standing
            standing.dismiss()
        fresh = self._context.fresh()
        fresh.takes(run)
        return fresh
