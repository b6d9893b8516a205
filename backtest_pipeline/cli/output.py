"""What commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.status import TaskStatus

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="the task's id", show_default=False)]

console = Console()
stderr = Console(stderr=True)

_PERCENT = {
    "alpha",
    "annual_volatility",
    "avg_drawdown",
    "avg_trade_return",
    "best_trade_return",
    "buy_hold_return",
    "cagr",
    "exposure",
    "kelly",
    "max_drawdown",
    "signal_avg_return",
    "signal_max_drawdown",
    "signal_win_rate",
    "total_return",
    "value_at_risk_95",
    "win_rate",
    "worst_trade_return",
}


def print_json(value: Any) -> None:
    """Prints JSON to stdout, whatever stdout is."""
    typer.echo(json.dumps(value, indent=2, default=_plain, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """Prints a table, the columns in `right` aligned to the right; off a terminal, tabs between cells."""
    if not console.is_terminal:
        for line in (columns, *rows):
            typer.echo("\t".join(cell.strip() for cell in line))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in set(right) else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_statuses(statuses: Sequence[TaskStatus]) -> None:
    """Prints a line a task."""
    rows = [
        (
            status.task_id,
            status.state,
            f"{status.progress:.0%}",
            status.strategy or "",
            ",".join(status.symbols),
            f"{status.submitted_at:%Y-%m-%d %H:%M:%S}",
            status.error or status.stage,
        )
        for status in statuses
    ]
    print_table(
        ("task", "state", "done", "strategy", "symbols", "submitted (UTC)", "stage"), rows, right=["done"]
    )


def print_metrics(result: BacktestResult) -> None:
    """Prints the account's metrics and, where there are several symbols, each symbol's beside them."""
    by_symbol = result.by_symbol if len(result.by_symbol) > 1 else {}
    rows = [
        (name, shown_metric(name, value), *(shown_metric(name, of[name]) for of in by_symbol.values()))
        for name, value in result.metrics.items()
    ]
    print_table(("metric", "account", *by_symbol), rows, right=["account", *by_symbol])
    for remark in result.diagnostics:
        console.print(f"note: {remark}", highlight=False)


def shown_metric(name: str, value: float | None) -> str:
    """A metric for people: fractions as percent, counts and money with thousands' commas."""
    if value is None:
        return "-"
    if name in _PERCENT:
        return f"{value:.2%}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
