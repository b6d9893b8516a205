"""The launcher of runs on other machines: dagster-celery's, with the promises of the local one kept.

A run is offered to the workers by a message. What becomes of it is told by Dagster's database alone: who has
claimed it, and whether that worker renews its lease. So a message that waits is no dead worker, one that is
lost costs nothing, and one that comes twice starts nothing. `BacktestRunLauncher` makes way for this one
where `BACKTEST_BROKER_URL` is set.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from functools import cached_property

from dagster import DagsterRun, DagsterRunStatus
from dagster._core.instance.methods.run_launcher_methods import RunLauncherMethods
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher

from backtest_pipeline.compute.broker import RUN_TASK, RUNS, celery_settings, message_priority, queue_name
from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.tasks.run_claims import cancel_unclaimed, offer, take_back, worker_of
from backtest_pipeline.orchestration.tasks.timeouts import fail_timed_out, timed_out
from backtest_pipeline.orchestration.tasks.worker_leases import WorkersSeen

overrides(CeleryRunLauncher, "launch_run", used_by=RunLauncherMethods.launch_run)
overrides(CeleryRunLauncher, "terminate", used_by=QueuedRunCoordinator.cancel_run)
overrides(CeleryRunLauncher, "check_run_worker_health", used_by=monitor_started_run)
overrides(CeleryRunLauncher, "supports_resume_run", used_by=monitor_started_run)
overrides(CeleryRunLauncher, "get_run_worker_debug_info", used_by=monitor_started_run)
uses(CeleryRunLauncher, "_instance", within=CeleryRunLauncher.terminate)
uses(CeleryRunLauncher, "celery", within=CeleryRunLauncher.launch_run)

_TRIES = {"max_retries": 1, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 0.4}
UNLISTED_AFTER_S = 15.0
"""A worker renews its lease every two seconds: by then it has said that it has the run."""
_logger = logging.getLogger(__name__)


class BrokerRunLauncher(CeleryRunLauncher):
    """Offers runs to Celery workers, and knows whether those that took them are alive."""

    def __init__(
        self, url: str, visibility_timeout_s: int, inst_data: ConfigurableClassData | None = None
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: of the broker.
            visibility_timeout_s: as of `celery_settings`.
            inst_data: Dagster's.
        """
        super().__init__(
            default_queue=queue_name(RUNS),
            broker=url,
            config_source=celery_settings(visibility_timeout_s),
            inst_data=inst_data,
        )
        self._sending = threading.Lock()
        self._unlisted_since_s: dict[str, float] = {}

    @cached_property
    def workers(self) -> WorkersSeen:
        """The workers on all machines."""
        return WorkersSeen(self._instance)

    def run_slots(self) -> int:
        """How many runs they take at a time, at this moment."""
        return self.workers.run_slots()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Offers a run; where the broker does not take the message, the run waits in the queue again.

        The message says which run it is, and not, as dagster-celery's, how the database is reached.
        """
        run = context.dagster_run
        token = uuid.uuid4().hex
        offer(self._instance, run.run_id, token)
        priority = int(tags.number(run.tags, tags.PRIORITY, 0))
        try:
            with self._sending:
                self.celery.send_task(
                    RUN_TASK,
                    args=[run.run_id],
                    task_id=token,
                    queue=queue_name(RUNS),
                    priority=message_priority(priority),
                    retry=True,
                    retry_policy=_TRIES,
                )
        except Exception as error:  # noqa: BLE001  Celery's, Kombu's and Redis' errors are many
            reason = f"The broker did not take the run: {error}. It waits in the queue."
            _logger.warning("run %s: %s", run.run_id, reason)
            take_back(self._instance, run.run_id, reason)

    def terminate(self, run_id: str) -> bool:
        """Stops a run in whatever state it is; one past its timeout has failed, see `BacktestRunLauncher`."""
        record = self._instance.get_run_record_by_id(run_id)
        if record is None or record.dagster_run.is_finished:
            return False
        if timed_out(record, time.time()):
            fail_timed_out(self._instance, record.dagster_run)  # upon which its worker interrupts it
            return False
        if cancel_unclaimed(self._instance, run_id):
            return True
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if run.status != DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)  # upon which its worker interrupts it
        return True

    @property
    def supports_resume_run(self) -> bool:
        """No: a further attempt is another run."""
        return False

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the worker that has claimed a run is there and has it."""
        name = worker_of(run)
        lease = self.workers.alive().get(name)
        if not name or lease is None:
            self._unlisted_since_s.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"the worker {name or '?'} is gone")
        if run.run_id in lease.runs:
            self._unlisted_since_s.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        since_s = self._unlisted_since_s.setdefault(run.run_id, time.monotonic())
        if time.monotonic() - since_s < UNLISTED_AFTER_S:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the worker has just taken it, or is ending it")
        del self._unlisted_since_s[run.run_id]
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"the worker {name} does not have it any more")

    def get_run_worker_debug_info(
        self,
        run: DagsterRun,
        include_container_logs: bool | None = True,  # noqa: ARG002  of the parent
    ) -> str | None:
        """Which worker has it."""
        name = worker_of(run)
        return f"claimed by the worker {name}" if name else "no worker has claimed it"
