"""Where the results are of a task that somebody names on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from backtest_pipeline.cli.output import stderr
from backtest_pipeline.model.task_names import LAST
from backtest_pipeline.sdk.client import BacktestClient

if TYPE_CHECKING:
    from backtest_pipeline.sdk.task_places import Place


def located(task: str) -> Place:
    """Find a task's results, here or in the server's own folder; says which task `last` is.

    Raises:
        TaskUnknown, TaskAmbiguous: no task, or more than one, is named so.
        ResultMissing: there is none (yet).
    """
    with BacktestClient(patience_s=0) as client:
        place = client.located(task)
    tell_last([task], [place[1]])
    return place


def tell_last(texts: Iterable[str], task_ids: Iterable[str]) -> None:
    """Say on stderr which task `last` is, where somebody has written that."""
    for text, task_id in zip(texts, task_ids, strict=True):
        if text == LAST:
            stderr.print(f"{LAST}: task {task_id}", highlight=False, markup=False, soft_wrap=True)
