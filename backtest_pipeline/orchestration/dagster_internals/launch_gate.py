"""The gate of GraphQL's launches: a request is resolved or refused before there is a run of it.

Whole first runs of task jobs are made, judged and stored here, those of `launchMultipleRuns` together.
Others, as those that execute a run again, go Dagster's way: by `create_valid_pipeline_run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from dagster import DagsterRun, RunsFilter
from dagster_graphql.implementation.execution import launch_execution
from dagster_graphql.implementation.execution.launch_execution import launch_pipeline_execution
from dagster_graphql.implementation.execution.run_lifecycle import create_valid_pipeline_run
from dagster_graphql.implementation.external import ensure_valid_config, get_remote_job_or_raise
from dagster_graphql.schema import create_schema
from dagster_graphql.schema.pipelines.pipeline import GrapheneRun
from dagster_graphql.schema.roots import mutation
from dagster_graphql.schema.runs import GrapheneLaunchMultipleRunsResult, GrapheneLaunchRunSuccess
from dagster_webserver import webserver

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.orchestration.dagster_internals import task_runs_field
from backtest_pipeline.orchestration.dagster_internals.compat import replace, uses
from backtest_pipeline.orchestration.dagster_internals.coordinator import BacktestRunCoordinator
from backtest_pipeline.orchestration.dagster_internals.execution_plans import forget_plans, keep_plans
from backtest_pipeline.orchestration.dagster_internals.new_runs import new_runs
from backtest_pipeline.orchestration.dagster_internals.submission_channel import ask_to_resolve

if TYPE_CHECKING:
    from dagster._core.definitions.selector import JobSubsetSelector
    from dagster._core.remote_representation.external import RemoteJob
    from dagster._core.workspace.context import BaseWorkspaceRequestContext
    from dagster_graphql.implementation.utils import ExecutionParams

Outcome: TypeAlias = GrapheneLaunchRunSuccess | Exception

_MANY = "launchMultipleRuns"

uses(mutation, "GrapheneLaunchRunMutation", within=mutation.GrapheneLaunchMultipleRunsMutation.mutate)


def install() -> None:
    """Puts the gate where Dagster's mutations make their runs, which then are made of plans that are known.

    Raises:
        InternalsChanged: they make them elsewhere.
    """
    looked_up_by = launch_execution.do_launch
    replace(launch_execution, "create_valid_pipeline_run", _created, used_by=looked_up_by)
    launches = mutation.create_execution_params_and_launch_pipeline_exec
    replace(mutation, "launch_pipeline_execution", _launch, used_by=launches)
    built_by = webserver.DagsterWebserver.build_graphql_schema
    replace(webserver, "create_schema", _schema, used_by=built_by)
    keep_plans()


def _schema() -> Any:
    """Dagster's schema, with a field of ours, and one mutation that is answered by us."""
    schema = create_schema()
    task_runs_field.add_field(schema)
    schema.graphql_schema.mutation_type.fields[_MANY].resolve = _launch_many
    return schema


class _Together:
    """Launches of one request, which wait for each other to be stored by one transaction."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._asked: list[tuple[ExecutionParams, asyncio.Future[Outcome]]] = []
        self._all_there = asyncio.Event()
        self._arrived(0)

    async def one(self, graphene_info: Any, params: Any) -> Any:
        """Do with one launch all that Dagster does, from its permission to the type of an error."""
        place = _Place(self)
        _place.set(place)  # of this task of asyncio alone
        try:
            launch: Any = mutation.GrapheneLaunchRunMutation.mutate  # which has no types
            return await launch(None, graphene_info, executionParams=params)
        finally:
            if not place.taken:
                self._arrived()

    async def outcome(self, asked: ExecutionParams) -> Outcome:
        """Wait with a launch for the others, and for what comes of it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, future))
        self._arrived()
        return await future

    async def launch(self, graphene_info: Any) -> None:
        """Launch those that wait, once it is known of each whether it will."""
        await self._all_there.wait()
        outcomes = await _outcomes(graphene_info, [asked for asked, _ in self._asked])
        for (_, future), outcome in zip(self._asked, outcomes, strict=True):
            future.set_result(outcome)

    def _arrived(self, count: int = 1) -> None:
        self._missing -= count
        if self._missing <= 0:
            self._all_there.set()


class _Place:
    """Where a launch among others waits for them."""

    def __init__(self, together: _Together) -> None:
        self._together = together
        self.taken = False

    async def outcome(self, asked: ExecutionParams) -> Outcome:
        self.taken = True
        return await self._together.outcome(asked)


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


async def _launch_many(_root: object, graphene_info: Any, **arguments: list[Any]) -> Any:
    """Stands for the resolver of Dagster's mutation, which makes one run after another."""
    [executions] = arguments.values()
    together = _Together(len(executions))
    each = [together.one(graphene_info, params) for params in executions]
    *results, _ = await asyncio.gather(*each, together.launch(graphene_info))
    return GrapheneLaunchMultipleRunsResult(launchMultipleRunsResult=results)


async def _launch(graphene_info: Any, asked: ExecutionParams) -> Any:
    """Stands for Dagster's function of the same arguments."""
    if not _is_new_task(graphene_info.context, asked):
        return await launch_pipeline_execution(graphene_info, asked)
    place = _place.get()
    if place is None:
        [outcome] = await _outcomes(graphene_info, [asked])
    else:
        outcome = await place.outcome(asked)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _is_new_task(workspace: BaseWorkspaceRequestContext, asked: ExecutionParams) -> bool:
    """Whether a launch is of a whole first run of a task, which our coordinator queues."""
    of, metadata = asked.selector, asked.execution_metadata
    is_part = of.op_selection or of.asset_selection or of.asset_check_selection or asked.step_keys
    is_another = metadata.run_id or metadata.root_run_id or metadata.parent_run_id
    is_ours = isinstance(workspace.instance.run_coordinator, BacktestRunCoordinator)
    return is_ours and of.job_name in tags.TASK_JOBS and not is_part and not is_another


async def _outcomes(graphene_info: Any, launches: Sequence[ExecutionParams]) -> list[Outcome]:
    """What comes of launches, each by itself; those of one job are stored together."""
    outcomes: list[Outcome | None] = [None] * len(launches)
    places: dict[JobSubsetSelector, list[int]] = {}
    for at, asked in enumerate(launches):
        places.setdefault(asked.selector, []).append(at)
    for selector, at_places in places.items():
        of_job = [launches[at] for at in at_places]
        try:
            job = await get_remote_job_or_raise(graphene_info, selector)
            found = _launched(graphene_info.context, job, of_job)
        except Exception as error:  # noqa: BLE001  each mutation raises its own
            found = [error for _ in of_job]
        for at, outcome in zip(at_places, found, strict=True):
            outcomes[at] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _launched(
    workspace: BaseWorkspaceRequestContext, job: RemoteJob, launches: Sequence[ExecutionParams]
) -> list[Outcome]:
    """Resolve, make, queue and read back the runs of one job."""
    answers = ask_to_resolve(launches[0].selector, workspace, [asked.run_config for asked in launches])
    outcomes: list[Any] = [
        _resolution(answer, asked) for answer, asked in zip(answers, launches, strict=True)
    ]
    for at, (answer, asked) in enumerate(zip(answers, outcomes, strict=True)):
        if not answer:
            try:
                ensure_valid_config(job, asked.run_config)
            except Exception as error:  # noqa: BLE001  as above
                outcomes[at] = error
    fit = [at for at, one in enumerate(outcomes) if not isinstance(one, Exception)]
    if not fit:
        return outcomes
    coordinator = cast(BacktestRunCoordinator, workspace.instance.run_coordinator)
    runs = new_runs(workspace, job, [outcomes[at] for at in fit])
    for at, outcome in zip(fit, coordinator.submit_new(runs, workspace), strict=True):
        outcomes[at] = outcome
    queued = [outcome.run_id for outcome in outcomes if isinstance(outcome, DagsterRun)]
    records = (
        {
            record.dagster_run.run_id: record
            for record in workspace.instance.get_run_records(RunsFilter(run_ids=queued))
        }
        if queued
        else {}
    )
    return [
        GrapheneLaunchRunSuccess(run=GrapheneRun(records[one.run_id])) if isinstance(one, DagsterRun) else one
        for one in outcomes
    ]


def _resolution(answer: Mapping[str, Any], asked: ExecutionParams) -> ExecutionParams | RequestInvalid:
    """A launch with its request resolved, all defaults and parameters written out; or why there is none.

    Where the code server gives no answer, as while it loads code, the launch stays as it is: Dagster checks
    its form, and the run's first op resolves the request. Where it is away, Dagster finds no plan of the run.
    """
    if not answer:
        forget_plans()
    if answer.get("refused"):
        return RequestInvalid([(str(field), str(problem)) for field, problem in answer["refused"]])
    config = answer.get("config")
    return asked._replace(run_config=config) if isinstance(config, dict) else asked


def _created(
    graphql_context: BaseWorkspaceRequestContext, remote_job: RemoteJob, execution_params: ExecutionParams
) -> DagsterRun:
    """Make a run of what goes Dagster's way; what is refused raises `RequestInvalid`."""
    if execution_params.selector.job_name in tags.TASK_JOBS:
        asked = execution_params
        [answer] = ask_to_resolve(asked.selector, graphql_context, [asked.run_config])
        resolved = _resolution(answer, asked)
        if isinstance(resolved, RequestInvalid):
            raise resolved
        execution_params = resolved
    return create_valid_pipeline_run(graphql_context, remote_job, execution_params)
