"""Finer candles and funding rates that fit daily candles."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from backtest_pipeline import Candles
from backtest_pipeline.candles.funding_file import write_funding
from backtest_pipeline.model.funding_rates import FundingRates
from backtest_pipeline.storage.layout import Layout


def finer_candles(bars: Candles, hours: int = 4, days: slice = slice(None)) -> Candles:
    """Candles of some hours that together make daily ones: open, low, high, then the close to the end."""
    rows = []
    for at in range(len(bars))[days]:
        path = [bars.open[at], bars.low[at], bars.high[at], *[bars.close[at]] * (24 // hours - 2)]
        for place, (start, end) in enumerate(pairwise(path)):
            moment = bars.timestamp[at] + np.timedelta64(place * hours, "h")
            rows.append((moment, start, max(start, end), min(start, end), end, 1.0))
    names = ["timestamp", "open", "high", "low", "close", "volume"]
    frame = pd.DataFrame(rows, columns=names)
    frame["timestamp"] = frame["timestamp"].dt.tz_localize("UTC")
    return Candles.from_frame(frame, symbol=bars.symbol, timeframe="4h")


def rates_of(bars: Candles, rate: float = 0.0001) -> FundingRates:
    """A rate every eight hours, from the first bar's open on, for a day longer than there are bars."""
    count = 3 * (len(bars) + 1)
    moments = bars.timestamp[0] + np.arange(count) * np.timedelta64(8, "h")
    return FundingRates(bars.symbol, moments, np.full(count, rate))


def store_rates(data_root: Path, *rates: FundingRates) -> None:
    """Puts funding rates into the store."""
    for own in rates:
        write_funding(Layout(data_root), own.symbol, own.timestamp, own.rate)
