"""Other histories of a market: its own bars in another order, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.candles import PRICE_COLUMNS, Candles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.inputs import SeenCandles

    Places = NDArray[np.int64]


def block_places(first: int, stop: int, block_bars: int, generator: np.random.Generator) -> Places:
    """As many places as from `first` to `stop` (excluded), in blocks that follow each other at random.

    The moving block bootstrap (Künsch 1989; Liu and Singh 1992): each block is so many bars long, the last
    one cut, and begins with equal chance anywhere from which a whole one is left.
    """
    count = stop - first
    length = min(block_bars, count)
    starts = generator.integers(first, stop - length + 1, size=-(-count // length))
    return (starts[:, None] + np.arange(length)).reshape(-1)[:count]


def resampled_market(
    seen: Sequence[SeenCandles], block_bars: int, generator: np.random.Generator
) -> dict[str, Candles]:
    """Candles in which the traded bars follow each other in another order.

    A bar keeps its volume, and its open, high, low and close as multiples of the close before it, so what
    happens within a block happened in the market; the same bars of all symbols stay together. Moments stay
    as they are. What came before the traded bars stays, and so does the first of these where nothing did.

    Args:
        seen: of each symbol, all with the same traded bars.
        block_bars: length of a block.
        generator: of the draws.
    """
    warm = all(own.warmup_bars > 0 for own in seen)
    traded = len(seen[0].traded)
    first = 0 if warm else 1
    if traded <= first:
        return {own.candles.symbol: own.candles for own in seen}
    places = block_places(first, traded, block_bars, generator)
    return {own.candles.symbol: _reordered(own, places, first) for own in seen}


def _reordered(seen: SeenCandles, places: Places, first: int) -> Candles:
    candles, begin = seen.candles, seen.warmup_bars + first
    own = places + seen.warmup_bars
    before = candles.close[own - 1]
    anchor = candles.close[begin - 1]
    close = np.cumprod(np.concatenate([[anchor], candles.close[own] / before]))
    columns = {"volume": np.concatenate([candles.volume[:begin], candles.volume[own]])}
    for name in PRICE_COLUMNS:
        values = getattr(candles, name)
        moved = close[1:] if name == "close" else close[:-1] * (values[own] / before)
        columns[name] = np.concatenate([values[:begin], moved])
    # Multiples are rounded one by one, which may put a high a rounding below its close.
    columns["high"] = np.maximum.reduce([columns[name] for name in PRICE_COLUMNS])
    columns["low"] = np.minimum.reduce([columns[name] for name in PRICE_COLUMNS])
    return replace(
        candles,
        open=columns["open"],
        high=columns["high"],
        low=columns["low"],
        close=columns["close"],
        volume=columns["volume"],
    )
