"""A task's picture and report, drawn once it has completed and added to its folder and manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.orchestration.tasks.deferred import later
from backtest_pipeline.orchestration.tasks.others_wait import OthersWait
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import CHART, HEATMAP, REPORT
from backtest_pipeline.workflows.strategy_lines import drawings_of

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.results.task_store import TaskStore


class Addition(Protocol):
    """Adds something to a published task, unless others wait."""

    def __call__(self, *, others_wait: Callable[[], bool]) -> None:
        """Adds it."""


def once_ended(instance: DagsterInstance, *additions: Addition) -> None:
    """Has what is added to a task made once its run has ended, unless operators want it only when asked."""
    if not get_settings().reports_ahead:
        return
    others_wait = OthersWait(None if instance.is_ephemeral else instance.root_directory)
    for add in additions:
        later(partial(add, others_wait=others_wait))
    later(others_wait.close)


def add_chart(
    store: TaskStore,
    manifest: Manifest,
    result: BacktestResult,
    seen: Mapping[str, SeenCandles],
    others_wait: Callable[[], bool],
) -> None:
    """Adds the picture of the account to a published task; otherwise as `add_report`."""

    def draw() -> bytes:
        from backtest_pipeline.reports.charts.equity_chart import account_png  # noqa: PLC0415  Matplotlib, after the run

        return account_png(result, _traded(seen))

    _add(store, manifest, CHART, draw, others_wait, name="equity_chart")


def add_report(
    store: TaskStore,
    manifest: Manifest,
    result: BacktestResult,
    seen: Mapping[str, SeenCandles],
    others_wait: Callable[[], bool],
) -> None:
    """Adds the report to a published task, unless backtests wait for the processor that it takes.

    What is left out is drawn when somebody opens it.

    Args:
        store: where the task is.
        manifest: of the attempt that has published.
        result: what it has published.
        seen: what the attempt saw.
        others_wait: whether they do.
    """

    def draw() -> bytes:
        from backtest_pipeline.reports.report import report_html  # noqa: PLC0415  Bokeh, after the run

        drawings = drawings_of(result, seen)
        assessed = _with_statistics(store, manifest)
        return report_html(replace(result, manifest=assessed), _traded(seen), drawings).encode()

    _add(store, manifest, REPORT, draw, others_wait, name="report")


def _traded(seen: Mapping[str, SeenCandles]) -> dict[str, Candles]:
    return {symbol: own.traded for symbol, own in seen.items()}


def add_robustness(store: TaskStore, manifest: Manifest, others_wait: Callable[[], bool]) -> None:
    """Adds statistics to a published task; otherwise as `add_report`."""
    if others_wait():
        return
    from backtest_pipeline.workflows.assess_task import assessed_task  # noqa: PLC0415  statistics, after the run

    with suppress(BacktestError, FileNotFoundError):  # as below
        assessed_task(store, manifest.task_id)


def add_sweep_picture(store: TaskStore, manifest: Manifest, others_wait: Callable[[], bool]) -> None:
    """Adds the heatmap to a published sweep; otherwise as `add_report`."""

    def draw() -> bytes:
        from backtest_pipeline.workflows.render_sweep_report import sweep_picture  # noqa: PLC0415  as above

        return sweep_picture(store.layout.task(manifest.task_id), manifest)

    with suppress(FileNotFoundError):  # the folder that it is drawn from may be gone or replaced
        _add(store, manifest, HEATMAP, draw, others_wait, name="heatmap")


def add_sweep_report(store: TaskStore, manifest: Manifest, others_wait: Callable[[], bool]) -> None:
    """Adds the report to a published sweep, from its tables; otherwise as `add_report`."""

    def draw() -> bytes:
        from backtest_pipeline.workflows.render_sweep_report import sweep_report  # noqa: PLC0415  as above

        return sweep_report(store.layout.task(manifest.task_id), _with_statistics(store, manifest))

    with suppress(FileNotFoundError):  # as above
        _add(store, manifest, REPORT, draw, others_wait, name="report")


def add_walk_forward_picture(store: TaskStore, manifest: Manifest, others_wait: Callable[[], bool]) -> None:
    """Adds the picture of the account to a published walk-forward; otherwise as `add_report`."""

    def draw() -> bytes:
        from backtest_pipeline.workflows.render_walk_forward import walk_forward_picture  # noqa: PLC0415  as above

        return walk_forward_picture(store.layout.task(manifest.task_id), manifest, _candles(store))

    with suppress(FileNotFoundError):  # as above
        _add(store, manifest, CHART, draw, others_wait, name="equity_chart")


def add_walk_forward_report(store: TaskStore, manifest: Manifest, others_wait: Callable[[], bool]) -> None:
    """Adds the report to a published walk-forward, from its tables; otherwise as `add_report`."""

    def draw() -> bytes:
        from backtest_pipeline.workflows.render_walk_forward import walk_forward_report  # noqa: PLC0415  as above

        folder = store.layout.task(manifest.task_id)
        return walk_forward_report(folder, _with_statistics(store, manifest), _candles(store))

    with suppress(FileNotFoundError):  # as above
        _add(store, manifest, REPORT, draw, others_wait, name="report")


def _candles(store: TaskStore) -> CandleStore:
    return CandleStore(store.layout.data_root, get_settings().candle_timezone)


def _with_statistics(store: TaskStore, manifest: Manifest) -> Manifest:
    """The manifest as it was published, with the statistics that have been added since."""
    return manifest.model_copy(update={"robustness": store.manifest(manifest.task_id).robustness})


def _add(
    store: TaskStore,
    manifest: Manifest,
    file: str,
    draw: Callable[[], bytes],
    others_wait: Callable[[], bool],
    *,
    name: str,
) -> None:
    if others_wait():
        return
    with suppress(BacktestError):  # deleted, or published again by a later attempt
        content = draw()
        store.add_file(manifest, file, content, name=name)
