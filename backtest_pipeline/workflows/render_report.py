"""Reports and charts of results that are on disk, drawn from the candles that the task saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.model.checks import named_with_checks
from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.model.manifest import CandleFingerprint
from backtest_pipeline.results.completed_sweeps import require_whole_search, require_whole_sweep
from backtest_pipeline.results.completed_walk_forwards import SHOWN, account_of
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.workflows.strategy_lines import drawings_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.result import BacktestResult


def rendered_report(
    data_root: Path, candle_timezone: str, task_id: str, *, only_built_in: bool = False
) -> tuple[bytes, list[str]]:
    """Draws a completed task's report, of whatever kind it is.

    Args:
        data_root: where candles and results are.
        candle_timezone: what a `start` or `end` without a zone means.
        task_id: the task.
        only_built_in: draw lines of this package's own strategies alone, so that no other code runs here.

    Returns:
        The page, and a note for each symbol whose candles the store no longer has as they were.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as for `TaskStore.result`.
    """
    from backtest_pipeline.workflows.assess_task import assessed_task  # noqa: PLC0415  as below

    assessed = assessed_task(TaskStore(data_root), task_id)
    if assessed.kind == "walk_forward":
        from backtest_pipeline.workflows import render_walk_forward  # noqa: PLC0415  as below

        _, folder = require_whole_search(TaskStore(data_root), task_id, "walk_forward", SHOWN)
        candles = CandleStore(data_root, candle_timezone)
        return render_walk_forward.walk_forward_report(folder, assessed, candles), []
    if assessed.kind == "sweep":
        from backtest_pipeline.workflows import render_sweep_report  # noqa: PLC0415  as below

        manifest, folder = require_whole_sweep(TaskStore(data_root), task_id, render_sweep_report.NEEDED)
        statistics = {"robustness": assessed.robustness}
        return render_sweep_report.sweep_report(folder, manifest.model_copy(update=statistics)), []
    from backtest_pipeline.reports.report import report_html  # noqa: PLC0415  keeps `backtest --help` quick

    result = replace(TaskStore(data_root).result(task_id), manifest=assessed)
    seen, left_out = _candles_seen(CandleStore(data_root, candle_timezone), result)
    drawings = drawings_of(result, seen, only_built_in=only_built_in)
    return report_html(result, _traded(seen), drawings).encode(), left_out


def rendered_chart(data_root: Path, candle_timezone: str, task_id: str) -> bytes:
    """Draws the picture of a completed task's account.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as for `TaskStore.result`.
    """
    from backtest_pipeline.reports.charts.equity_chart import account_png  # noqa: PLC0415  as above

    if TaskStore(data_root).manifest(task_id).kind == "walk_forward":
        from backtest_pipeline.workflows import render_walk_forward  # noqa: PLC0415  as above

        manifest, folder = require_whole_search(TaskStore(data_root), task_id, "walk_forward", SHOWN)
        candles = CandleStore(data_root, candle_timezone)
        return render_walk_forward.walk_forward_picture(folder, manifest, candles)
    result = TaskStore(data_root).result(task_id)
    seen, _ = _candles_seen(CandleStore(data_root, candle_timezone), result)
    return account_png(result, _traded(seen))


def benchmark_of(data_root: Path, candle_timezone: str, result: BacktestResult) -> NDArray[np.float64] | None:
    """Value of a result's benchmark at each moment of its equity; `None` where its candles are gone."""
    from backtest_pipeline.reports.benchmark_curve import benchmark_curve  # noqa: PLC0415  as above

    seen, _ = _candles_seen(CandleStore(data_root, candle_timezone), result)
    moments = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return benchmark_curve(result.request, _traded(seen), moments)


def compared_backtests(store: TaskStore, task_ids: Sequence[str]) -> str:
    """Draws the page that compares completed backtests, and accounts out of sample.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as for `TaskStore.result`.
    """
    from backtest_pipeline.reports.comparison import comparison_html  # noqa: PLC0415  as above

    results = {task_id: account_of(store, task_id) for task_id in task_ids}
    named = {
        f"{named_with_checks(of.request.strategy, of.checks)} {task_id[:8]}": of
        for task_id, of in results.items()
    }
    return comparison_html(named if len(named) == len(results) else results)


def compared_sweeps(store: TaskStore, task_ids: Sequence[str]) -> str:
    """Draws the page that compares completed sweeps.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as for `require_whole_sweep`.
    """
    from backtest_pipeline.workflows import render_sweep_report  # noqa: PLC0415  as above

    return render_sweep_report.sweep_comparison(store, task_ids)


def rendered_heatmap(data_root: Path, task_id: str) -> bytes:
    """Draws the picture of a completed sweep.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as for `require_whole_sweep`.
    """
    from backtest_pipeline.workflows import render_sweep_report  # noqa: PLC0415  as above

    manifest, folder = require_whole_sweep(TaskStore(data_root), task_id, render_sweep_report.NEEDED)
    return render_sweep_report.sweep_picture(folder, manifest)


def _traded(seen: Mapping[str, SeenCandles]) -> dict[str, Candles]:
    return {symbol: own.traded for symbol, own in seen.items()}


def _candles_seen(store: CandleStore, result: BacktestResult) -> tuple[dict[str, SeenCandles], list[str]]:
    """The candles that the task saw, as far as the store still has them, and why it lacks the others."""
    request = result.request
    recorded = {one.symbol: one for one in result.manifest.candles} if result.manifest else {}
    seen, left_out = {}, []
    for symbol in request.symbols_read:
        then = recorded.get(symbol)
        warmup_bars = then.warmup_rows if then else 0
        try:
            own = store.load([symbol], request.timeframe, request.start, request.end, warmup_bars)[symbol]
        except CandlesError as error:
            left_out.append(f"{symbol} is left out of the charts: {error}")
            continue
        if then and CandleFingerprint.of(own, warmup_bars).has_bytes_of(then):
            seen[symbol] = SeenCandles(own, warmup_bars)
        else:
            left_out.append(
                f"{symbol} is left out of the charts: its candles have changed since the task ran"
            )
    return seen, left_out
