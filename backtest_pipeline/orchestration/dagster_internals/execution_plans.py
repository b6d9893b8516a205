"""The execution plans of task jobs, asked for once instead of with each submission.

To make a run, Dagster's web server has the code server work out which steps it has. For a whole run of one of
our jobs that follows from the job alone, whatever the request: the same ops, one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dagster._core.remote_representation.external import RemoteJob
from dagster_graphql.implementation.execution import run_lifecycle
from dagster_graphql.implementation.external import get_remote_execution_plan_or_raise

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals.compat import replace, uses

if TYPE_CHECKING:
    from dagster._core.execution.plan.state import KnownExecutionState
    from dagster._core.remote_representation.external import RemoteExecutionPlan
    from dagster._core.workspace.context import BaseWorkspaceRequestContext

_MOST = 32
_plans: dict[tuple[str, str], RemoteExecutionPlan] = {}

uses(RemoteJob, "identifying_job_snapshot_id", "get_remote_origin_id")


def keep_plans() -> None:
    """Lets this process remember the plans of task jobs.

    Raises:
        InternalsChanged: Dagster finds out about plans elsewhere.
    """
    replace(
        run_lifecycle,
        "get_remote_execution_plan_or_raise",
        plan_of,
        used_by=run_lifecycle.create_valid_pipeline_run,
    )


def forget_plans() -> None:
    """Has the next plan asked for anew, as where the code server is away: nothing can be run then."""
    _plans.clear()


def plan_of(
    graphql_context: BaseWorkspaceRequestContext,
    remote_job: RemoteJob,
    run_config: Mapping[str, object],
    step_keys_to_execute: Sequence[str] | None,
    known_state: KnownExecutionState | None,
) -> RemoteExecutionPlan:
    """As Dagster's function; a plan is asked for once as long as the job is the same, code included."""

    def asked() -> RemoteExecutionPlan:
        return get_remote_execution_plan_or_raise(
            graphql_context, remote_job, run_config, step_keys_to_execute, known_state
        )

    is_part = remote_job.op_selection is not None or step_keys_to_execute or known_state
    if remote_job.name not in tags.TASK_JOBS or is_part:
        return asked()
    key = (remote_job.get_remote_origin_id(), remote_job.identifying_job_snapshot_id)
    plan = _plans.get(key)
    if plan is None:
        plan = asked()
        if len(_plans) >= _MOST:  # of code that has been replaced
            _plans.clear()
        _plans[key] = plan
    return plan
