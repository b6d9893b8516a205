"""Candles of several symbols on one axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.engine.panel_building import VALUE_COLUMNS, panel_of, seen_panel
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.market_days import market_days
from backtest_pipeline.model.timeframe import Timeframe

nan = np.nan
HOUR = np.timedelta64(1, "h")


def candles_at(symbol: str, opens: list[str], timeframe: Timeframe = "1d", first: float = 1.0) -> Candles:
    """Bars at these moments, whose closes count up."""
    close = first + np.arange(len(opens), dtype=np.float64)
    columns: dict[str, Any] = {
        "timestamp": np.array(opens, dtype="datetime64[us]"),
        "open": close,
        "high": close + 0.5,
        "low": close - 0.5,
        "close": close,
        "volume": 10 * close,
    }
    return Candles.from_arrays(symbol, timeframe, columns)


def test_a_panel_has_a_row_a_day_and_nan_where_a_symbol_has_no_bar() -> None:
    panel = panel_of(
        [
            candles_at("A", ["2024-01-02", "2024-01-03", "2024-01-05"]),
            candles_at("B", ["2024-01-03", "2024-01-04"], first=7),
        ]
    )
    assert panel.symbols == ("A", "B")
    assert panel.timestamp.astype("datetime64[D]").astype(str).tolist() == [
        "2024-01-02",
        "2024-01-03",
        "2024-01-04",
        "2024-01-05",
    ]
    assert np.array_equal(panel.close, np.array([[1, nan], [2, 7], [nan, 8], [3, nan]]), equal_nan=True)
    assert np.array_equal(panel.volume, 10 * panel.close, equal_nan=True)
    assert np.array_equal(panel.high - panel.low, 1 + 0 * panel.close, equal_nan=True)


def test_markets_that_open_at_other_hours_share_a_days_row_and_the_latest_open_is_its_time() -> None:
    seoul = candles_at("KR", [f"2024-01-{day:02d}T15:00" for day in (7, 8, 9, 10)])  # 8 to 11 January there
    new_york = candles_at("US", [f"2024-01-{day:02d}T05:00" for day in (8, 9, 10, 11)])
    panel = panel_of([seoul, new_york])
    assert panel.day.astype(str).tolist() == ["2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11"]
    assert np.array_equal(panel.timestamp, new_york.timestamp)
    assert not np.isnan(panel.close).any()


def test_a_week_is_named_by_its_monday_and_a_short_bar_by_its_day_in_utc() -> None:
    weekly = panel_of([candles_at("A", ["2024-01-01", "2024-01-08"], "1w")])
    assert weekly.day.astype(str).tolist() == ["2024-01-01", "2024-01-08"]
    both = panel_of([candles_at(name, ["2024-01-07T00:00", "2024-01-14T00:00"], "1w") for name in "AB"])
    assert both.day.astype(str).tolist() == ["2024-01-08", "2024-01-15"]  # weeks that open on Sunday
    hourly = panel_of([candles_at(name, ["2024-01-01T23:00", "2024-01-02T00:00"], "1h") for name in "AB"])
    assert hourly.day.astype(str).tolist() == ["2024-01-01", "2024-01-02"]


@pytest.mark.parametrize("count", [1, 2])
def test_nobody_can_write_to_a_panel(count: int) -> None:
    own = [candles_at(name, ["2024-01-02", "2024-01-03"]) for name in "AB"[:count]]
    panel = panel_of(own)
    for name in ("timestamp", "day", *VALUE_COLUMNS):
        with pytest.raises(ValueError, match="read-only"):
            getattr(panel, name)[0] = 0
    assert own[0].timestamp.flags.writeable
    assert own[0].close.flags.writeable


def test_each_bar_stands_in_the_row_that_is_said() -> None:
    rng = np.random.default_rng(3)
    moments = np.datetime64("2024-01-01", "us") + np.arange(300) * HOUR
    every = [
        candles_at(name, np.sort(rng.choice(moments, size, replace=False)).astype(str).tolist(), "1h")
        for name, size in (("A", 30), ("B", 200), ("C", 300))
    ]
    placed = seen_panel([SeenCandles(own) for own in every])
    by_pandas = pd.DataFrame({own.symbol: pd.Series(own.close, own.timestamp) for own in every})
    assert np.array_equal(placed.panel.close, by_pandas.to_numpy(), equal_nan=True)
    for column, (own, rows) in enumerate(zip(every, placed.rows, strict=True)):
        assert np.array_equal(placed.panel.close[rows, column], own.close)
        assert np.array_equal(placed.panel.timestamp[rows], own.timestamp)


def test_bars_years_apart_make_no_large_table() -> None:
    panel = panel_of(
        [candles_at("A", ["1980-01-01T00:00"], "1m"), candles_at("B", ["2024-01-01T00:00"], "1m")]
    )
    assert np.array_equal(panel.close, [[1, np.nan], [np.nan, 1]], equal_nan=True)


def test_the_account_begins_at_the_first_row_in_which_any_symbol_is_traded() -> None:
    a = candles_at("A", ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"])
    b = candles_at("B", ["2024-01-01", "2024-01-02", "2024-01-05"])
    placed = seen_panel([SeenCandles(a, 2), SeenCandles(b, 2)])
    assert placed.panel.day.astype(str).tolist()[placed.warmup_rows] == "2024-01-04"
    assert placed.warmup_rows == 3  # 1, 2 and 3 January
    assert [rows.tolist() for rows in placed.rows] == [[1, 2, 3, 4], [0, 1, 4]]


@pytest.mark.parametrize("first", [f"2024-01-0{day}" for day in range(1, 8)])
def test_a_coins_days_that_begin_in_seoul_stay_whatever_bar_comes_last(first: str) -> None:
    """Their opens at 15:00 UTC are of the day that begins, of two weeks of bars as of two months."""
    opens = np.datetime64(f"{first}T15:00", "s").astype(np.int64) + np.arange(60) * 86_400
    expected = np.datetime64(first, "D").astype(np.int64) + 1 + np.arange(60)
    for bars in range(10, 61):
        assert np.array_equal(market_days(opens[:bars]), expected[:bars])
