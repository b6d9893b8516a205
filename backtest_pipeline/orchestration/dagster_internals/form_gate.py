"""The launchpad's own check of a form: what cannot be run is marked while it is written, before any launch.

Dagster checks a form by its types, which know neither dates nor the store's symbols nor what a strategy says
of its parameters together. The code server is asked about those as at a launch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster._config.errors import DagsterEvaluationErrorReason, EvaluationError, RuntimeMismatchErrorData
from dagster._config.stack import EvaluationStackEntry, EvaluationStackRoot
from dagster_graphql.implementation.external import get_remote_job_or_raise
from dagster_graphql.implementation.fetch_runs import validate_pipeline_config
from dagster_graphql.implementation.utils import UserFacingGraphQLError
from dagster_graphql.schema.pipelines.config import GrapheneRunConfigValidationInvalid
from dagster_graphql.schema.roots import query

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals.compat import replace, uses
from backtest_pipeline.orchestration.dagster_internals.submission_channel import ask_to_resolve

if TYPE_CHECKING:
    from dagster._core.definitions.selector import JobSubsetSelector
    from dagster._core.remote_representation.external import RemoteJob

uses(GrapheneRunConfigValidationInvalid, "for_validation_errors")


def install() -> None:
    """Puts the gate where Dagster's query checks a form.

    Raises:
        InternalsChanged: it checks it elsewhere.
    """
    looked_up_by = query.GrapheneQuery.resolve_isPipelineConfigValid
    replace(query, "validate_pipeline_config", _validated, used_by=looked_up_by)


async def _validated(graphene_info: Any, selector: JobSubsetSelector, run_config: Any) -> Any:
    valid = await validate_pipeline_config(graphene_info, selector, run_config)
    if selector.job_name not in tags.TASK_JOBS or not isinstance(run_config, Mapping):
        return valid
    [answer] = await asyncio.to_thread(ask_to_resolve, selector, graphene_info.context, [run_config])
    if not answer.get("refused"):
        return valid
    job = await get_remote_job_or_raise(graphene_info, selector)
    raise UserFacingGraphQLError(
        GrapheneRunConfigValidationInvalid.for_validation_errors(
            job, [_error(job, str(field), str(problem), run_config) for field, problem in answer["refused"]]
        )
    )


def _error(job: RemoteJob, field: str, problem: str, run_config: Mapping[str, Any]) -> EvaluationError:
    """A problem of a request as Dagster's form shows it, at the field that it is of."""
    name = field.partition(".")[0]
    place: EvaluationStackEntry = EvaluationStackRoot(parent=None)
    if name in run_config:
        place = place.for_field(name)
    root = job.config_schema_snapshot.get_config_snap(str(job.root_config_key))
    return EvaluationError(
        stack=place,
        reason=DagsterEvaluationErrorReason.RUNTIME_TYPE_MISMATCH,
        message=f"{field}: {problem}" if field else problem,
        error_data=RuntimeMismatchErrorData(config_type_snap=root, value_rep=repr(run_config.get(name))),
    )
