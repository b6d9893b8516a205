"""Executing a run that a worker of the broker has claimed, in a process that has waited for it."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, cast

from dagster._cli import api
from dagster._core.events import EngineEventData
from dagster._core.origin import JobPythonOrigin
from dagster._grpc.impl import core_execute_run
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster._utils.interrupts import capture_interrupts

from backtest_pipeline.orchestration.dagster_internals.compat import uses

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

uses(api, "core_execute_run", "recon_job_from_origin", within=api._execute_run_command_body)  # noqa: SLF001  declared here
_logger = logging.getLogger("backtest.worker")


def execute(instance: DagsterInstance, run: DagsterRun) -> None:
    """Executes a run in this process; what becomes of it is in the database, whatever it raises.

    From here on SIGINT interrupts the run, as Dagster's own workers have it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with capture_interrupts():
            pid = os.getpid()
            instance.report_engine_event(
                f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
            )
            job = recon_job_from_origin(cast(JobPythonOrigin, run.job_code_origin))
            for _ in core_execute_run(job, run, instance, inject_env_vars=False):
                pass
    except BaseException as error:  # noqa: BLE001  an interrupt among them; Dagster has written it down
        _logger.info("run %s has ended by %r", run.run_id, error)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
