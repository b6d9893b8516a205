"""What a dead worker could not do itself: the manifest of a task that failed or was cancelled, and the alert.

Dagster's own failure sensor forgets what happened before its first tick and fires for attempts that will be
retried. This one reads the runs themselves from where it stopped, and leaves tags on what it has reported and
recorded.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import BacktestError, RequestInvalid, ResultDamaged, ResultMissing
from backtest_pipeline.model.manifest import FinalState, TaskErrorRecord
from backtest_pipeline.model.retries import retry_is_coming
from backtest_pipeline.orchestration.dagster_internals.names import should_retry
from backtest_pipeline.orchestration.jobs.task_jobs import TASK_JOBS
from backtest_pipeline.orchestration.tasks.alerts import Alerts
from backtest_pipeline.orchestration.tasks.attempts import Attempt, attempts_of
from backtest_pipeline.orchestration.tasks.manifests import unfinished_manifest
from backtest_pipeline.orchestration.tasks.run_states import STATUSES, state_of
from backtest_pipeline.settings import get_settings

LOOK_EVERY_S = 5
GIVE_UP_AFTER = timedelta(days=1)
_OVERLAP = timedelta(seconds=60)
_WITHOUT_RESULT = [*STATUSES["failed"], *STATUSES["cancelled"]]


@dg.sensor(
    name="final_states",
    minimum_interval_seconds=LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes the manifests of tasks whose worker could not, and alerts of failures (ALERT_URLS).",
)
def final_states(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    now = datetime.now(UTC)
    since = datetime.fromisoformat(context.cursor) - _OVERLAP if context.cursor else None
    alerts = Alerts(get_settings().alert_urls, get_settings().backtest_url, context.log)
    reported, pending = 0, []
    for record in _ended_since(context.instance, since):
        changed_at = record.update_timestamp.replace(tzinfo=UTC)
        try:
            final = _is_final(context.instance, record, now)
            if final is None or (final and not _told(context, record, alerts)):
                pending.append(changed_at)
            reported += final is True
        except Exception as error:  # noqa: BLE001  one task's trouble keeps no other task waiting
            context.log.warning("the end of run %s cannot be reported: %r", record.dagster_run.run_id, error)
            if now - changed_at < GIVE_UP_AFTER:
                pending.append(changed_at)
    context.update_cursor(min([now, *pending]).isoformat())
    return dg.SkipReason(
        f"{reported} tasks have failed or been cancelled, {len(pending)} wait for the next look"
    )


def _ended_since(instance: dg.DagsterInstance, since: datetime | None) -> Iterator[dg.RunRecord]:
    """Runs that failed or were cancelled and are not recorded yet, oldest first."""
    for job in tags.TASK_JOBS:
        wanted = dg.RunsFilter(job_name=job, statuses=_WITHOUT_RESULT, updated_after=since)
        records = instance.get_run_records(wanted, ascending=True)
        yield from (record for record in records if not record.dagster_run.tags.get(tags.RECORDED))


def _is_final(instance: dg.DagsterInstance, record: dg.RunRecord, now: datetime) -> bool | None:
    """Whether no retry is coming; `None` while it is the worker's turn to say, a moment after its failure."""
    run = record.dagster_run
    if state_of(run) == "cancelled":
        return True
    failed_for_s = now.timestamp() - (record.end_time or 0)
    if retry_is_coming(run.tags, attempt=None, failed_for_s=failed_for_s) is None:
        return None
    if should_retry(run, instance):
        return False
    return attempts_of(instance, run.run_id)[-1].dagster_run.run_id == run.run_id


def _told(context: dg.SensorEvaluationContext, record: dg.RunRecord, alerts: Alerts) -> bool:
    """Alerts and records, each once; false where the disk took no manifest, for which no alert waits."""
    run = record.dagster_run
    status: FinalState = "failed" if state_of(run) == "failed" else "cancelled"
    message = run.tags.get(tags.ERROR) or "the worker ended without a message, as after a crash or a kill"
    if not run.tags.get(tags.ALERTED):
        if status == "failed":
            alerts.failed(run, message)
        context.instance.add_run_tags(run.run_id, {tags.ALERTED: "true"})
    try:
        _write_manifest(context.instance, record, status, message)
    except (OSError, BacktestError) as error:
        context.log.warning("no manifest for run %s yet: %s", run.run_id, error)
        return False
    context.instance.add_run_tags(run.run_id, {tags.RECORDED: "true"})
    return True


def _write_manifest(
    instance: dg.DagsterInstance, record: dg.RunRecord, status: FinalState, message: str
) -> None:
    """Writes the manifest unless the worker has; a request that makes no sense leaves none."""
    run = record.dagster_run
    job = TASK_JOBS[run.job_name]
    run_context = job.new_context(get_settings())
    attempt = Attempt.of(instance, run.run_id)
    try:
        published = run_context.task_store.manifest(attempt.task_id)
        if published.status == status and published.run_ids[-1] == run.run_id:
            return
    except (ResultMissing, ResultDamaged):
        pass
    error = TaskErrorRecord(
        type="WorkerDied", message=message, retryable=True, stage=run.tags.get(tags.STAGE, "")
    )
    ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else datetime.now(UTC)
    try:
        asked = run_context.asked(job.filled_in(run.run_config))
    except (RequestInvalid, dg.DagsterInvalidConfigError):
        return
    manifest = unfinished_manifest(
        attempt,
        asked,
        status=status,
        error=error if status == "failed" else None,
        finished_at=ended,
        ttl_days=run_context.ttl_days,
        submitted_code=run.tags.get(tags.SUBMITTED_CODE) or None,
    )
    with run_context.task_store.staging(f"{run.run_id}.final") as staged:
        run_context.task_store.publish(manifest, staged)
