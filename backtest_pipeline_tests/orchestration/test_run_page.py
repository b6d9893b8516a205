"""What people see of a task in Dagster's pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.metric_catalog import shown as written
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.orchestration.tasks.run_page import (
    HEADLINES,
    candle_lines,
    materialization,
    request_tags,
    result_lines,
)
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.results.published import TASK, publish, store_candles, wandering

REQUEST = BacktestRequest(strategy="sma_cross", params={"fast": 3, "slow": 8}, symbols=["ACME"])


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    store_candles(tmp_path, wandering())
    publish(tmp_path, wandering())
    return RunContext(Settings(data_root=tmp_path))


def test_a_run_is_found_by_its_request_and_its_result_by_the_digest() -> None:
    request = REQUEST.model_copy(update={"labels": {"desk": "fx"}})
    assert request_tags(request) == {
        "backtest/strategy": "sma_cross",
        "backtest/symbols": "ACME",
        "backtest/timeframe": "1d",
        "label/desk": "fx",
        "backtest/request_digest": request.digest(),
    }


def test_the_log_has_a_line_for_each_symbols_candles(run: RunContext) -> None:
    assert candle_lines(run.loaded(to_run_config(REQUEST))) == [
        "ACME: 200 candles, 2020-01-01 00:00 to 2020-07-18 00:00 UTC; no gaps"
    ]


def test_the_log_has_counts_headlines_and_remarks(run: RunContext) -> None:
    result = run.result(to_run_config(REQUEST))
    counts, headlines, *remarks = result_lines(result)
    assert counts == f"{len(result.signals):,} signals, {len(result.trades):,} trades"
    assert headlines.count(",") >= len(HEADLINES) - 1
    assert f"trades {len(result.trades)}" in headlines
    assert remarks == result.diagnostics


def _shown(tmp_path: Path) -> dict[str, Any]:
    result = TaskStore(tmp_path).result(TASK)
    assert result.manifest is not None
    shown = materialization(result.manifest, result, tmp_path / "tasks" / TASK)
    assert shown.asset_key.path == ["backtests", "sma_cross"]
    assert shown.description == "sma_cross on ACME, 1d, 2020-01-01 to 2020-07-18"
    numeric = (dg.FloatMetadataValue, dg.IntMetadataValue)
    assert not [name for name, value in shown.metadata.items() if isinstance(value, numeric)], (
        "joined to a line"
    )
    return {name: value.value for name, value in shown.metadata.items() if hasattr(value, "value")} | {
        "last trades": shown.metadata["last trades"]
    }


@pytest.mark.usefixtures("run")
def test_the_materialization_links_to_the_report_and_has_the_numbers(tmp_path: Path) -> None:
    shown = _shown(tmp_path)
    metrics = TaskStore(tmp_path).manifest(TASK).metrics
    assert shown["report"] == f"/tasks/{TASK}/report.html"
    assert shown["equity"] == f"![equity and drawdown](/tasks/{TASK}/equity.png)"
    assert {name: float(shown[name]) for name in HEADLINES} == {name: metrics[name] for name in HEADLINES}
    assert shown["Total return"] == f"{100 * (metrics['total_return'] or 0.0):,.2f}%"
    assert {shown[METRICS[name].title] for name in HEADLINES} == {
        written(name, metrics[name]) for name in HEADLINES
    }
    assert shown["metrics"].count("\n") == len(metrics) + 1


@pytest.mark.usefixtures("run")
def test_the_last_ten_trades_are_shown_newest_first(tmp_path: Path) -> None:
    trades = TaskStore(tmp_path).result(TASK).trades
    records = _shown(tmp_path)["last trades"].records
    exits = [str(record.data["exit"]) for record in records]
    assert len(trades) > 10
    assert len(exits) == 10
    assert exits == sorted(exits, reverse=True)
    assert exits[0] == f"{trades['exit_time'].max():%Y-%m-%d %H:%M}"
