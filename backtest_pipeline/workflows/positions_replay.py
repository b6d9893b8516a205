"""Does what a shared account held, valued by the candles, make its equity?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtest_pipeline.results.position_reconciliation import replay_problems
from backtest_pipeline.workflows.rerun import candles_of_backtest

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.results.task_store import TaskStore


def replayed_problems(store: TaskStore, task_id: str, candles: CandleStore) -> list[str]:
    """What does not add up in a completed backtest; nothing where its candles are no longer there to tell.

    Raises:
        BacktestError: as `TaskStore.result`.
    """
    result = store.result(task_id)
    if result.positions is None or result.manifest is None:
        return []
    seen, _, changed = candles_of_backtest(result, result.manifest, candles)
    if changed:
        return []
    at = result.equity["timestamp"].dt.tz_localize(None).to_numpy("datetime64[us]")
    traded = {
        one.symbol: one.warmup_rows for one in result.manifest.candles if one.symbol in result.request.symbols
    }
    closes = {
        symbol: seen[symbol].slice(rows, len(seen[symbol])).closes_known_at(at)
        for symbol, rows in traded.items()
    }
    return replay_problems(result.request, result.positions, result.equity, closes)
