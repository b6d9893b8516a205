"""Remarks that a reader of the numbers should know."""

from __future__ import annotations

import numpy as np
import pytest

from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline_tests.engine.scripted import candles_of, flat, play, signals_at


def without(candles: Candles, *bars: int) -> Candles:
    kept = np.setdiff1d(np.arange(len(candles)), bars)
    columns = {name: getattr(candles, name)[kept] for name in CANDLE_COLUMNS}
    return Candles.from_arrays(candles.symbol, candles.timeframe, columns)


def test_no_trade_at_all() -> None:
    assert play(flat(*[100] * 30), signals_at(30)).diagnostics == ["There was no trade."]


def test_less_than_thirty_days_tell_nothing_of_a_year() -> None:
    # 29 daily bars take 29 days from the first open to the last end, 30 take 30
    short, long = (play(flat(*range(100, 100 + n)), signals_at(n, entry=[0])) for n in (29, 30))
    annual = ("cagr", "annual_volatility", "sharpe", "sortino", "calmar", "alpha")
    remark = "The candles span 29 days; annual figures take 30 and are left out."
    assert [short.metrics[name] for name in annual] == [None] * 6
    assert remark in short.diagnostics
    assert long.metrics["cagr"] is not None
    assert long.metrics["sharpe"] is not None
    assert not any("annual figures" in one for one in long.diagnostics)


def test_too_few_trades() -> None:
    remarks = play(flat(*[100] * 29, 90), signals_at(30, entry=[0], exit=[1])).diagnostics
    assert remarks == ["1 trade is too few to distinguish skill from luck; look for 30 or more."]


def test_thirty_trades_are_enough() -> None:
    closes = [100, 99] * 31
    remarks = play(flat(*closes), signals_at(62, entry=range(0, 60, 2), exit=range(1, 61, 2))).diagnostics
    assert remarks == []


def test_the_whole_profit_from_one_trade() -> None:
    remarks = play(flat(100, 100, 90, 90, 200), signals_at(5, entry=[0, 2], exit=[1, 3])).diagnostics
    assert "The whole profit comes from one trade; without it there is none." in remarks


def test_an_open_position_at_the_end() -> None:
    remarks = play(flat(100, 100), signals_at(2, entry=[0])).diagnostics
    assert "X ends in an open position, marked to the last close (1 time)." in remarks


def test_a_liquidation() -> None:
    remarks = play(flat(100, 100, 300), signals_at(3, short_entry=[0]), direction="short").diagnostics
    assert "X was liquidated (1 time)." in remarks


def test_fills_on_bars_without_volume() -> None:
    candles = candles_of(flat(100, 100, 100, 100), volume=[5, 0, 0, 5])
    remarks = play(candles, signals_at(4, entry=[0], exit=[1])).diagnostics
    assert "X has fills on bars without volume (2 times)." in remarks


def test_fills_at_the_signals_own_close() -> None:
    remarks = play(flat(100, 100), signals_at(2), fill="close").diagnostics
    assert "Orders fill at the close of the bar whose signals they follow, which is optimistic." in remarks


@pytest.mark.parametrize(
    ("entry", "remarked"),
    [(2, True), (7, False)],
)
def test_gaps_during_a_position_in_a_market_that_never_closes(entry: int, remarked: bool) -> None:
    candles = without(candles_of(flat(*[100] * 30)), 6)
    remarks = play(candles, signals_at(29, entry=[entry], exit=[entry + 5])).diagnostics
    assert ("X has gaps in the candles during a position (1 time)." in remarks) is remarked


def test_a_long_weekend_is_no_gap() -> None:
    # 2024-01-01 is a Monday: bars 5, 6, 12, 13, … are weekends; bar 7 is a holiday on a Monday
    candles = candles_of(flat(*[100] * 30))
    weekends = [bar for bar in range(30) if bar % 7 >= 5]
    open_days = without(candles, *weekends, 7)
    remarks = play(open_days, signals_at(len(open_days), entry=[0])).diagnostics
    assert not any("gaps" in remark for remark in remarks)
    week_off = without(candles, *weekends, *range(7, 12))
    remarks = play(week_off, signals_at(len(week_off), entry=[0])).diagnostics
    assert "X has gaps in the candles during a position (1 time)." in remarks
