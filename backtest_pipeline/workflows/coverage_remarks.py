"""Remarks where finer candles or funding rates cover only a part of what was traded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.account_steps import bar_ends_us
from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates

MOST_NAMED = 5
"""Of the symbols that lack most; the others are passed over."""
FAR_FRAC = 0.01
"""How far finer candles may leave a bar's range: sources differ by less, adjusted prices by more."""
_DAY = np.timedelta64(1, "D")


def about_detail(traded: Sequence[Candles], detail: Mapping[str, Candles], timeframe: str) -> Iterator[str]:
    """Of symbols some of whose bars have no finer candle that opens inside, or ones of other prices."""
    lacking = {own.symbol: _bars_without(own, detail.get(own.symbol)) for own in traded}
    bars = {own.symbol: len(own) for own in traded}
    for symbol in _worst(lacking):
        counts = (f"{lacking[symbol]:,}", f"{bars[symbol]:,}")
        yield remark_texts.DETAIL_IN_PART.format(symbol, timeframe, *counts)
    elsewhere = {own.symbol: _bars_left(own, detail.get(own.symbol)) for own in traded}
    for symbol in _worst(elsewhere):
        counts = (f"{elsewhere[symbol]:,}", f"{bars[symbol]:,}")
        yield remark_texts.DETAIL_ELSEWHERE.format(symbol, timeframe, *counts)


def about_funding(traded: Sequence[Candles], funding: Mapping[str, FundingRates]) -> Iterator[str]:
    """Of symbols whose rates begin after their candles do, or end before."""
    late: dict[str, int] = {}
    early: dict[str, int] = {}
    for own in traded:
        rates = funding.get(own.symbol)
        if rates is None or not len(rates):
            continue
        steps = np.diff(rates.timestamp)
        usual = max(np.median(steps.astype(np.int64)).astype("timedelta64[us]"), _DAY) if len(steps) else _DAY
        end = own.timestamp[-1] + np.timedelta64(BAR_SECONDS[own.timeframe], "s")
        for found, gap in (
            (late, rates.timestamp[0] - own.timestamp[0]),
            (early, end - rates.timestamp[-1]),
        ):
            found[own.symbol] = int(gap.astype("timedelta64[s]").astype(np.int64)) if gap > usual else 0
    for symbol in _worst(late):
        yield remark_texts.FUNDING_BEGINS_LATE.format(symbol, _minute(funding[symbol].timestamp[0]))
    for symbol in _worst(early):
        yield remark_texts.FUNDING_ENDS_EARLY.format(symbol, _minute(funding[symbol].timestamp[-1]))


def _bars_without(bars: Candles, finer: Candles | None) -> int:
    if finer is None:
        return len(bars)
    first, stop = _places_inside(bars, finer)
    return int(np.count_nonzero(stop == first))


def _bars_left(bars: Candles, finer: Candles | None) -> int:
    """How many bars have a finer candle inside that is far from their prices."""
    if finer is None or not len(finer):
        return 0
    first, stop = _places_inside(bars, finer)
    filled = stop > first
    edges = np.column_stack([first[filled], stop[filled]]).ravel()
    # Beyond the last candle there is none; what lies between two bars is every other piece.
    highest = np.maximum.reduceat(np.append(finer.high, 0.0), edges)[::2]
    lowest = np.minimum.reduceat(np.append(finer.low, np.inf), edges)[::2]
    above = highest > bars.high[filled] * (1 + FAR_FRAC)
    below = lowest < bars.low[filled] * (1 - FAR_FRAC)
    return int(np.count_nonzero(above | below))


def _places_inside(bars: Candles, finer: Candles) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the finer candles inside each bar begin, and where they end."""
    opens, moments = bars.timestamp.view(np.int64), finer.timestamp.view(np.int64)
    ends = bar_ends_us(opens, BAR_SECONDS[bars.timeframe] * 1_000_000)
    return np.searchsorted(moments, opens), np.searchsorted(moments, ends)


def _worst(lacking: Mapping[str, int]) -> list[str]:
    found = sorted((symbol for symbol, much in lacking.items() if much), key=lambda symbol: -lacking[symbol])
    return found[:MOST_NAMED]


def _minute(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[m]")).replace("T", " ")
