"""Looking after runs that are starting on other machines.

Dagster fails a run that has not started after half a minute. A run that was offered to workers, and that none
has claimed, goes back into the queue instead: its message was lost, or nobody had a slot after all.
"""

from __future__ import annotations

import logging
import time

from dagster import DagsterInstance, DagsterRunStatus, RunRecord
from dagster._daemon.monitoring import run_monitoring

from backtest_pipeline.orchestration.dagster_internals.broker_launcher import BrokerRunLauncher
from backtest_pipeline.orchestration.dagster_internals.compat import replace
from backtest_pipeline.orchestration.tasks.run_claims import take_back, worker_of

OFFERED_FOR_S = 15.0
_usual = run_monitoring.monitor_starting_run


def install() -> None:
    """Puts our look at starting runs where Dagster's monitoring looks its own up.

    Raises:
        InternalsChanged: it looks elsewhere.
    """
    looked_up_by = run_monitoring.execute_run_monitoring_iteration
    replace(run_monitoring, "monitor_starting_run", look_at_starting, used_by=looked_up_by)


def look_at_starting(instance: DagsterInstance, record: RunRecord, logger: logging.Logger) -> None:
    """Stands for Dagster's function of the same arguments."""
    run, launcher = record.dagster_run, instance.run_launcher
    if run.status != DagsterRunStatus.STARTING or not isinstance(launcher, BrokerRunLauncher):
        _usual(instance, record, logger)
        return
    worker = worker_of(run)
    if worker:
        if worker not in launcher.workers.alive():
            instance.report_run_failed(run, f"The worker {worker} that had claimed the run is gone.")
        return
    launched_s = instance.get_run_stats(run.run_id).launch_time or 0.0
    if time.time() - launched_s > OFFERED_FOR_S:
        reason = f"No worker has taken the run for {OFFERED_FOR_S:.0f} s; it waits in the queue again."
        if take_back(instance, run.run_id, reason):
            logger.info("run %s: %s", run.run_id, reason)
