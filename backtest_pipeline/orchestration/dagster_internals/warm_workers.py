"""Worker processes forked from a preloaded server, so that nothing is imported again for a run.

Python's own fork server does the work. What is added: a *generation* of it can be replaced by a fresh one
when code is reloaded, while runs of the old one finish in peace; and a probe checks whether the preload
really worked, as a failing one is ignored without a word. `standing_workers` says how
they wait for runs.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing import forkserver, popen_fork, popen_forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from backtest_pipeline.orchestration.dagster_internals import worker_generations
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, replaced
from backtest_pipeline.orchestration.dagster_internals.instance_databases import use_databases_well
from backtest_pipeline.orchestration.dagster_internals.standby import stand_by
from backtest_pipeline.orchestration.dagster_internals.standing_workers import StandingWorker
from backtest_pipeline.orchestration.dagster_internals.worker_generations import PRELOAD
from backtest_pipeline.orchestration.tasks import deferred
from backtest_pipeline.settings import forget_secrets

if TYPE_CHECKING:
    from dagster._core.instance.ref import InstanceRef

_PROBE_TIMEOUT_S = 60.0

overrides(popen_forkserver.Popen, "_launch", used_by=popen_fork.Popen.__init__)
overrides(ForkServerProcess, "_Popen", used_by=BaseProcess.start)
overrides(ForkServerContext, "Process")
overrides(SpawnContext, "Process")
overrides(BaseProcess, "run")


class _WarmPopen(popen_forkserver.Popen):
    """Starts a process from the newest generation instead of the module's only fork server."""

    def _launch(self, process: BaseProcess) -> None:
        """Starts it.

        Raises:
            OSError: the process is to come from a generation which is not the newest any more.
        """
        with (
            worker_generations.launching,
            replaced(
                forkserver,
                "connect_to_new_process",
                worker_generations.newest().connect_to_new_process,
                used_by=popen_forkserver.Popen._launch,  # type: ignore[attr-defined]  # noqa: SLF001  typeshed does not know it
            ),
        ):
            wanted = process.generation if isinstance(process, WarmProcess) else None
            if wanted not in {None, worker_generations.newest().number}:
                raise OSError("the fork server has been replaced")
            super()._launch(process)  # type: ignore[misc]  # as above


class _Worker(BaseProcess):
    """Ends at once when the code server dies: nobody could stop the worker then, and its run is given up.

    What its run has postponed, it does when the run is over.
    """

    def run(self) -> None:
        forget_secrets()  # which a cold worker inherits
        threading.Thread(target=_end_with_server, name="end-with-server", daemon=True).start()
        deferred.defer_until_finish()
        use_databases_well(each_commit_lasts=False)
        super().run()
        deferred.finish()


class ColdProcess(_Worker, SpawnProcess):
    """A process that starts from nothing."""


class WarmProcess(_Worker, ForkServerProcess):
    """A process forked from the newest generation.

    Attributes:
        generation: number of the only generation that it may come from; `None`: whatever is the newest.
    """

    generation: int | None = None

    @staticmethod
    def _Popen(process: BaseProcess) -> _WarmPopen:  # noqa: N802  multiprocessing's name
        return _WarmPopen(process)


class WarmContext(ForkServerContext):
    """Where multiprocessing objects come from when workers are warm."""

    Process = WarmProcess

    def __init__(self) -> None:
        """Of the generation that is the newest now."""
        super().__init__()
        self._generation = worker_generations.newest().number

    def standing(self, instance: InstanceRef) -> StandingWorker:
        """A worker of the generation that the context was made for, which opens an instance and stands by.

        Raises:
            OSError: that generation has been replaced, or no process can be started.
        """
        return _started(self, instance, self._generation)

    def fresh(self) -> StandingWorker:
        """A worker of the newest generation, for a run that waits.

        Raises:
            OSError: no process can be started.
        """
        return _started(self, None, None)


class ColdContext(SpawnContext):
    """Where multiprocessing objects come from when workers cannot be warm."""

    Process = ColdProcess

    def fresh(self) -> StandingWorker:
        """As of `WarmContext`."""
        return _started(self, None, None)


def _started(
    context: WarmContext | ColdContext, instance: InstanceRef | None, generation: int | None
) -> StandingWorker:
    ours, theirs = context.Pipe()
    process = context.Process(target=stand_by, args=(theirs, instance))
    if isinstance(process, WarmProcess):
        process.generation = generation
    with theirs:
        process.start()
    return StandingWorker(process, ours)


def _end_with_server() -> None:
    server = multiprocessing.parent_process()
    if server is not None:
        server.join()
        os._exit(1)


def context(logger: logging.Logger) -> WarmContext | ColdContext:
    """A context whose workers are warm, or where they cannot be, one that starts each afresh.

    It starts the fork server, waits for its imports and looks whether a worker really has them.
    """
    worker_generations.renew().retire()
    return _context_of_newest(logger)


def first_context(logger: logging.Logger) -> WarmContext | ColdContext:
    """As `context`; a fork server that runs already, as a copy of this process, is made use of."""
    return _context_of_newest(logger) if worker_generations.newest().is_running else context(logger)


def _context_of_newest(logger: logging.Logger) -> WarmContext | ColdContext:
    warm = WarmContext()
    problem = _problem_of(warm)
    if problem is None:
        return warm
    logger.warning("workers start cold, some seconds later each: %s", problem)
    return ColdContext()


def renewed_context(logger: logging.Logger) -> WarmContext | None:
    """A context whose workers have the code as it is on disk now.

    Returns:
        None where that code does not load: then workers go on coming from the former generation.
    """
    former = worker_generations.renew()
    warm = WarmContext()
    problem = _problem_of(warm)
    if problem is None:
        former.retire()
        return warm
    logger.error("the code has changed on disk and does not load, so what was loaded stays: %s", problem)
    worker_generations.use(former).retire()
    return None


def _problem_of(warm: WarmContext) -> str | None:
    """Why a worker of this context would not be warm, or `None`."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    probe = warm.Process(target=_probe, args=(theirs,))
    try:
        probe.start()
        theirs.close()
        answer = ours.recv() if ours.poll(_PROBE_TIMEOUT_S) else "the fork server did not answer"
        probe.join(_PROBE_TIMEOUT_S)
    except (OSError, EOFError) as error:
        return f"the fork server failed: {error!r}"
    finally:
        ours.close()
    return str(answer) or None


def _probe(answer: Connection) -> None:
    """Runs in a forked worker: sends what is wrong with the preload, or an empty text."""
    preload = sys.modules.get(PRELOAD)
    if preload is None:
        answer.send(f"{PRELOAD} could not be imported; see the code server's log")
    elif os.getpid() == preload.LOADED_BY_PID:
        answer.send("the worker imported everything itself")
    elif preload.THREADS_AFTER_LOADING != 1:
        answer.send(f"the fork server has {preload.THREADS_AFTER_LOADING} threads, which is not safe to fork")
    else:
        answer.send("")


class InBackground:
    """Starts the fork server while this process does its own imports."""

    def __init__(
        self, start: Callable[[logging.Logger], WarmContext | ColdContext], logger: logging.Logger
    ) -> None:
        self._found: list[WarmContext | ColdContext] = []
        self._thread = threading.Thread(target=lambda: self._found.append(start(logger)))
        self._thread.start()

    def context(self) -> WarmContext | ColdContext:
        """Waits for the workers' context."""
        self._thread.join()
        return self._found[0] if self._found else ColdContext()
