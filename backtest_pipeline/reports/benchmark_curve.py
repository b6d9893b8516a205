"""The benchmark, bar by bar: what the account is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest


def benchmark_curve(
    request: BacktestRequest, candles: Mapping[str, Candles], timestamp: NDArray[np.datetime64]
) -> NDArray[np.float64] | None:
    """Value of all the cash in the request's benchmark, or in its own symbols where it names none.

    As the metric `buy_hold_return` has it. A benchmark is bought at the close that is known at the account's
    first bar, see `Candles.closes_known_at`.

    Args:
        request: what was asked.
        candles: by symbol, none empty; a benchmark's bars need not be the account's.
        timestamp: shape (n,), `datetime64[us]`, the account's bars.

    Returns:
        Shape (n,), in quote currency; `None` where candles of what is held are lacking.
    """
    if request.benchmark is None:
        whole = all(symbol in candles for symbol in request.symbols)
        return buy_and_hold(request, candles, timestamp) if whole else None
    if request.benchmark not in candles:
        return None
    closes = candles[request.benchmark].closes_known_at(timestamp)
    held: NDArray[np.float64] = request.initial_cash * (closes / closes[0])
    return held


def buy_and_hold(
    request: BacktestRequest, candles: Mapping[str, Candles], timestamp: NDArray[np.datetime64]
) -> NDArray[np.float64]:
    """Value of buying each symbol with its share of the cash at its first close and holding it, no fees.

    As the metric `buy_hold_return` has it: a symbol's share stays cash until its first bar, and its value is
    carried over bars that it lacks.

    Args:
        request: what was asked.
        candles: by symbol, at least the request's, none empty.
        timestamp: shape (n,), `datetime64[us]`, the account's bars: each at the latest open of
            the symbols' bars that it stands for.

    Returns:
        Shape (n,), in quote currency.
    """
    share = request.initial_cash / len(request.symbols)
    total = np.zeros(len(timestamp))
    for symbol in request.symbols:
        own = candles[symbol]
        held = share * (own.close / own.close[0])
        if len(own) == len(timestamp):
            total += held
        else:
            latest = np.searchsorted(own.timestamp, timestamp, side="right") - 1
            total += np.where(latest >= 0, held[np.maximum(latest, 0)], share)
    return total
