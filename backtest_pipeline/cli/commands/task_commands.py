"""Commands about tasks: ask for one, watch it, stop it, read it."""

from __future__ import annotations

from typing import Annotated

import typer

from backtest_pipeline.cli.asking import asking
from backtest_pipeline.cli.connection import connected
from backtest_pipeline.cli.output import (
    Json,
    TaskId,
    TaskIds,
    print_json,
    print_metrics,
    print_statuses,
    stderr,
)
from backtest_pipeline.cli.progress_bar import wait_visibly
from backtest_pipeline.cli.request_options import takes_request, takes_request_or_trial
from backtest_pipeline.cli.stored_tasks import tell_last
from backtest_pipeline.model.errors import TaskFailed
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.sdk.client import BacktestClient

Timeout = Annotated[
    float | None, typer.Option(help="wait at most this many seconds", show_default="for ever")
]
Key = Annotated[
    str | None,
    typer.Option(help="names this submission: repeated, it yields the same task", show_default=False),
]
ServerCode = Annotated[
    bool, typer.Option("--server-code", help="run the server's code, whatever code is installed here")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="run it even where a task has this very result already")]


@takes_request_or_trial
def run(
    request: BacktestRequest, *, fresh: Fresh = False, server_code: ServerCode = False, json: Json = False
) -> None:
    """Submits a backtest, shows its progress and prints its metrics; Ctrl-C leaves it to go on."""
    with connected() as client, asking() as asked:
        task = asked.submit(lambda: client.submit(request, reuse=not fresh, server_code=server_code))
        say_if_reused(task)
        [ended] = wait_visibly(client, [task.task_id])
        refuse_unfinished(ended)
        outcome = client.result(task.task_id)
    if json:
        print_json(outcome.manifest.model_dump(mode="json") if outcome.manifest else {})
        return
    print_metrics(outcome)
    stderr.print(f"task {task.task_id}\nresults in {ended.result_path}", highlight=False, soft_wrap=True)


@takes_request
def submit(
    request: BacktestRequest,
    *,
    idempotency_key: Key = None,
    fresh: Fresh = False,
    server_code: ServerCode = False,
    json: Json = False,
) -> None:
    """Submits a backtest and prints its task id at once."""
    with connected() as client, asking() as asked:
        task = asked.submit(
            lambda: client.submit(
                request, idempotency_key=idempotency_key, reuse=not fresh, server_code=server_code
            )
        )
    if idempotency_key is None:
        say_if_reused(task)
    if json:
        print_json(task.model_dump(mode="json"))
    else:
        typer.echo(task.task_id)


def status(task: TaskId, *, json: Json = False) -> None:
    """Shows where a task stands."""
    with connected() as client:
        _show([client.status(_whole(client, task))], as_json=json)


def wait(task: TaskIds, *, timeout_s: Timeout = None, json: Json = False) -> None:
    """Waits until tasks have ended; status 1 unless all completed."""
    with connected() as client:
        task_ids = [_whole(client, one) for one in task]
        ended = wait_visibly(client, list(dict.fromkeys(task_ids)), timeout_s)
    _show(ended, as_json=json)
    if any(one.state != "completed" for one in ended):
        raise typer.Exit(1)


def cancel(task: TaskId, *, json: Json = False) -> None:
    """Cancels a task and shows where it stands; one that has ended stays as it is."""
    with connected() as client:
        _show([client.cancel(_whole(client, task))], as_json=json)


def _whole(client: BacktestClient, task: str) -> str:
    """The whole id of a task that somebody has named; says which one `last` is."""
    task_id = client.task_id(task)
    tell_last([task], [task_id])
    return task_id


def _show(tasks: list[TaskStatus], *, as_json: bool) -> None:
    """Shows tasks; as JSON one is an object and several are a list."""
    if as_json:
        shown = [task.model_dump(mode="json") for task in tasks]
        print_json(shown[0] if len(shown) == 1 else shown)
    else:
        print_statuses(tasks)


def say_if_reused(task: TaskStatus) -> None:
    """A task that has completed as soon as it is asked for is an earlier one."""
    if task.state == "completed":
        note = f"task {task.task_id} has this result already; --fresh runs it again"
        stderr.print(note, highlight=False, markup=False, soft_wrap=True)


def refuse_unfinished(task: TaskStatus) -> None:
    """Raise `TaskFailed` unless a task has completed."""
    if task.state != "completed":
        raise TaskFailed(task.task_id, task.state, task.error or "")
