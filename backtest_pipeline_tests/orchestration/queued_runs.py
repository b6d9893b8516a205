"""Runs that wait in an instance's queue."""

from __future__ import annotations

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test


def queued_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run of the job `backtest` that is queued."""
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="backtest_pipeline")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "backtest")
    queued = dg.DagsterRunStatus.QUEUED
    run: dg.DagsterRun = create_run_for_test(
        instance,
        job_name="backtest",
        status=queued,
        remote_job_origin=origin,
        job_code_origin=JobPythonOrigin(
            "backtest", RepositoryPythonOrigin("python", ModuleCodePointer("x", "y"))
        ),
    )
    return run
