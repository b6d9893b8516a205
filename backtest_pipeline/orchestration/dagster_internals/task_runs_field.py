"""The field `taskRuns` of GraphQL's queries: all runs of many tasks, read by a few statements.

Dagster makes an object of each run and answers each of its fields and tags by a call of its own, which for
200 tasks takes far longer than to read them. It finds later attempts by one task's tag at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from dagster._core.storage.runs import schema as run_tables
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLString,
)
from sqlalchemy import or_, select

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals.compat import uses
from backtest_pipeline.orchestration.dagster_internals.run_storage import run_storage_of

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from graphql import GraphQLResolveInfo

NAME = "taskRuns"
MOST_TASKS = 1_000
_RUNS = GraphQLScalarType(
    "TaskRuns",
    description="A list of objects with runId, rootRunId, jobName, status, creationTime, startTime, endTime "
    "and tags, a list of objects with key and value; each as of the type Run.",
)

uses(run_tables, "RunsTable", "RunTagsTable")


def add_field(schema: Any) -> None:
    """Adds the field to the queries of a schema of Dagster's."""
    argument = GraphQLArgument(
        GraphQLNonNull(GraphQLList(GraphQLNonNull(GraphQLString))),
        out_name="task_ids",
        description="the id of any attempt stands for its task",
    )
    schema.graphql_schema.query_type.fields[NAME] = GraphQLField(
        GraphQLNonNull(_RUNS),
        args={"taskIds": argument},
        resolve=_resolve,
        description=f"All runs of up to {MOST_TASKS:,} tasks.",
    )


def _resolve(_root: object, info: GraphQLResolveInfo, task_ids: Sequence[str]) -> list[dict[str, Any]]:
    if len(task_ids) > MOST_TASKS:
        raise GraphQLError(f"ask for at most {MOST_TASKS:,} tasks at once")
    return runs_of_tasks(info.context.instance, task_ids)


def runs_of_tasks(instance: DagsterInstance, task_ids: Iterable[str]) -> list[dict[str, Any]]:
    """All runs of the tasks that these runs are attempts of, in any order, as GraphQL tells them."""
    asked = set(task_ids)
    run, of_run = RunsTable.c, RunTagsTable.c
    roots = select(of_run.run_id, of_run.value).where(of_run.key == tags.ROOT_RUN)
    with run_storage_of(instance).connect() as connection:
        found = roots.where(or_(of_run.run_id.in_(asked), of_run.value.in_(asked)))
        root_of = dict(connection.execute(found).all())
        others = set(root_of.values()) - asked  # of which a later attempt was asked for
        if others:
            root_of |= dict(connection.execute(roots.where(of_run.value.in_(others))).all())
        wanted = asked | others | root_of.keys()
        rows = connection.execute(
            select(
                run.run_id, run.pipeline_name, run.status, run.create_timestamp, run.start_time, run.end_time
            ).where(run.run_id.in_(wanted))
        ).all()
        pairs = connection.execute(
            select(of_run.run_id, of_run.key, of_run.value).where(of_run.run_id.in_(wanted))
        ).all()
    tags_of: dict[str, list[dict[str, str]]] = {row[0]: [] for row in rows}
    for run_id, key, value in pairs:
        if run_id in tags_of:  # tags outlive a run that was deleted just now
            tags_of[run_id].append({"key": key, "value": value})
    return [
        {
            "runId": run_id,
            "rootRunId": root_of.get(run_id),
            "jobName": job,
            "status": status,
            "creationTime": created.replace(tzinfo=UTC).timestamp(),
            "startTime": started,
            "endTime": ended,
            "tags": tags_of[run_id],
        }
        for run_id, job, status, created, started, ended in rows
    ]
