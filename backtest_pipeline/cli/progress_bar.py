"""Waiting with something to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from backtest_pipeline.cli.connection import told_that_they_go_on
from backtest_pipeline.cli.output import stderr
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.sdk.client import BacktestClient

Show = Callable[[TaskStatus], object]


def wait_visibly(
    client: BacktestClient, task_ids: Sequence[str], timeout_s: float | None = None
) -> list[TaskStatus]:
    """Waits for tasks with a live bar on a terminal, or a line per change elsewhere, on stderr."""
    with told_that_they_go_on(task_ids), _shown(task_ids) as show:
        return client.wait_many(task_ids, timeout_s=timeout_s, on_progress=show)


@contextmanager
def _shown(task_ids: Sequence[str]) -> Iterator[Show]:
    if not stderr.is_terminal:
        yield _tell if len(task_ids) == 1 else _tell_with_id
        return
    from rich.progress import (  # noqa: PLC0415  where nobody looks, none is drawn
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[state]:<9}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[stage]}"),
    )
    with Progress(*columns, console=stderr.itself) as progress:
        bar = progress.add_task("", total=float(len(task_ids)), state="queued", stage="")
        seen: dict[str, TaskStatus] = {}

        def show(status: TaskStatus) -> None:
            seen[status.task_id] = status
            done = sum(1.0 if task.final else task.progress for task in seen.values())
            state, stage = (
                (status.state, status.stage) if len(task_ids) == 1 else _summary(seen, len(task_ids))
            )
            progress.update(bar, completed=done, state=state, stage=stage)

        yield show


def _summary(seen: dict[str, TaskStatus], of: int) -> tuple[str, str]:
    states = Counter(str(task.state) for task in seen.values())
    ended = sum(task.final for task in seen.values())
    return f"{ended} of {of}", ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _tell(status: TaskStatus) -> None:
    stderr.print(f"{status.state:<9} {status.progress:>4.0%} {status.stage}", highlight=False, markup=False)


def _tell_with_id(status: TaskStatus) -> None:
    line = f"{status.task_id} {status.state:<9} {status.progress:>4.0%} {status.stage}"
    stderr.print(line, highlight=False, markup=False, soft_wrap=True)
