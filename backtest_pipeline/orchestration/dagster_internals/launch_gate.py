"""The gate of GraphQL's launches: a request is resolved or refused before there is a run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster_graphql.implementation.execution import launch_execution
from dagster_graphql.implementation.execution.run_lifecycle import create_valid_pipeline_run
from dagster_graphql.implementation.utils import ExecutionParams

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.orchestration.dagster_internals.compat import replace
from backtest_pipeline.orchestration.dagster_internals.execution_plans import forget_plans, keep_plans
from backtest_pipeline.orchestration.dagster_internals.submission_channel import ask_to_resolve

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._core.remote_representation.external import RemoteJob
    from dagster._core.workspace.context import BaseWorkspaceRequestContext


def install() -> None:
    """Puts the gate where Dagster's mutations make their runs, which then are made of plans that are known.

    Raises:
        InternalsChanged: they make them elsewhere.
    """
    looked_up_by = launch_execution.do_launch
    replace(launch_execution, "create_valid_pipeline_run", _created, used_by=looked_up_by)
    keep_plans()


def _created(
    graphql_context: BaseWorkspaceRequestContext, remote_job: RemoteJob, execution_params: ExecutionParams
) -> DagsterRun:
    if execution_params.selector.job_name in tags.TASK_JOBS:
        execution_params = resolved(graphql_context, execution_params)
    return create_valid_pipeline_run(graphql_context, remote_job, execution_params)


def resolved(workspace: BaseWorkspaceRequestContext, asked: ExecutionParams) -> ExecutionParams:
    """A launch with its request resolved: every default and every parameter written out.

    Where the code server gives no answer, as while it loads code, the launch stays as it is: Dagster checks
    its form, and the run's first op resolves the request. Where it is away, Dagster finds no plan of the run.

    Raises:
        RequestInvalid: the request cannot be run.
    """
    answer = ask_to_resolve(asked.selector, workspace, asked.run_config)
    if not answer:
        forget_plans()
    if answer.get("refused"):
        raise RequestInvalid([(str(field), str(problem)) for field, problem in answer["refused"]])
    config = answer.get("config")
    return asked._replace(run_config=config) if isinstance(config, dict) else asked
