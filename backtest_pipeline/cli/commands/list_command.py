"""The command that lists tasks: states from the server, numbers from the results."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.text import Text

from backtest_pipeline.cli.connection import connected
from backtest_pipeline.cli.output import (
    Json,
    coloured_metric,
    coloured_state,
    print_json,
    print_table,
    shown_size,
    stderr,
    without_gaps,
)
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.status import TaskState
from backtest_pipeline.results.catalog import read_catalog, results_frame
from backtest_pipeline.results.disk_usage import disk_report
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    from backtest_pipeline.model.status import TaskStatus
    from backtest_pipeline.sdk.client import BacktestClient

_STATES = ", ".join(get_args(TaskState))
_MOMENT = "2024-05-01 or 2024-05-01T09:30, in UTC unless it has a zone"
_SHOWN = {"total_return": "return", "sharpe": "Sharpe", "max_drawdown": "max drawdown"}
_ALL = 1_000_000_000

Row = dict[str, Any]
Filters = dict[str, Any]


def list_tasks(
    *,
    state: Annotated[str | None, typer.Option(help=f"one of {_STATES}")] = None,
    strategy: Annotated[str | None, typer.Option(help="only this strategy's")] = None,
    symbol: Annotated[str | None, typer.Option(help="only with this symbol, be it beside others")] = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, may be repeated")] = None,
    since: Annotated[str | None, typer.Option(help=f"submitted then or later: {_MOMENT}")] = None,
    until: Annotated[str | None, typer.Option(help="submitted then or earlier; a date is that day")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many tasks at most")] = 100,
    sort: Annotated[
        str | None,
        typer.Option(help="a metric, param.NAME, label.KEY, strategy, …; -COLUMN: largest first"),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="finished tasks only, without the server")
    ] = False,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="results of another system that lie beside the tasks")
    ] = False,
    json: Json = False,
) -> None:
    """Lists the newest tasks, newest first, or with --sort the first of all."""
    if foreign:
        _show_foreign(as_json=json)
        return
    if state is not None and state not in get_args(TaskState):
        raise RequestInvalid([("--state", f"{state!r} is none of {_STATES}")])
    filters: Filters = {
        "state": cast("TaskState | None", state),
        "strategy": strategy,
        "label": _labels(label or []),
        "since": _moment("--since", since),
        "until": _moment("--until", until),
    }
    with connected() as client:
        rows = _finished(client, symbol, filters) if offline else _known(client, symbol, filters, limit, sort)
    rows = _sorted(rows, sort)[:limit]
    if json:
        print_json([row if offline else row["status"].model_dump(mode="json") for row in rows])
    else:
        _show(rows)


def _known(
    client: BacktestClient, symbol: str | None, filters: Filters, limit: int, sort: str | None
) -> list[Row]:
    """Tasks that the server knows; all of them where they have to be looked through here."""
    tasks = client.list_tasks(**filters, limit=limit if symbol is None and sort is None else _ALL)
    layout = Layout(get_settings().data_root)
    ended = [task.task_id for task in tasks if task.final]
    found = results_frame(read_catalog(layout, task_ids=ended))
    numbers = dict(zip(found.index, found.to_dict("records"), strict=True))
    rows = [_row(task, numbers.get(task.task_id, {})) for task in tasks]
    return [row for row in rows if symbol is None or symbol in row["symbols"].split(",")]


def _row(task: TaskStatus, stored: Row) -> Row:
    """A task's facts; the run's tag names its first symbols only, the stored results all of them."""
    return {
        **stored,
        "status": task,
        "task_id": task.task_id,
        "state": task.state,
        "done": task.progress,
        "strategy": task.strategy or "",
        "symbols": stored.get("symbols") or ",".join(task.symbols),
        "submitted_at": task.submitted_at,
        "stage": task.error or task.stage,
    }


def _finished(client: BacktestClient, symbol: str | None, filters: Filters) -> list[Row]:
    """Tasks that have left a manifest, newest first."""
    frame = client.results_frame(symbol=symbol, **filters)
    for task_id, problem in frame.attrs["unreadable"].items():
        stderr.print(f"left out {task_id}: {problem}", highlight=False, markup=False, soft_wrap=True)
    frame = frame.sort_values("submitted_at", ascending=False, kind="stable").reset_index()
    frame = frame.rename(columns={"status": "state"})
    return [{**row, "done": float(row["state"] == "completed"), "stage": ""} for row in without_gaps(frame)]


def _sorted(rows: list[Row], column: str | None) -> list[Row]:
    """Rows by a column, those without a value last.

    Raises:
        RequestInvalid: no row has such a column.
    """
    if column is None or not rows:
        return rows
    name, falling = column.removeprefix("-"), column.startswith("-")
    known = dict.fromkeys(key for row in rows for key in row if key != "status")
    if name not in known:
        raise RequestInvalid([("--sort", f"there is no {name!r}; choose one of {', '.join(known)}")])
    filled = [row for row in rows if not _missing(row.get(name))]
    number = all(isinstance(row[name], int | float) for row in filled)
    filled.sort(key=lambda row: row[name] if number else str(row[name]), reverse=falling)
    return filled + [row for row in rows if _missing(row.get(name))]


def _missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124  only NaN differs from itself


def _show(rows: list[Row]) -> None:
    cells = [
        (
            row["task_id"],
            coloured_state(row["state"]),
            f"{row['done']:.0%}",
            row["strategy"],
            row["symbols"],
            f"{row['submitted_at']:%Y-%m-%d %H:%M:%S}",
            *(_number(name, row.get(name)) for name in _SHOWN),
            row["stage"],
        )
        for row in rows
    ]
    numbers = tuple(_SHOWN.values())
    columns = ("task", "state", "done", "strategy", "symbols", "submitted (UTC)", *numbers, "stage")
    print_table(columns, cells, right=["done", *numbers])


def _show_foreign(*, as_json: bool) -> None:
    """Results that a predecessor has left in DATA_ROOT/tasks; they are never deleted."""
    found = disk_report(get_settings().data_root, datetime.now(UTC)).foreign
    if as_json:
        print_json([{"name": one.name, "size_bytes": one.size_bytes} for one in found])
    else:
        print_table(
            ("name", "size"), [(one.name, shown_size(one.size_bytes)) for one in found], right=["size"]
        )


def _number(name: str, value: float | None) -> Text:
    return coloured_metric(name, None if _missing(value) else value)


def _labels(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise RequestInvalid([("--label", f"write KEY=VALUE, not {text!r}")])
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def _moment(option: str, text: str | None) -> date | datetime | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RequestInvalid([(option, f"write {_MOMENT}, not {text!r}")]) from None
