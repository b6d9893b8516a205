"""Runs made in memory: all whole runs of a job are alike but for request and tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.storage.tags import CODE_LOCATION_TAG
from dagster._core.utils import make_new_run_id
from dagster._utils.tags import normalize_tags

from backtest_pipeline.orchestration.dagster_internals.compat import uses
from backtest_pipeline.orchestration.dagster_internals.execution_plans import plan_of

if TYPE_CHECKING:
    from dagster._core.remote_representation.external import RemoteJob
    from dagster._core.workspace.context import BaseWorkspaceRequestContext
    from dagster_graphql.implementation.utils import ExecutionParams

uses(RunDomain, "construct_run_with_snapshots")
uses(DagsterInstance, "run_domain")


def new_runs(
    workspace: BaseWorkspaceRequestContext, job: RemoteJob, launches: Sequence[ExecutionParams]
) -> list[DagsterRun]:
    """First runs of tasks, queued, and not stored.

    Args:
        workspace: where this process finds the job.
        job: the job of all the launches.
        launches: what is asked for: whole runs, nobody's further attempt.

    Raises:
        DagsterError: the job has no plan, or tags are none that Dagster can keep.
    """
    plan = plan_of(workspace, job, launches[0].run_config, None, None).execution_plan_snapshot
    origin = job.get_remote_origin()
    like = workspace.instance.run_domain.construct_run_with_snapshots(
        job_name=job.name,
        run_id=make_new_run_id(),
        run_config={},
        resolved_op_selection=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        status=DagsterRunStatus.QUEUED,
        tags={},
        root_run_id=None,
        parent_run_id=None,
        job_snapshot=job.job_snapshot,
        execution_plan_snapshot=plan,
        parent_job_snapshot=job.parent_job_snapshot,
        remote_job_origin=origin,
        job_code_origin=job.get_python_origin(),
        asset_graph=None,  # our jobs have no assets
    )
    of_all = {CODE_LOCATION_TAG: origin.repository_origin.code_location_origin.location_name}
    return [
        like._replace(
            run_id=make_new_run_id(),
            run_config=launch.run_config,
            tags={**normalize_tags({**job.tags, **launch.execution_metadata.tags}), **of_all},
        )
        for launch in launches
    ]
