"""Runs that are made without a service: on their way into the queue, or waiting in it."""

from __future__ import annotations

from typing import Any

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
    return _run(instance, dg.DagsterRunStatus.QUEUED, {})


def starting_run(instance: dg.DagsterInstance, run_tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """A run of the job `backtest` that is being launched."""
    return _run(instance, dg.DagsterRunStatus.STARTING, run_tags or {})


def _run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, run_tags: dict[str, str]
) -> dg.DagsterRun:
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="backtest_pipeline")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "backtest")
    run: dg.DagsterRun = create_run_for_test(
        instance,
        job_name="backtest",
        status=status,
        tags=run_tags,
        remote_job_origin=origin,
        job_code_origin=JobPythonOrigin(
            "backtest", RepositoryPythonOrigin("python", ModuleCodePointer("x", "y"))
        ),
    )
    return run


def submitted_run(config: dict[str, Any], **run_tags: str) -> dg.DagsterRun:
    """A run of the job `backtest` as it is submitted; `__` stands for the `/` in names of tags."""
    return dg.DagsterRun(
        job_name="backtest",
        run_config=config,
        tags={key.replace("__", "/"): value for key, value in run_tags.items()},
        root_run_id=run_tags.get("dagster__root_run_id"),
        parent_run_id=run_tags.get("dagster__root_run_id"),
    )
