"""Remarks where finer candles or funding rates cover only a part of what was traded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.account_steps import bar_ends_us
from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates

MOST_NAMED = 5
"""Of the symbols that lack most; the others are passed over."""
_DAY = np.timedelta64(1, "D")


def about_detail(traded: Sequence[Candles], detail: Mapping[str, Candles], timeframe: str) -> Iterator[str]:
    """Of symbols some of whose bars have no finer candle that opens inside."""
    lacking = {own.symbol: _bars_without(own, detail.get(own.symbol)) for own in traded}
    bars = {own.symbol: len(own) for own in traded}
    for symbol in _worst(lacking):
        counts = (f"{lacking[symbol]:,}", f"{bars[symbol]:,}")
        yield remark_texts.DETAIL_IN_PART.format(symbol, timeframe, *counts)


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
    opens, moments = bars.timestamp.view(np.int64), finer.timestamp.view(np.int64)
    ends = bar_ends_us(opens, BAR_SECONDS[bars.timeframe] * 1_000_000)
    inside = np.searchsorted(moments, ends) - np.searchsorted(moments, opens)
    return int(np.count_nonzero(inside == 0))


def _worst(lacking: Mapping[str, int]) -> list[str]:
    found = sorted((symbol for symbol, much in lacking.items() if much), key=lambda symbol: -lacking[symbol])
    return found[:MOST_NAMED]


def _minute(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[m]")).replace("T", " ")
