"""The tables of a sweep's best trial must add up like those of any backtest."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.best_reconciliation import best_account_problems
from backtest_pipeline_tests.orchestration.forged_sweeps import rewritten


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
