"""Numbers that only pages show."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from backtest_pipeline.reports.report_statistics import (
    compounded,
    correlation,
    days_of,
    monthly_returns,
    return_histogram,
)
from backtest_pipeline_tests.reports.made import backtest, candles_of, moments, walk


def test_a_month_is_measured_from_the_end_of_the_one_before() -> None:
    days = np.array(["2023-12-30", "2023-12-31", "2024-01-15", "2024-03-01"], dtype="datetime64[us]")
    returns = monthly_returns(days, np.array([90.0, 110.0, 121.0, 60.5]), 100.0)
    assert returns[2023] == {12: pytest.approx(110 / 100 - 1)}
    assert returns[2024] == {1: pytest.approx(121 / 110 - 1), 3: pytest.approx(60.5 / 121 - 1)}


def test_months_compound_to_the_whole_return_whatever_the_bars() -> None:
    result = backtest({"AAPL": candles_of(walk(400))})
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    months = monthly_returns(moments(400), equity, 10_000)
    whole = compounded([value for year in months.values() for value in year.values()])
    assert whole == pytest.approx(result.metrics["total_return"])


def test_a_session_of_seoul_belongs_to_its_own_month_though_it_opens_in_another_in_utc() -> None:
    midnights = ["2024-01-30T15:00", "2024-01-31T15:00", "2024-02-28T15:00", "2024-03-03T15:00"]
    opens = np.array(midnights, dtype="datetime64[us]")  # of 31 January, 1 and 29 February, 4 March in Seoul
    returns = monthly_returns(days_of(opens, "1d"), np.array([110.0, 121.0, 99.0, 198.0]), 100.0)
    assert returns == {2024: {1: pytest.approx(0.1), 2: pytest.approx(99 / 110 - 1), 3: pytest.approx(1.0)}}


def test_the_day_of_an_hourly_bar_is_the_one_in_utc() -> None:
    opens = np.array(["2024-01-31T23:00", "2024-02-01T00:00"], dtype="datetime64[us]")
    assert days_of(opens, "1h").tolist() == [date(2024, 1, 31), date(2024, 2, 1)]


def test_an_empty_account_has_no_further_months() -> None:
    days = np.array(["2024-01-31", "2024-02-28", "2024-03-31"], dtype="datetime64[us]")
    assert monthly_returns(days, np.array([50.0, 0.0, 0.0]), 100.0) == {2024: {1: -0.5, 2: -1.0}}


@given(
    returns=npst.arrays(
        np.float64, st.integers(1, 200), elements=st.floats(-1, 50, allow_nan=False, width=32)
    )
)
@example(returns=np.array([0.0, -1.0]))
def test_a_histogram_counts_every_trade_once_and_parts_gains_from_losses(
    returns: NDArray[np.float64],
) -> None:
    counts, edges = return_histogram(returns)
    assert counts.sum() == len(returns)
    assert len(edges) == len(counts) + 1 <= 45
    assert 0.0 in edges.tolist()
    losses = counts[edges[:-1] < 0.0].sum()
    assert losses == np.count_nonzero(returns < 0.0)


def test_one_outlier_leaves_the_other_trades_their_bins() -> None:
    usual = np.linspace(-0.05, 0.05, 100)
    counts, edges = return_histogram(np.append(usual, 30.0))  # one trade gained 3,000 %
    plain, _ = return_histogram(usual)
    assert np.count_nonzero(counts) >= np.count_nonzero(plain) / 2
    assert edges[-1] == pytest.approx(0.13)  # twice the middle half, 0.05 wide, beyond 0.025, by bins of 0.01
    assert counts[-1] == 1  # in the outermost bin
    assert counts.sum() == 101


def test_correlation_is_of_daily_returns_over_days_in_common() -> None:
    up = walk(30, seed=1)
    candles = {
        "ONE": candles_of(up, "ONE"),
        "SAME": candles_of(3 * up[5:], "SAME", start="2020-01-06"),
        "STILL": candles_of(np.full(30, 7.0), "STILL"),
    }
    found = correlation(candles, ["ONE", "SAME", "STILL"])
    assert found[0, 1] == pytest.approx(1.0)
    assert math.isnan(found[0, 2])


def test_intraday_candles_correlate_by_their_last_close_of_the_day() -> None:
    hours = walk(24 * 6, seed=4)
    candles = {"ONE": candles_of(hours, "ONE", "1h"), "TWO": candles_of(walk(24 * 6, seed=5), "TWO", "1h")}
    daily = [own.close[23::24] for own in candles.values()]
    wanted = np.corrcoef([np.diff(closes) / closes[:-1] for closes in daily])
    assert correlation(candles, ["ONE", "TWO"]) == pytest.approx(wanted)
