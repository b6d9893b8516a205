"""The job `cleanup_task_results` and its daily schedule.

Annotations are evaluated here (no future import): Dagster reads them.
"""

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.tasks.expiry import CleanupReport, clean_up
from backtest_pipeline.results.retention_rules import Verdict
from backtest_pipeline.settings import get_settings

# Plain Dagster scalars, as in the job `backtest`: they refuse `{"env": NAME}`, which reads the environment.
_FORM = {
    "dry_run": dg.Field(bool, default_value=False, description="only list what would be deleted"),
    "older_than_days": dg.Field(
        dg.Noneable(float),
        is_required=False,
        default_value=None,
        description="another time to live than TASK_RESULT_TTL_DAYS, above 0",
    ),
}


@dg.op(
    config_schema=_FORM,
    description="Deletes expired results, leftovers of dead attempts, and old records of Dagster's own.",
)
def delete_expired(context: dg.OpExecutionContext) -> None:
    dry_run: bool = context.op_config["dry_run"]

    def log(verdict: Verdict) -> None:
        done = "would go" if dry_run else "deleted"
        context.log.info(
            f"{done if verdict.delete else 'kept'}: {verdict.name} ({verdict.why}, "
            f"{verdict.size_bytes / 1e6:,.2f} MB)"
        )

    report = clean_up(
        context.instance,
        get_settings(),
        older_than_days=context.op_config["older_than_days"],
        dry_run=dry_run,
        on_verdict=log,
    )
    context.log_event(
        dg.AssetMaterialization(
            asset_key="results_cleanup",
            description="what the last cleanup deleted and kept",
            metadata=cleanup_metadata(report),
        )
    )


def cleanup_metadata(report: CleanupReport) -> dict[str, dg.MetadataValue]:
    """What the run's page shows of a cleanup."""
    swept = report.swept
    rows = [f"| {why} | {count:,} |" for why, count in sorted(swept.kept.items())]
    return {
        "dry run": dg.MetadataValue.bool(report.dry_run),
        "deleted": dg.MetadataValue.int(len(swept.deleted)),
        "freed MB": dg.MetadataValue.float(round(swept.freed_bytes / 1e6, 3)),
        "kept": dg.MetadataValue.int(swept.kept.total()),
        "kept MB": dg.MetadataValue.float(round(swept.kept_bytes / 1e6, 3)),
        "kept, by reason": dg.MetadataValue.md("\n".join(["| reason | entries |", "|---|--:|", *rows])),
        "could not be deleted": dg.MetadataValue.int(len(swept.failed)),
        "run records deleted": dg.MetadataValue.int(len(report.records)),
        "seconds": dg.MetadataValue.float(round(report.took_s, 3)),
    }


@dg.job(
    name=tags.CLEANUP_JOB,
    description="Deletes results past their time; pinned and unfinished tasks are never touched.",
    executor_def=dg.in_process_executor,
)
def cleanup_task_results() -> None:
    delete_expired()


def cleanup_schedule(cron: str, timezone: str) -> dg.ScheduleDefinition:
    """Runs the cleanup at the times of a cron line in a time zone."""
    return dg.ScheduleDefinition(
        name="cleanup_task_results_daily",
        job=cleanup_task_results,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes expired results every night (CLEANUP_SCHEDULE, CANDLE_TIMEZONE).",
    )
