"""The job `update_candles` and its schedule, which is off until somebody switches it on.

Annotations are evaluated here (no future import): Dagster reads them.
"""

import threading
import time

import dagster as dg

from backtest_pipeline.candles.resampling import resample_again
from backtest_pipeline.candles.sources.downloads import DownloadProgress
from backtest_pipeline.candles.sources.market_data import stoppable_clock
from backtest_pipeline.candles.sources.updates import open_source, update_all
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model import tags
from backtest_pipeline.model.timeframe import TIMEFRAMES
from backtest_pipeline.orchestration.tasks.candle_assets import candle_materialization
from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags
from backtest_pipeline.settings import get_settings

# Plain Dagster scalars, as in the job `backtest`: they refuse `{"env": NAME}`, which reads the environment.
_FORM = {
    "symbols": dg.Field([str], is_required=False, default_value=[], description="these only; empty: all"),
    "refresh": dg.Field(
        bool,
        default_value=False,
        description="ask for everything again, and replace what the exchange has corrected",
    ),
}


@dg.op(
    config_schema=_FORM,
    description="Asks exchanges and folders for what is new, and resamples again what was made of it.",
)
def update_stored_candles(context: dg.OpExecutionContext) -> None:
    settings = get_settings()
    store = CandleStore(settings.data_root, settings.candle_timezone)
    progress = ProgressTags(context.instance, context.run_id)

    def show(now: DownloadProgress) -> None:
        progress(now.done_frac, f"{now.label}, {now.ended} of {now.series} series, {now.rows:,} candles")

    clock = stoppable_clock(time.time, threading.Event())
    reports = update_all(
        store,
        lambda name: open_source(name, store, clock, settings.exchange_hosts),
        clock,
        symbols=context.op_config["symbols"],
        refresh=context.op_config["refresh"],
        on_progress=show,
    )
    for report in reports:
        series = f"{report.symbol} {report.timeframe}"
        context.log.info(f"{series}: {report.state}, {report.rows_new} new, {report.rows_replaced} replaced")
        for change in report.changes:
            context.log.warning(
                f"{series}: {change.column} of {change.at} is {change.stored} here, {change.given} there"
            )
        if report.error:
            context.log.error(f"{series}: {report.error}")
        if report.state in {"updated", "unchanged"} and report.timeframe in TIMEFRAMES:
            context.log_event(candle_materialization(store, report.symbol, report.timeframe, report))
    for again in resample_again(store, [report.symbol for report in reports if report.state == "updated"]):
        context.log.info(f"{again.symbol} {again.coarse}: made anew of {again.fine}")
        context.log_event(candle_materialization(store, again.symbol, again.coarse))
    failed = [report for report in reports if report.state == "failed"]
    if failed:
        raise dg.Failure(f"{len(failed)} of {len(reports)} series failed; the first: {failed[0].error}")


@dg.job(
    name=tags.UPDATE_JOB,
    description="Brings all candles that came from an exchange or a folder up to date.",
    executor_def=dg.in_process_executor,
)
def update_candles() -> None:
    update_stored_candles()


def update_schedule(cron: str, timezone: str) -> dg.ScheduleDefinition:
    """Runs the update at the times of a cron line in a time zone, unless one is running."""

    def fire(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        unfinished = dg.RunsFilter(
            job_name=tags.UPDATE_JOB,
            statuses=[
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
                dg.DagsterRunStatus.CANCELING,
            ],
        )
        if running := context.instance.get_run_ids(unfinished, limit=1):
            return dg.SkipReason(f"run {running[0]} is still bringing candles up to date")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name="update_candles_regularly",
        job=update_candles,
        cron_schedule=cron,
        execution_timezone=timezone,
        execution_fn=fire,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Brings candles up to date (CANDLE_UPDATE_SCHEDULE), once it is switched on.",
    )
