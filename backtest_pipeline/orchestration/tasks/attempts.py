"""The attempts of a task: which task a run is of, which runs a task has, which of them may still publish."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dagster import RunsFilter

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import AttemptSuperseded, RequestInvalid
from backtest_pipeline.orchestration.tasks.run_states import state_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, RunRecord


def task_of(run: DagsterRun) -> str:
    """Id of the task that a run is an attempt of: of its root run, which names no root."""
    return run.root_run_id or run.run_id


def is_first(run: DagsterRun) -> bool:
    """Whether a run is a task's first attempt."""
    return task_of(run) == run.run_id


def attempts_of(instance: DagsterInstance, run_id: str) -> list[RunRecord]:
    """All runs of a run's task, oldest first; empty where the run is unknown."""
    record = instance.get_run_record_by_id(run_id)
    return [] if record is None else attempts_of_task(instance, task_of(record.dagster_run))


def attempts_of_task(instance: DagsterInstance, task_id: str) -> list[RunRecord]:
    """All runs of a task, oldest first: the root, which may be gone, and then the others by age."""
    root = instance.get_run_record_by_id(task_id)
    later = instance.get_run_records(RunsFilter(tags={tags.ROOT_RUN: task_id}))
    return [*([root] if root else []), *sorted(later, key=lambda one: one.create_timestamp)]


def facts_of(instance: DagsterInstance, run: DagsterRun) -> dict[str, str | int]:
    """Of which task a run is which attempt, as fields of a log line."""
    attempt = 1
    if not is_first(run):
        attempt += len(instance.get_run_ids(RunsFilter(tags={tags.ROOT_RUN: task_of(run)})))
    return {"task": task_of(run), "attempt": attempt, "run": run.run_id}


def refuse_foreign_attempt(instance: DagsterInstance, run: DagsterRun) -> None:
    """Refuses a further attempt that is not one of a task of the same job, after another attempt of it.

    Raises:
        RequestInvalid: it is none.
    """
    if run.root_run_id is None and run.parent_run_id is None:
        return
    root, parent = (
        instance.get_run_by_id(run_id) if run_id else None for run_id in (run.root_run_id, run.parent_run_id)
    )
    if root is None or parent is None:
        raise RequestInvalid([("rootRunId", f"there is no run {run.root_run_id} to repeat")])
    if not is_first(root) or task_of(parent) != root.run_id:
        raise RequestInvalid([("rootRunId", f"{root.run_id} is not the first run of {parent.run_id}")])
    if root.job_name != run.job_name:
        raise RequestInvalid([("rootRunId", f"{root.run_id} is a run of the job {root.job_name}")])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a task, as Dagster knows it.

    Attributes:
        task_id: id of the root run.
        run_ids: the task's runs up to this one, oldest first.
        submitted_at: creation of the root run.
        started_at: start of this run.
        user: who submitted the root run; `None` where nobody had to say.
    """

    task_id: str
    run_ids: list[str]
    submitted_at: datetime
    started_at: datetime | None
    user: str | None = None

    @classmethod
    def of(cls, instance: DagsterInstance, run_id: str) -> Attempt:
        """Looks a run up, with the attempts before it."""
        records = attempts_of(instance, run_id)
        if not records:  # only where a run is deleted while it executes
            now = datetime.now(UTC)
            return cls(run_id, [run_id], now, now)
        ids = [record.dagster_run.run_id for record in records]
        here = ids.index(run_id)
        started = records[here].start_time
        return cls(
            task_id=task_of(records[0].dagster_run),
            run_ids=ids[: here + 1],
            submitted_at=records[0].create_timestamp.replace(tzinfo=UTC),
            started_at=None if started is None else datetime.fromtimestamp(started, UTC),
            user=records[0].dagster_run.tags.get(tags.USER),
        )

    def refuse_given_up(self, instance: DagsterInstance) -> None:
        """Stops an attempt that Dagster has declared dead and that lives on: it may publish nothing.

        Raises:
            AttemptSuperseded: there is a later attempt, or this one counts as failed or cancelled.
        """
        records = attempts_of(instance, self.run_ids[-1])
        own = next((one for one in records if one.dagster_run.run_id == self.run_ids[-1]), None)
        given_up = own is None or state_of(own.dagster_run) != "running"
        if given_up or len(records) > len(self.run_ids):
            raise AttemptSuperseded(self.task_id, len(self.run_ids), len(records))
