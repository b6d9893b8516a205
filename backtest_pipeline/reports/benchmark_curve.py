"""Buy and hold, bar by bar: what the account is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest


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
