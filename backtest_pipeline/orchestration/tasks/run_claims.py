"""Who may execute a run that was sent to the broker: one worker, once, however often its message comes.

A launch writes a fresh token onto the run and sends it along. A worker claims the run under a lock: the run
must still be starting, have that token, and nobody else. So a message that comes twice, or after its run was
cancelled or put back into the queue, starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import DagsterEvent, DagsterRunStatus

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.tasks.launch_locks import claim_lock

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun


def worker_of(run: DagsterRun) -> str:
    """The worker that has claimed a run; empty where none has.

    A retry has its parent's tags, so that a claim says of which run it is.
    """
    worker, _, run_id = run.tags.get(tags.WORKER, "").partition(" ")
    return worker if run_id == run.run_id else ""


def offer(instance: DagsterInstance, run_id: str, token: str) -> None:
    """Lets whoever comes with a token claim a run, and nobody who comes with an earlier one."""
    instance.add_run_tags(run_id, {tags.LAUNCH: token, tags.WORKER: ""})


def claim(instance: DagsterInstance, run_id: str, token: str, worker: str) -> DagsterRun | None:
    """Gives a run to a worker; returns it, or nothing where the worker must not execute it.

    Raises:
        LockNotAcquired: somebody else has had the run's lock for seconds; the message may come again.
    """
    with claim_lock(instance, run_id):
        run = instance.get_run_by_id(run_id)
        if run is None or not _is_offered(run) or run.tags.get(tags.LAUNCH) != token:
            return None
        claimed = {tags.WORKER: f"{worker} {run_id}"}
        instance.add_run_tags(run_id, claimed)
    return run.with_tags({**run.tags, **claimed})


def take_back(instance: DagsterInstance, run_id: str, reason: str) -> bool:
    """Puts a run that nobody has claimed back into the queue, which costs it no attempt.

    Returns:
        Whether it was put back; not where somebody has it meanwhile.

    Raises:
        LockNotAcquired: as `claim`.
    """
    with claim_lock(instance, run_id):
        run = instance.get_run_by_id(run_id)
        if run is None or not _is_offered(run):
            return False
        instance.add_run_tags(run_id, {tags.LAUNCH: ""})
        instance.report_engine_event(reason, run)
        instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run_id)
    return True


def cancel_unclaimed(instance: DagsterInstance, run_id: str) -> bool:
    """Cancels a run that nobody has claimed; returns whether it was one.

    Raises:
        LockNotAcquired: as `claim`.
    """
    with claim_lock(instance, run_id):
        run = instance.get_run_by_id(run_id)
        if run is None or not _is_offered(run):
            return False
        instance.add_run_tags(run_id, {tags.LAUNCH: ""})
        instance.report_run_canceling(run)
        instance.report_run_canceled(run, message="Cancelled before a worker had it.")
    return True


def _is_offered(run: DagsterRun) -> bool:
    return run.status == DagsterRunStatus.STARTING and not worker_of(run)
