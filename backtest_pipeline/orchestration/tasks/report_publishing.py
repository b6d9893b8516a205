"""A task's chart and report, drawn from its result and put into its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.storage.layout import CHART, REPORT

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import Manifest, ResultFile
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.results.task_store import TaskStore


def write_chart(
    store: TaskStore, folder: Path, result: BacktestResult, candles: Mapping[str, Candles]
) -> ResultFile:
    """Draws a result's equity beside buying and holding, into a staging folder."""
    from backtest_pipeline.reports.benchmark_curve import buy_and_hold  # noqa: PLC0415  workers draw, servers do not
    from backtest_pipeline.reports.charts.equity_chart import equity_png  # noqa: PLC0415  as above

    timestamp = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    chart = equity_png(result, buy_and_hold(result.request, candles, np.asarray(timestamp)))
    return store.write_file(folder, CHART, chart, name="equity_chart")


def add_report(
    store: TaskStore,
    manifest: Manifest,
    result: BacktestResult,
    candles: Mapping[str, Candles],
    home: str | None,
) -> None:
    """Adds the report to a published task, unless backtests wait for the processor that it takes.

    A report that is left out is rendered when somebody opens it.

    Args:
        store: where the task is.
        manifest: of the attempt that has published.
        result: what it has published.
        candles: what the attempt saw.
        home: folder of the Dagster instance whose queue is asked, none to ask nobody.
    """
    from backtest_pipeline.reports.report import report_html  # noqa: PLC0415  workers draw, servers do not

    if home is not None and _others_wait(home):
        return
    page = report_html(replace(result, manifest=manifest), candles).encode()
    try:
        store.add_file(manifest, REPORT, page, name="report")
    except BacktestError:
        return  # deleted, or published again by a later attempt


def _others_wait(home: str) -> bool:
    with DagsterInstance.from_config(home) as instance:
        return bool(instance.get_run_ids(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=1))
