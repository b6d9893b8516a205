"""What strategies draw into reports: asked for when a report is drawn, so that no backtest pays for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.inputs import answer_of, read_only
from backtest_pipeline.model.drawing import Drawing, drawing_of
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.strategy import Signals, Strategy
from backtest_pipeline.strategies.registry import resolve

if TYPE_CHECKING:
    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.model.result import BacktestResult

MOST_BARS = 2_000_000
BUILT_IN = "backtest_pipeline.strategies.builtin."


def drawings_of(
    result: BacktestResult, seen: Mapping[str, SeenCandles], *, only_built_in: bool = False
) -> dict[str, Drawing]:
    """Asks the result's strategy again what it draws for each symbol.

    Nothing is drawn for a symbol whose signals are no longer those of the result, for then the strategy has
    changed since, nor where the strategy is gone, raises, draws nothing or trades a portfolio. Of many
    symbols the first are asked, up to 2,000,000 bars.

    Args:
        result: what is reported.
        seen: the candles that the backtest saw, by symbol.
        only_built_in: ask none but the strategies of this package, where no other code should run.
    """
    try:
        resolved = resolve(result.request)
    except BacktestError:
        return {}
    strategy = resolved.strategy
    if not isinstance(strategy, Strategy):
        return {}
    if only_built_in and not type(strategy).__module__.startswith(BUILT_IN):
        return {}
    drawings, left = {}, MOST_BARS
    for symbol in result.request.symbols:
        own = seen.get(symbol)
        if own is None or len(own.candles) > left:
            continue
        bars = len(own.candles)
        left -= bars
        try:
            answer = answer_of(strategy, resolved.params, read_only(own.candles), result.request.seed)
        except BacktestError:
            return {}
        if isinstance(answer, Signals) and (drawing := drawing_of(answer, bars).since(own.warmup_bars)):
            if not _same_entries(result, own, answer):
                return {}
            drawings[symbol] = drawing
    return drawings


def _same_entries(result: BacktestResult, seen: SeenCandles, signals: Signals) -> bool:
    candles = seen.candles
    table = result.signals[result.signals["symbol"] == candles.symbol]
    for side, entry in (("long", signals.entry), ("short", signals.short_entry)):
        if result.request.direction not in {side, "both"}:
            continue
        flags = np.zeros(len(candles), dtype=np.bool_) if entry is None else np.array(entry)
        flags[: seen.warmup_bars] = False
        recorded = table.loc[table["side"] == side, "timestamp"].dt.tz_localize(None)
        if not np.array_equal(recorded.to_numpy(dtype="datetime64[us]"), candles.timestamp[flags]):
            return False
    return True
