"""The table of tasks: as wide as the terminal, with a column for what differs between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backtest_pipeline.cli.output import Cell, coloured_metric, coloured_state, console, print_table
from backtest_pipeline.cli.task_rows import TaskRow, differing
from backtest_pipeline.model.checks import LOOKS_AHEAD
from backtest_pipeline.model.metric_catalog import shown_symbols
from backtest_pipeline.model.task_names import FEWEST_CHARACTERS

if TYPE_CHECKING:
    from rich.text import Text

METRICS_SHOWN = {"total_return": "return", "sharpe": "Sharpe", "max_drawdown": "max drawdown"}
_LONGEST_SYMBOLS, _NARROWEST_FOLDED, _BETWEEN = 14, 18, 2


@dataclass(frozen=True)
class _Column:
    """A column.

    Attributes:
        name: its head.
        cells: one for each row.
        right: whether numbers stand in it.
        given_up: where the table is too wide, columns with the highest go first; 0 stays.
    """

    name: str
    cells: Sequence[Cell]
    right: bool = False
    given_up: int = 0

    @property
    def width(self) -> int:
        return max(len(str(cell)) for cell in (self.name, *self.cells))


def show_tasks(rows: Sequence[TaskRow]) -> None:
    """Print a line a task; off a terminal whole ids and every column, with tabs between them."""
    varied = {name: [_plain(value) for value in values] for name, values in differing(rows).items()}
    if not console.is_terminal:
        _print([*_all_columns(rows), *_varied(varied), _Column("stage", [_stage(row) for row in rows])])
        return
    columns, same = _narrow_columns(rows)
    if same:
        console.print(f"all: {same}", highlight=False, markup=False, soft_wrap=True)
    _print(_fitting(columns, varied, console.width))
    for row in rows:
        if row.status.error:
            line = f"{row.status.task_id[:FEWEST_CHARACTERS]}: {row.status.error}"
            console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)


def _all_columns(rows: Sequence[TaskRow]) -> list[_Column]:
    return [
        _Column("task", [row.status.task_id for row in rows]),
        _Column("state", [row.status.state for row in rows]),
        _Column("done", [f"{row.status.progress:.0%}" for row in rows], right=True),
        _Column("strategy", [_name(row) for row in rows]),
        _Column("symbols", [",".join(row.symbols) for row in rows]),
        _Column("submitted (UTC)", [f"{row.status.submitted_at:%Y-%m-%d %H:%M:%S}" for row in rows]),
        *_numbers(rows),
    ]


def _narrow_columns(rows: Sequence[TaskRow]) -> tuple[list[_Column], str]:
    """Columns without what all rows have in common, and that."""
    symbols = [_short_symbols(row.symbols) for row in rows]
    names = [_name(row) for row in rows]
    same_name = len(rows) > 1 and len(set(names)) == 1 and LOOKS_AHEAD not in names[0]
    same_symbols = len(rows) > 1 and len({tuple(row.symbols) for row in rows}) == 1
    columns = [
        _Column("task", _short_ids([row.status.task_id for row in rows])),
        _Column("state", [_state(row) for row in rows], given_up=1),
        *([] if same_name else [_Column("strategy", names)]),
        *([] if same_symbols else [_Column("symbols", symbols, given_up=2)]),
        _Column("submitted", [f"{row.status.submitted_at:%m-%d %H:%M}" for row in rows], given_up=4),
        *_numbers(rows),
    ]
    same = [names[0]] * same_name + [shown_symbols(rows[0].symbols)] * same_symbols if rows else []
    return columns, ", ".join(same)


def _numbers(rows: Sequence[TaskRow]) -> list[_Column]:
    return [
        _Column(
            title,
            [coloured_metric(name, (row.manifest.get("metrics") or {}).get(name)) for row in rows],
            right=True,
            given_up=3 if name == "max_drawdown" else 0,
        )
        for name, title in METRICS_SHOWN.items()
    ]


def _fitting(columns: list[_Column], varied: dict[str, list[str]], width: int) -> list[_Column]:
    """A column for each difference where there is room, or one for all of them, which is folded."""
    whole = [*columns, *_varied(varied)]
    if not varied:
        return _narrowed(columns, width)
    if _width(_narrowed(whole, width)) <= width:
        return _narrowed(whole, width)
    count = len(next(iter(varied.values())))
    folded = [
        " ".join(f"{name}={values[row]}" for name, values in varied.items() if values[row] != "-")
        for row in range(count)
    ]
    return [*_narrowed(columns, width - _NARROWEST_FOLDED - _BETWEEN), _Column("differs", folded)]


def _narrowed(columns: list[_Column], width: int) -> list[_Column]:
    kept = list(columns)
    while _width(kept) > width and any(column.given_up for column in kept):
        kept.remove(max(kept, key=lambda column: column.given_up))
    return kept


def _width(columns: Iterable[_Column]) -> int:
    return sum(column.width + _BETWEEN for column in columns) - _BETWEEN


def _varied(varied: dict[str, list[str]]) -> list[_Column]:
    return [_Column(name, cells) for name, cells in varied.items()]


def _print(columns: Sequence[_Column]) -> None:
    rows = list(zip(*(column.cells for column in columns), strict=True))
    print_table(
        [column.name for column in columns], rows, right=[column.name for column in columns if column.right]
    )


def _name(row: TaskRow) -> str:
    name = row.status.strategy or ""
    return f"{name} ({LOOKS_AHEAD})" if row.looks_ahead else name


def _state(row: TaskRow) -> Text:
    text = coloured_state(row.status.state)
    return text.append(f" {row.status.progress:.0%}") if row.status.state == "running" else text


def _stage(row: TaskRow) -> str:
    return row.status.error or row.status.stage


def _short_symbols(symbols: Sequence[str]) -> str:
    for most in range(len(symbols), 0, -1):
        text = shown_symbols(symbols, most).replace(" and ", " +").removesuffix(" more")
        if len(text) <= _LONGEST_SYMBOLS:
            return text
    return f"{len(symbols)} symbols" if len(symbols) > 1 else "".join(symbols)


def _short_ids(task_ids: Sequence[str]) -> list[str]:
    """The first characters of ids, as many as distinguish all of them."""
    count = FEWEST_CHARACTERS
    while len({task_id[:count] for task_id in task_ids}) < len(set(task_ids)):
        count += 1
    return [task_id[:count] for task_id in task_ids]


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
