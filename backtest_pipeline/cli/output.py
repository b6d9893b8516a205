"""What commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import typer

from backtest_pipeline.model.checks import looks_ahead, named_with_checks
from backtest_pipeline.model.metric_catalog import shown, unit_of

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.text import Text

    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.status import TaskStatus

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
NAMES = "eight or more of its first characters will do, and `last` is the newest"
TaskId = Annotated[str, typer.Argument(metavar="TASK", help=f"the task's id; {NAMES}", show_default=False)]
TaskIds = Annotated[
    list[str], typer.Argument(metavar="TASK...", help=f"the tasks' ids; {NAMES}", show_default=False)
]

NOT_TRADABLE = "its signals knew bars that had not been, and nobody could have traded them"


class LateConsole:
    """A console of Rich, which is imported when something is printed: many commands print plain lines."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        """Prints to stdout, or to stderr."""
        self._to_stderr = to_stderr

    @cached_property
    def itself(self) -> Console:
        """The console, for what needs one of Rich's own."""
        from rich.console import Console  # noqa: PLC0415  see the class

        return Console(stderr=self._to_stderr)

    @property
    def is_terminal(self) -> bool:
        """Whether people read there."""
        return self.itself.is_terminal

    @property
    def width(self) -> int:
        """In characters."""
        return self.itself.width

    def print(self, *objects: Any, **options: Any) -> None:
        """As `rich.console.Console.print`."""
        self.itself.print(*objects, **options)


console = LateConsole()
stderr = LateConsole(to_stderr=True)

_BLOCKS = "▁▂▃▄▅▆▇█"
_MOST_BESIDE, _MOST_SYMBOLS = 8, 20
_OF_SYMBOLS = ("total_return", "trades", "win_rate", "fees_paid", "final_equity")
_SPARK_WIDTH = 60
_SIGNED = {"total_return", "cagr", "sharpe", "sortino", "calmar", "avg_trade_return", "expectancy", "alpha"}
_STATE_COLOURS = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def print_json(value: Any) -> None:
    """Prints JSON to stdout, whatever stdout is."""
    typer.echo(json.dumps(value, indent=2, default=_plain, allow_nan=False))


Cell: TypeAlias = "str | Text"
Justify: TypeAlias = Literal["left", "right"]


def without_gaps(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows for JSON, with None in place of NaN, which JSON does not have."""
    filled = frame.astype(object).where(frame.notna(), None)
    return cast("list[dict[str, Any]]", filled.to_dict("records"))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Iterable[str] = ()) -> None:
    """Prints a table, the columns in `right` aligned to the right; off a terminal, tabs between cells.

    A cell's text is shown as it is, whatever brackets a user has put into it.
    """
    if not console.is_terminal:
        for line in (columns, *rows):
            typer.echo("\t".join(str(cell).strip() for cell in line))
        return
    from rich.table import Table  # noqa: PLC0415  see `LateConsole`
    from rich.text import Text  # noqa: PLC0415  as above

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        justify: Justify = "right" if column in set(right) else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column == "task")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console.print(table)


def print_statuses(statuses: Sequence[TaskStatus]) -> None:
    """Prints a line a task."""
    rows = [
        (
            status.task_id,
            coloured_state(status.state),
            f"{status.progress:.0%}",
            status.strategy or "",
            ",".join(status.symbols),
            f"{status.submitted_at:%Y-%m-%d %H:%M:%S}",
            (status.code_sha256 or "")[:12],
            status.error or status.stage,
        )
        for status in statuses
    ]
    print_table(
        ("task", "state", "done", "strategy", "symbols", "submitted (UTC)", "code", "stage"),
        rows,
        right=["done"],
    )


def coloured_state(state: str) -> Text:
    """A state with its colour on terminals."""
    from rich.text import Text  # noqa: PLC0415  see `LateConsole`

    return Text(state, style=_STATE_COLOURS.get(state, ""))


def print_metrics(result: BacktestResult) -> None:
    """Prints the account's metrics and, where there are several symbols, each symbol's beside them.

    Many symbols follow in a table of their own, those with the largest returns and losses.

    On a terminal the equity comes first, as a line of blocks, and gains and losses have colours.
    """
    if console.is_terminal:
        equity = result.equity["equity"].tolist()
        ends = f"{equity[0]:,.0f} [dim]{sparkline(equity, _SPARK_WIDTH)}[/] {equity[-1]:,.0f}"
        console.print(f"equity {ends}", highlight=False)
    if looks_ahead(result.checks):
        line = f"{named_with_checks(result.request.strategy, result.checks)}: {NOT_TRADABLE}"
        stderr.print(line, style="bold red", highlight=False, markup=False, soft_wrap=True)
    beside = 1 < len(result.by_symbol) <= _MOST_BESIDE
    by_symbol = result.by_symbol if beside else {}
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            coloured_metric(name, value),
            *(coloured_metric(name, of[name]) for of in by_symbol.values()),
            unit_of(name),
        )
        for name, value in result.metrics.items()
    ]
    print_table(("metric", "account", *by_symbol, "unit"), rows, right=["account", *by_symbol])
    if len(result.by_symbol) > _MOST_BESIDE:
        _print_symbols(result)
    for remark in result.diagnostics:
        console.print(f"note: {remark}", highlight=False, markup=False)
    if result.manifest is not None and result.manifest.robustness is not None:
        verdict = f"verdict: {result.manifest.robustness.verdict}"
        console.print(verdict, highlight=False, markup=False, soft_wrap=True)


def _print_symbols(result: BacktestResult) -> None:
    """Prints a line for each of the symbols that gained or lost most, the largest gain first."""
    known = [(symbol, of) for symbol, of in result.by_symbol.items() if of.get("total_return") is not None]
    most = sorted(known, key=lambda one: -abs(one[1]["total_return"] or 0.0))[:_MOST_SYMBOLS]
    most.sort(key=lambda one: -(one[1]["total_return"] or 0.0))
    rows: list[tuple[Cell, ...]] = [
        (symbol, *(coloured_metric(name, of.get(name)) for name in _OF_SYMBOLS)) for symbol, of in most
    ]
    print_table(("symbol", *_OF_SYMBOLS), rows, right=_OF_SYMBOLS)
    left = len(result.by_symbol) - len(most)
    if left:
        console.print(f"{left:,} further symbols; --json has all", highlight=False, markup=False)


def sparkline(values: Sequence[float], width: int) -> str:
    """A line of at most `width` blocks, each as high as the last value of its share of the series."""
    count = len(values)
    ends = [values[(column + 1) * count // min(width, count) - 1] for column in range(min(width, count))]
    low, high = min(ends), max(ends)
    return "".join(
        _BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1)) if high > low else 0]
        for value in ends
    )


def coloured_metric(name: str, value: float | None) -> Text:
    """A metric with its colour on terminals: green for gains, red for losses."""
    from rich.text import Text  # noqa: PLC0415  see `LateConsole`

    if name not in _SIGNED or not value:
        return Text(shown(name, value))
    return Text(shown(name, value), style="green" if value > 0 else "red")


def shown_size(size_bytes: float) -> str:
    """A size for people, in units of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1_000:
            return f"{size_bytes:,.0f} {unit}" if unit == "B" else f"{size_bytes:,.1f} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:,.1f} TB"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
