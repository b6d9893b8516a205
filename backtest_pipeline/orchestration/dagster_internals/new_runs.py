"""Runs made in memory and stored queued: many of them by one transaction of each database.

Dagster stores a run that has not started, then an event that it is queued, then the run once more, and reads
it back in between. What it makes a run of is the same for all whole runs of a job, but for request and tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.events import DagsterEvent
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.tags import CODE_LOCATION_TAG
from dagster._core.utils import make_new_run_id
from dagster._serdes import serialize_value
from dagster._utils.tags import normalize_tags

from backtest_pipeline.orchestration.dagster_internals.compat import uses
from backtest_pipeline.orchestration.dagster_internals.execution_plans import plan_of
from backtest_pipeline.orchestration.dagster_internals.run_storage import run_storage_of

if TYPE_CHECKING:
    from dagster._core.remote_representation.external import RemoteJob
    from dagster._core.workspace.context import BaseWorkspaceRequestContext
    from dagster_graphql.implementation.utils import ExecutionParams

uses(RunDomain, "construct_run_with_snapshots")
uses(DagsterInstance, "run_domain")
uses(SqlEventLogStorage, "_event_to_row", "run_connection")
uses(DagsterEvent, "job_enqueue")
uses(DagsterRun, "tags_for_storage")


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


def store_queued(instance: DagsterInstance, runs: Sequence[DagsterRun]) -> None:
    """Stores runs, with their tags, and before them the events that they are queued.

    Whoever finds such a run in the queue, as the daemon does at once, finds its event before its own.
    """
    now = datetime.now(UTC)
    entries = [_queued_event(run, now) for run in runs]
    events: Any = getattr(instance.event_log_storage, "_storage", instance.event_log_storage)
    if isinstance(events, SqlEventLogStorage) and not isinstance(events, SqliteEventLogStorage):
        rows = [events._event_to_row(entry) for entry in entries]  # noqa: SLF001  there is no public name
        with events.run_connection(None) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
    else:  # a file for each run, or somebody else's
        for entry in entries:
            events.store_event(entry)
    run_tags = [
        {"run_id": run.run_id, "key": name, "value": value}
        for run in runs
        for name, value in run.tags_for_storage().items()
    ]
    try:
        with run_storage_of(instance).connect() as connection:
            connection.execute(RunsTable.insert(), [_row(run, now) for run in runs])
            connection.execute(RunTagsTable.insert(), run_tags)
    except Exception:
        with suppress(Exception):  # a database that fails is reported already
            for run in runs:
                events.delete_events(run.run_id)
        raise


def _queued_event(run: DagsterRun, now: datetime) -> EventLogEntry:
    return EventLogEntry(  # type: ignore[no-untyped-call]  # as Dagster has it
        user_message="",
        level="INFO",
        job_name=run.job_name,
        run_id=run.run_id,
        error_info=None,
        timestamp=now.timestamp(),
        dagster_event=DagsterEvent.job_enqueue(run),
    )


def _row(run: DagsterRun, now: datetime) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "pipeline_name": run.job_name,
        "status": run.status.value,
        "run_body": serialize_value(run),
        "snapshot_id": run.job_snapshot_id,
        "create_timestamp": now,
        "update_timestamp": now,
    }
