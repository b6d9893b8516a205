"""Commands about tasks: ask for one, watch it, read it."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from backtest_pipeline.cli.output import Json, TaskId, print_json, print_metrics, print_statuses, stderr
from backtest_pipeline.cli.progress_bar import wait_visibly
from backtest_pipeline.cli.request_options import takes_request
from backtest_pipeline.model.errors import RequestInvalid, TaskFailed
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.status import TaskState, TaskStatus
from backtest_pipeline.sdk.client import BacktestClient

Timeout = Annotated[
    float | None, typer.Option(help="wait at most this many seconds", show_default="for ever")
]


@takes_request
def run(request: BacktestRequest, *, json: Json = False) -> None:
    """Submits a backtest, shows its progress and prints its metrics."""
    with BacktestClient() as client:
        task = client.submit(request)
        ended = wait_visibly(client, task.task_id)
        _refuse_unfinished(ended)
        outcome = client.result(task.task_id)
    if json:
        print_json(outcome.manifest.model_dump(mode="json") if outcome.manifest else {})
        return
    print_metrics(outcome)
    stderr.print(f"task {task.task_id}\nresults in {ended.result_path}", highlight=False, soft_wrap=True)


@takes_request
def submit(request: BacktestRequest, *, json: Json = False) -> None:
    """Submits a backtest and prints its task id at once."""
    with BacktestClient() as client:
        task = client.submit(request)
    if json:
        print_json(task.model_dump(mode="json"))
    else:
        typer.echo(task.task_id)


def status(task: TaskId, *, json: Json = False) -> None:
    """Shows where a task stands."""
    with BacktestClient() as client:
        _show(client.status(task), as_json=json)


def wait(task: TaskId, *, timeout_s: Timeout = None, json: Json = False) -> None:
    """Waits until a task has ended; status 1 unless it completed."""
    with BacktestClient() as client:
        ended = wait_visibly(client, task, timeout_s)
    _show(ended, as_json=json)
    if ended.state != "completed":
        raise typer.Exit(1)


def result(task: TaskId, *, json: Json = False) -> None:
    """Prints a completed task's metrics."""
    with BacktestClient() as client:
        outcome = client.result(task)
    if json:
        print_json(outcome.manifest.model_dump(mode="json") if outcome.manifest else {})
    else:
        print_metrics(outcome)


def list_tasks(
    *,
    state: Annotated[str | None, typer.Option(help=f"one of {', '.join(get_args(TaskState))}")] = None,
    strategy: Annotated[str | None, typer.Option(help="only this strategy's")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many attempts to look at")] = 100,
    json: Json = False,
) -> None:
    """Lists the newest tasks, newest first."""
    if state is not None and state not in get_args(TaskState):
        raise RequestInvalid([("--state", f"{state!r} is none of {', '.join(get_args(TaskState))}")])
    with BacktestClient() as client:
        tasks = client.list_tasks(state=cast("TaskState | None", state), strategy=strategy, limit=limit)
    if json:
        print_json([task.model_dump(mode="json") for task in tasks])
    else:
        print_statuses(tasks)


def _show(task: TaskStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(task.model_dump(mode="json"))
    else:
        print_statuses([task])


def _refuse_unfinished(task: TaskStatus) -> None:
    if task.state != "completed":
        raise TaskFailed(task.task_id, task.state, task.error or "")
