"""Waiting with something to look at."""

from __future__ import annotations

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from backtest_pipeline.cli.output import stderr
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.sdk.client import BacktestClient


def wait_visibly(client: BacktestClient, task_id: str, timeout_s: float | None = None) -> TaskStatus:
    """Waits for a task with a live bar on a terminal, or a line per change elsewhere, on stderr."""
    if not stderr.is_terminal:
        return client.wait(task_id, timeout_s=timeout_s, on_progress=_tell)
    columns = (
        TextColumn("{task.fields[state]:<9}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[stage]}"),
    )
    with Progress(*columns, console=stderr) as progress:
        bar = progress.add_task(task_id, total=1.0, state="queued", stage="")

        def show(status: TaskStatus) -> None:
            progress.update(bar, completed=status.progress, state=status.state, stage=status.stage)

        return client.wait(task_id, timeout_s=timeout_s, on_progress=show)


def _tell(status: TaskStatus) -> None:
    stderr.print(f"{status.state:<9} {status.progress:>4.0%} {status.stage}", highlight=False)
