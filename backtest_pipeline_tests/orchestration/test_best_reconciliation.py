"""The tables of a sweep's best trial must add up like those of any backtest."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from backtest_pipeline import BacktestRequest, CandleStore, SweepRequest
from backtest_pipeline.model.sweep_config import to_sweep_config
from backtest_pipeline.orchestration.jobs.sweep import sweep
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.best_reconciliation import best_account_problems
from backtest_pipeline.workflows.render_sweep_report import sweep_report
from backtest_pipeline.workflows.sweep_rerun import rerun_sample
from backtest_pipeline_tests.orchestration.forged_sweeps import rewritten
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import store_candles

pytestmark = pytest.mark.slow


def _problems(task: tuple[Layout, str]) -> str:
    layout, task_id = task
    assert verify_task(layout, task_id).problems == []
    return "; ".join(
        best_account_problems(layout.task(task_id), TaskStore(layout.data_root).manifest(task_id))
    )


def test_what_a_sweep_has_written_adds_up(task: tuple[Layout, str]) -> None:
    assert _problems(task) == ""


def _scaled(name: str, factor: float) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, pc.multiply(table.column(name), factor))

    return change


@pytest.mark.parametrize(
    ("table", "column", "factor", "problem"),
    [
        ("trades", "entry_price", 1.01, "best/trades.parquet"),
        ("trades", "pnl", 1.01, "best/trades.parquet"),
        ("equity", "equity", 1.001, "best/equity.parquet"),
        ("equity", "cash", 1.001, "best/equity.parquet"),
    ],
)
def test_a_forged_amount_is_found(
    table: str, column: str, factor: float, problem: str, task: tuple[Layout, str]
) -> None:
    rewritten(*task, f"best/{table}", _scaled(column, factor))
    assert problem in _problems(task)


def test_a_sweep_against_a_benchmark_adds_up_and_is_found_again(own_data_root: Path) -> None:
    store_candles(own_data_root, walk("A", 260), walk("B", 200), walk("SPY", 240, skip=0.1))
    request = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["A", "B"], benchmark="SPY"),
        space={"params.fast": [3, 5], "params.slow": [20], "symbols": [["A"], ["A", "B"]]},
    )
    with dg.instance_for_test() as instance:
        task_id = sweep.execute_in_process(to_sweep_config(request), instance=instance).run_id
    layout = Layout(own_data_root)
    manifest = TaskStore(own_data_root).manifest(task_id)
    assert manifest.benchmark == "SPY"
    assert [seen.symbol for seen in manifest.candles] == ["A", "B", "SPY"]
    assert manifest.summary.symbols_processed == 2
    assert _problems((layout, task_id)) == ""
    assert rerun_sample(layout.task(task_id), manifest, CandleStore(own_data_root)).verdict == "identical"
    report = sweep_report(layout.task(task_id), manifest).decode()
    [tile] = re.findall(r'data-metric="total_return">.*?</small>', report, re.DOTALL)
    assert "SPY" in tile
    assert "buy and hold" not in tile
