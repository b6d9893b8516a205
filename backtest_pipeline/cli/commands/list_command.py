"""The command that lists tasks: states from the server, numbers from the results."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from backtest_pipeline.cli.connection import connected
from backtest_pipeline.cli.output import Json, print_json, print_table, shown_size, stderr
from backtest_pipeline.cli.task_rows import TaskRow, row_of_manifest, sorted_rows
from backtest_pipeline.cli.task_table import show_tasks
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.status import TaskState
from backtest_pipeline.model.timeframe import TIMEFRAMES
from backtest_pipeline.results.catalog import Wanted, read_catalog
from backtest_pipeline.sdk.listing import moment
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    from backtest_pipeline.model.status import TaskStatus
    from backtest_pipeline.sdk.client import BacktestClient

_STATES = ", ".join(get_args(TaskState))
_MOMENT = "2024-05-01 or 2024-05-01T09:30, in UTC unless it has a zone"
_ALL = 1_000_000_000

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
        near = did_you_mean(state, get_args(TaskState))
        raise RequestInvalid([("--state", f"there is no {state!r}{near}; choose one of {_STATES}")])
    filters: Filters = {
        "state": cast("TaskState | None", state),
        "strategy": strategy,
        "label": _labels(label or []),
        "since": _moment("--since", since),
        "until": _moment("--until", until),
    }
    store = Layout(get_settings().data_root)
    if offline:
        rows = _finished(store, symbol, filters)
    else:
        with connected() as client:
            rows = _known(client, store, symbol, filters, limit, sort)
    rows = sorted_rows(rows, sort)[:limit]
    if json:
        print_json([row.to_json() for row in rows])
        return
    show_tasks(rows)
    if not rows:
        where = f"finished in {store.tasks.absolute()}" if offline else "on the server"
        line = f"no such tasks {where}{_meant(strategy, symbol)}{_meant_labels(filters['label'], store)}"
        stderr.print(line, highlight=False, markup=False, soft_wrap=True)


def _meant(strategy: str | None, symbol: str | None) -> str:
    """Which strategy or symbol may have been meant, where there is none of the name that was given."""
    # Only who has found nothing waits for what these import.
    from backtest_pipeline.candles.store import CandleStore  # noqa: PLC0415  see above
    from backtest_pipeline.strategies.registry import strategies  # noqa: PLC0415  see above

    known = list(strategies()) if strategy is not None else []
    near = "" if strategy is None or strategy in known else did_you_mean(strategy, known)
    settings = get_settings()
    store = CandleStore(settings.data_root, settings.candle_timezone)
    symbols = [one for timeframe in TIMEFRAMES for one in store.symbols(timeframe)] if symbol else []
    return near + ("" if symbol is None or symbol in symbols else did_you_mean(symbol, symbols))


def _meant_labels(asked: dict[str, str], store: Layout) -> str:
    """Which label may have been meant, by those of the tasks that have finished."""
    if not asked:
        return ""
    nothing = Wanted()
    rows = [row_of_manifest(store, one) for one in read_catalog(store, nothing).manifests.values()]
    known = sorted({f"{name}={value}" for row in rows for name, value in row.status.labels.items()})
    names = sorted({entry.partition("=")[0] for entry in known})
    for name, value in asked.items():
        if name not in names:
            return did_you_mean(name, names)
        if f"{name}={value}" not in known:
            return did_you_mean(f"{name}={value}", [one for one in known if one.startswith(f"{name}=")])
    return ""


def _known(
    client: BacktestClient, layout: Layout, symbol: str | None, filters: Filters, limit: int, sort: str | None
) -> list[TaskRow]:
    """Tasks that the server knows; all of them where they have to be looked through here."""
    tasks = client.list_tasks(**filters, limit=limit if symbol is None and sort is None else _ALL)
    found = _stored(layout, tasks)
    rows = [TaskRow(task, found.get(task.task_id, {})) for task in tasks]
    return [row for row in rows if symbol is None or symbol in row.symbols]


def _stored(layout: Layout, tasks: list[TaskStatus]) -> dict[str, dict[str, Any]]:
    """The manifests of ended tasks, from our folder or else from those where the server says they lie."""
    ended = {task.task_id: task for task in tasks if task.final}
    found = read_catalog(layout, task_ids=ended).manifests
    for task_id in ended.keys() - found.keys():
        path = Path(ended[task_id].result_path or "")
        theirs = Layout(path.parent.parent)
        if path.is_absolute() and path == theirs.task(task_id):
            found |= read_catalog(theirs, task_ids=[task_id]).manifests
    return found


def _finished(layout: Layout, symbol: str | None, filters: Filters) -> list[TaskRow]:
    """Tasks that have left a manifest, newest first."""
    wanted = Wanted(
        filters["state"],
        filters["strategy"],
        symbol,
        filters["label"],
        moment(filters["since"]),
        moment(filters["until"], end_of_day=True),
    )
    found = read_catalog(layout, wanted)
    for task_id, problem in found.unreadable.items():
        stderr.print(f"left out {task_id}: {problem}", highlight=False, markup=False, soft_wrap=True)
    rows = [row_of_manifest(layout, manifest) for manifest in found.manifests.values()]
    return sorted(rows, key=lambda row: row.status.submitted_at, reverse=True)


def _show_foreign(*, as_json: bool) -> None:
    """Results that a predecessor has left in DATA_ROOT/tasks; they are never deleted."""
    from backtest_pipeline.results.disk_usage import disk_report  # noqa: PLC0415  for this alone

    found = disk_report(get_settings().data_root, datetime.now(UTC)).foreign
    if as_json:
        print_json([{"name": one.name, "size_bytes": one.size_bytes} for one in found])
    else:
        print_table(
            ("name", "size"), [(one.name, shown_size(one.size_bytes)) for one in found], right=["size"]
        )


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
