"""What the fork server does before the first worker: it runs a small backtest, end to end, and forgets it.

A worker then finds every module imported, every kernel loaded and every lazy corner of Dagster, SQLAlchemy
and Arrow visited.

Sound only while the fork server has one thread: a lock that another thread holds at the fork stays locked for
ever in the worker. Therefore the count is taken here and asked for before the first worker is trusted.
"""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path

from dagster import DagsterInstance

import backtest_pipeline.definitions
import backtest_pipeline.orchestration.dagster_internals.coordinator  # whom a run asks for its limits
import backtest_pipeline.orchestration.dagster_internals.standby  # where a worker starts
import backtest_pipeline.orchestration.dagster_internals.worker_start  # what a run starts with
from backtest_pipeline.candles.year_file import parquet_bytes
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.orchestration.dagster_internals import migration_scripts, pooled_sqlite
from backtest_pipeline.orchestration.dagster_internals.worker_generations import threads
from backtest_pipeline.orchestration.jobs.backtest import backtest
from backtest_pipeline.orchestration.tasks.deferred import left_out
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.quick_imports import quick_imports
from backtest_pipeline.reports.charts.equity_chart import account_png
from backtest_pipeline.reports.report import report_html
from backtest_pipeline.settings import Settings, forget_secrets, get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline.workflows.warm_kernels import made_up_candles, warm_kernels

LOADED_BY_PID = os.getpid()


def rehearse() -> None:
    """Runs the job in a folder of its own, on an instance of its own."""
    candles = made_up_candles()
    with tempfile.TemporaryDirectory(prefix="backtest-rehearsal-") as scratch:
        settings = Settings(data_root=Path(scratch) / "data")
        year = Layout(settings.data_root).candle_file(candles.symbol, candles.timeframe, 2020)
        year.parent.mkdir(parents=True)
        year.write_bytes(parquet_bytes({name: getattr(candles, name) for name in CANDLE_COLUMNS}))
        overrides = {
            "telemetry": {"enabled": False},
            "python_logs": {"python_log_level": "ERROR"},
            "event_log_storage": {
                "module": "dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log",
                "class": "ConsolidatedSqliteEventLogStorage",
                "config": {"base_dir": scratch},
            },
        }
        with DagsterInstance.local_temp(scratch, overrides=overrides) as instance:
            config = {"symbols": [candles.symbol]}
            with left_out():
                backtest.execute_in_process(
                    config, instance=instance, resources={"run_context": RunContext(settings)}
                )


def rehearse_report() -> None:
    """Draws chart and report, which every worker does whose run leaves nobody waiting.

    What resamples its returns is imported too: it would take each worker longer than the work that it is for.
    """
    candles = made_up_candles()
    request = BacktestRequest(strategy="buy_and_hold", symbols=[candles.symbol])
    by_symbol = {candles.symbol: candles}
    result = run_backtest(by_symbol, request)
    account_png(result, by_symbol)
    report_html(result, by_symbol)
    import_module("arch.bootstrap")


forget_secrets()  # before any strategy's module is imported
get_settings.cache_clear()
with quick_imports():
    if os.environ.get("DAGSTER_PG_HOST"):
        import_module("dagster_postgres")  # the rehearsal has SQLite
    migration_scripts.read_once()
    pooled_sqlite.keep_connections(each_commit_lasts=False)
    warm_kernels()
    rehearse()
    backtest_pipeline.definitions.definitions.get_repository_def().get_all_jobs()
    if get_settings().reports_ahead:
        rehearse_report()
    pooled_sqlite.close_connections()
THREADS_AFTER_LOADING = threads()
