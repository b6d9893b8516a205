"""The command that lists tasks."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, cast, get_args

import typer

from backtest_pipeline.cli.connection import connected
from backtest_pipeline.cli.output import Json, print_json, print_statuses
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.status import TaskState

_STATES = ", ".join(get_args(TaskState))
_MOMENT = "2024-05-01 or 2024-05-01T09:30, in UTC unless it has a zone"


def list_tasks(
    *,
    state: Annotated[str | None, typer.Option(help=f"one of {_STATES}")] = None,
    strategy: Annotated[str | None, typer.Option(help="only this strategy's")] = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, may be repeated")] = None,
    since: Annotated[str | None, typer.Option(help=f"submitted then or later: {_MOMENT}")] = None,
    until: Annotated[str | None, typer.Option(help="submitted then or earlier; a date is that day")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many tasks at most")] = 100,
    json: Json = False,
) -> None:
    """Lists the newest tasks, newest first."""
    if state is not None and state not in get_args(TaskState):
        raise RequestInvalid([("--state", f"{state!r} is none of {_STATES}")])
    labels, first, last = _labels(label or []), _moment("--since", since), _moment("--until", until)
    with connected() as client:
        tasks = client.list_tasks(
            state=cast("TaskState | None", state),
            strategy=strategy,
            label=labels,
            since=first,
            until=last,
            limit=limit,
        )
    if json:
        print_json([task.model_dump(mode="json") for task in tasks])
    else:
        print_statuses(tasks)


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
