"""Dagster's launcher, with the question that it lacks: is the worker of this run still there?"""

from __future__ import annotations

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus


class BacktestRunLauncher(DefaultRunLauncher):
    """Launches runs on the code server and can tell whether it still has them."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Asks the code server that started a run whether it has it.

        A server that does not answer says nothing about its workers, so the run counts as running; when it
        is back it no longer knows the workers of its former life, and their runs are lost.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run is ending")
        try:
            known = client.get_current_runs()
        except Exception as error:  # noqa: BLE001  gRPC's errors are many; none is about the worker
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"the code server does not answer: {error}")
        if run.run_id in known:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the worker is gone")
