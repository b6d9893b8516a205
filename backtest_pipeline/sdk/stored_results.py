"""Results in the folder that a client shares with the server: read, kept and listed; nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.status import TaskState
from backtest_pipeline.quick_imports import ImportedWhenUsed
from backtest_pipeline.results import catalog
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.sdk.listing import moment
from backtest_pipeline.sdk.task_places import Place, place_in
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import REPORT

if TYPE_CHECKING:
    import pandas as pd

    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.walk_forward_result import WalkForwardResult
    from backtest_pipeline.results import completed_walk_forwards
    from backtest_pipeline.sdk import sweep_results
else:  # read tables with Arrow
    completed_walk_forwards = ImportedWhenUsed("backtest_pipeline.results.completed_walk_forwards")
    sweep_results = ImportedWhenUsed("backtest_pipeline.sdk.sweep_results")


def _page(store: TaskStore, task_id: str, result: BacktestResult) -> str:
    """The report of a task as it was published; where there is none, one without the chart of prices."""
    path = store.layout.task(task_id) / REPORT
    if result.manifest is not None and path.is_file():
        return path.read_text("utf-8")
    from backtest_pipeline.reports.report import report_html  # noqa: PLC0415  loads the charts

    return report_html(result, None)


def _walk_page(store: TaskStore, task_id: str, result: WalkForwardResult) -> str:
    """As `_page`, of a walk-forward."""
    path = store.layout.task(task_id) / REPORT
    if path.is_file():
        return path.read_text("utf-8")
    from backtest_pipeline.reports.walk_forward_report import walk_forward_report_html  # noqa: PLC0415  as above

    return walk_forward_report_html(result)


class StoredResults:
    """What a client does with results, which lie in `data_root/tasks`."""

    def __init__(self, data_root: str | Path) -> None:
        """Looks at a data root, which need not exist yet."""
        self._tasks = TaskStore(data_root)

    def located(self, task: str) -> Place:
        """Finds the folder that has a task's results, and the task's whole id.

        Args:
            task: its id, the beginning of it (eight characters or more), or `last`.

        Raises:
            TaskUnknown, TaskAmbiguous: no task, or more than one, is named so.
            ResultMissing: there is none (yet), and the message says where it was looked for.
        """
        return place_in(self._tasks, task)

    def result(self, task_id: str) -> Any:
        """Reads a completed task's result from its folder, checking every file.

        Returns:
            A `BacktestResult`, of a sweep a `SweepResult`, of a walk-forward a `WalkForwardResult`.

        Raises:
            ResultMissing: there is none (yet), or the task did not complete.
            ResultDamaged: a file is gone or differs from what was published.
        """
        store, found = self.located(task_id)
        if store.manifest(found).kind == "walk_forward":
            return replace(
                completed_walk_forwards.stored_walk(store, found), drawn=partial(_walk_page, store, found)
            )
        if store.manifest(found).kind == "sweep":
            sweep = sweep_results.read_sweep(store, found)
            best = sweep.best and replace(sweep.best, drawn=partial(_page, store, found))
            return replace(sweep, best=best)
        return replace(store.result(found), drawn=partial(_page, store, found))

    def trial(self, task_id: str, trial: int) -> BacktestRequest:
        """The backtest that a trial of a completed sweep is: run alone, it yields the very same numbers.

        Raises:
            RequestInvalid: there is no such trial, or its values do not fit together.
            ResultMissing, ResultDamaged: as `result`.
        """
        return sweep_results.request_of_trial(*self.located(task_id), trial)

    def pin(self, task_id: str) -> Manifest:
        """Keeps a finished task's results past TASK_RESULT_TTL_DAYS, in the folder that both share.

        A task that is still to finish is asked for with `pinned=True` instead.

        Raises:
            ResultMissing: the task has not finished, or its results are gone.
            ResultDamaged: its manifest cannot be read.
            OSError: the folder cannot be written.
        """
        store, found = self.located(task_id)
        return store.pin(found, pinned=True, ttl_days=0)

    def unpin(self, task_id: str) -> Manifest:
        """Lets a task's results expire again, TASK_RESULT_TTL_DAYS after it finished; errors as for `pin`."""
        store, found = self.located(task_id)
        return store.pin(found, pinned=False, ttl_days=get_settings().task_result_ttl_days)

    def results_frame(
        self,
        *,
        state: TaskState | None = None,
        strategy: str | None = None,
        symbol: str | None = None,
        label: Mapping[str, str] | None = None,
        since: date | datetime | None = None,
        until: date | datetime | None = None,
    ) -> pd.DataFrame:
        """All finished tasks whose results are kept, as one table; needs no server.

        One row a task, its id the index. Columns: what was asked (labels as `label.<key>`, parameters as
        `param.<name>`), when and how it ran, and every metric as float; see docs/results.md. Tasks whose
        manifest cannot be read are left out and named in `attrs["unreadable"]`.

        Args:
            state: only tasks that ended so.
            strategy: only tasks of this strategy.
            symbol: only tasks with this symbol, be it beside others.
            label: only tasks with all these labels.
            since: only tasks submitted then or later; without a zone, in UTC.
            until: only tasks submitted then or earlier; a date includes that whole day.
        """
        last = moment(until, end_of_day=True)
        wanted = catalog.Wanted(state, strategy, symbol, label or {}, moment(since), last)
        return catalog.results_frame(catalog.read_catalog(self._tasks.layout, wanted))
