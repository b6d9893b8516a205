"""Dagster's launcher, with the question that it lacks: is the worker of this run still there?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dagster import DagsterRun, RunsFilter
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, RunLauncher, WorkerStatus
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._grpc.types import CancelExecutionRequest
from dagster._serdes import ConfigurableClassData

from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.tasks.timeouts import fail_timed_out, timed_out
from backtest_pipeline.settings import get_settings

GIVE_UP_SERVER_AFTER_S = 300.0

overrides(DefaultRunLauncher, "terminate", used_by=QueuedRunCoordinator.cancel_run)
overrides(DefaultRunLauncher, "supports_check_run_worker_health", used_by=monitor_started_run)
overrides(DefaultRunLauncher, "check_run_worker_health", used_by=monitor_started_run)
uses(DefaultRunLauncher, "_get_grpc_client_for_termination", within=DefaultRunLauncher.terminate)
uses(DefaultRunLauncher, "_instance", within=DefaultRunLauncher.terminate)


class BacktestRunLauncher(DefaultRunLauncher):
    """Launches runs on the code server and knows whether it still has them."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        """Called by Dagster when it loads `dagster.yaml`."""
        super().__init__(inst_data)
        self._silent_since_s: dict[str, float] = {}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster wants a launcher, whichever
        cls,
        inst_data: ConfigurableClassData,
        config_value: Mapping[str, Any],  # noqa: ARG003  empty
    ) -> RunLauncher:
        """Called by Dagster when it loads `dagster.yaml`; with a broker, runs go to the workers behind it."""
        settings = get_settings()
        if not settings.backtest_broker_url:
            return cls(inst_data)
        from backtest_pipeline.orchestration.dagster_internals.broker_launcher import (  # noqa: PLC0415  Celery, an extra
            BrokerRunLauncher,
        )

        return BrokerRunLauncher(
            settings.backtest_broker_url, settings.broker_visibility_timeout_s, inst_data
        )

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def terminate(self, run_id: str) -> bool:
        """Stops a worker. Past its timeout a run is not tried again: it would take as long once more.

        Returns:
            whether the run is being cancelled; no for one past its timeout, which has failed.
        """
        record = self._instance.get_run_record_by_id(run_id)
        if record is not None and not record.dagster_run.is_finished and timed_out(record, time.time()):
            self._fail_timed_out(record.dagster_run)
            return False
        stopped: bool = super().terminate(run_id)  # type: ignore[no-untyped-call]  # untyped in Dagster
        return stopped

    def _fail_timed_out(self, run: DagsterRun) -> None:
        """Fails a run before its worker is interrupted, which otherwise might call it cancelled."""
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        fail_timed_out(self._instance, run)
        if client is not None:
            client.cancel_execution(CancelExecutionRequest(run_id=run.run_id))

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Asks the code server that started a run whether it has it.

        A server that does not answer says nothing about its workers, so the run counts as running; when it
        is back it no longer knows the workers of its former life, and their runs are lost. One that has not
        answered for minutes may never be asked again at that address, as after a move: then they are lost
        too. Should a worker live on all the same, its attempt may publish nothing.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            self._silent_since_s.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run is ending")
        try:
            known = client.get_current_runs()
        except Exception as error:  # noqa: BLE001  gRPC's errors are many; none is about the worker
            self._forget_ended(run.run_id)
            since_s = self._silent_since_s.setdefault(run.run_id, time.monotonic())
            if time.monotonic() - since_s > GIVE_UP_SERVER_AFTER_S:
                del self._silent_since_s[run.run_id]
                return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its code server is gone")
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"the code server does not answer: {error}")
        self._silent_since_s.pop(run.run_id, None)
        if run.run_id in known:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the worker is gone")

    def _forget_ended(self, asked_about: str) -> None:
        """Drops what is kept of runs that have ended meanwhile, as nobody asks about those again."""
        kept = [run_id for run_id in self._silent_since_s if run_id != asked_about]
        if not kept or asked_about in self._silent_since_s:
            return
        alive = RunsFilter(run_ids=kept, statuses=IN_PROGRESS_RUN_STATUSES)
        for run_id in {*kept} - {*self._instance.get_run_ids(alive)}:
            del self._silent_since_s[run_id]
