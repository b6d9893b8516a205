"""Looking after the runs and chunks of a worker: interrupting, killing, and reporting who has died.

It is done by the process that keeps the worker, as one that is stuck in native code cannot do it for itself.
What is to happen to a run is written in Dagster's database, by whoever cancels it or declares it over.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterRunStatus, RunsFilter

from backtest_pipeline.orchestration.tasks.run_claims import worker_of
from backtest_pipeline.orchestration.tasks.worker_activity import Activity, activities, forget

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

AGAIN_AFTER_S = 2.0
KILL_AFTER_S = 10.0
_logger = logging.getLogger("backtest.worker")


class WorkerRuns:
    """What the processes of a worker are at, and what is to be done about it."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._asked_s: dict[tuple[int, str], list[float]] = {}
        self.at_work: Sequence[Activity] = ()

    def look(self, instance: DagsterInstance, folders: Iterable[Path]) -> None:
        """Looks once at everything that is at work in the folders of the worker's generations.

        Raises:
            Exception: the database does not answer; nothing is done before it does.
        """
        found = [(folder, one) for folder in folders for one in activities(folder)]
        self.at_work = [one for _, one in found if one.is_alive()]
        if not found:
            self._asked_s.clear()
            return
        wanted = RunsFilter(run_ids=sorted({one.run_id for _, one in found}))
        runs = {run.run_id: run for run in instance.get_runs(wanted)}
        for folder, activity in found:
            run = runs.get(activity.run_id)
            if not activity.is_alive():
                if activity.kind == "run":
                    self._report_dead(instance, run)
                forget(folder, activity)
            elif _is_over(run, activity):
                self._stop(activity)
        alive = {(one.pid, one.run_id) for one in self.at_work}
        self._asked_s = {key: asked for key, asked in self._asked_s.items() if key in alive}

    def _stop(self, activity: Activity) -> None:
        """Interrupts a run, again after two seconds, and kills it after ten; a chunk is killed."""
        now_s = time.monotonic()
        asked = self._asked_s.setdefault((activity.pid, activity.run_id), [])
        if activity.kind == "chunk" or (asked and now_s - asked[0] > KILL_AFTER_S):
            _logger.warning("killing process %d of run %s", activity.pid, activity.run_id)
            _send(activity.pid, signal.SIGKILL)
        elif not asked or (len(asked) == 1 and now_s - asked[0] > AGAIN_AFTER_S):
            asked.append(now_s)
            _send(activity.pid, signal.SIGINT)

    def _report_dead(self, instance: DagsterInstance, run: DagsterRun | None) -> None:
        """A process that has died while its run was being cancelled is a cancelled run, not a crashed one."""
        if run is None or run.is_finished or worker_of(run) != self._worker:
            return
        if run.status == DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="The worker was stopped.")
        elif run.status in {DagsterRunStatus.STARTING, DagsterRunStatus.STARTED}:
            instance.report_run_failed(run, f"The process of the run has died, on the worker {self._worker}.")


def _is_over(run: DagsterRun | None, activity: Activity) -> bool:
    """Whether nobody waits for the work any more; what follows a success is left to end."""
    if run is None or run.status in {DagsterRunStatus.CANCELING, DagsterRunStatus.QUEUED}:
        return run is None or run.status == DagsterRunStatus.CANCELING
    return run.is_finished and (activity.kind == "chunk" or run.status != DagsterRunStatus.SUCCESS)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
