"""Statistics that only reports show, against worked arithmetic and the formulas of other libraries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.reports.drawdown_list import deepest_drawdowns
from backtest_pipeline.reports.report_statistics import days_of
from backtest_pipeline.reports.tear_sheet import (
    expected_shortfall,
    longest_streaks,
    omega_ratio,
    payoff_ratio,
    period_returns,
    tear_sheet,
    ulcer_index,
)
from backtest_pipeline_tests.reports.made import backtest, candles_of, moments, walk


def test_expected_shortfall_is_the_mean_of_the_worst_twentieth() -> None:
    # 41 returns: floor(40 * 0.05) + 1 = 3 of them count, -9 %, -6 % and -3 %: 6 % on average
    returns = np.array([-0.06, 0.01, -0.09, -0.03] + [0.02] * 37)
    assert expected_shortfall(returns) == pytest.approx(0.06)
    assert expected_shortfall(np.array([-0.5])) == 0.5
    assert expected_shortfall(np.empty(0)) is None


def test_expected_shortfall_is_that_of_empyrical() -> None:
    returns = np.random.default_rng(5).normal(0, 0.02, 777)
    cutoff = int((len(returns) - 1) * 0.05)  # empyrical.conditional_value_at_risk
    theirs = np.mean(np.partition(returns, cutoff)[: cutoff + 1])
    assert expected_shortfall(returns) == pytest.approx(-theirs)


def test_omega_is_gains_over_losses() -> None:
    assert omega_ratio(np.array([0.03, -0.01, 0.02, 0.0, -0.015])) == pytest.approx(0.05 / 0.025)
    assert omega_ratio(np.array([0.03, 0.0])) is None
    returns = np.random.default_rng(6).normal(0.001, 0.02, 500)
    # empyrical.omega_ratio by another route: 1 + mean / mean of the losses
    assert omega_ratio(returns) == pytest.approx(1 + returns.mean() / np.maximum(-returns, 0).mean())


def test_the_ulcer_index_is_the_root_of_the_mean_square() -> None:
    # 100, 90, 80, 100: depths 0, 10 %, 20 %, 0; (0.01 + 0.04) / 4 = 0.0125
    assert ulcer_index(np.array([0.0, 0.1, 0.2, 0.0])) == pytest.approx(0.0125**0.5)


def _trades(*returns: float) -> pd.DataFrame:
    exits = pd.date_range("2020-01-01", periods=len(returns), tz="UTC")
    return pd.DataFrame({"return_frac": returns, "pnl": [100 * one for one in returns], "exit_time": exits})


def test_payoff_is_the_mean_win_over_the_mean_loss() -> None:
    assert payoff_ratio(_trades(0.10, 0.20, -0.05, 0.0)) == pytest.approx(0.15 / 0.05)
    assert payoff_ratio(_trades(0.10)) is None
    assert payoff_ratio(_trades()) is None


def test_streaks_go_by_the_exits_and_a_trade_that_gained_nothing_ends_both() -> None:
    trades = _trades(1, 1, -1, 1, 1, 1, 0, -1, -1, 0, -1)
    assert longest_streaks(trades) == (3, 2)
    assert longest_streaks(trades.iloc[::-1]) == (3, 2)  # whatever the order of the rows
    assert longest_streaks(_trades()) == (0, 0)


def test_a_period_is_measured_from_the_end_of_the_one_before() -> None:
    days = np.array(["2023-12-30", "2023-12-31", "2024-01-15", "2024-03-01"], dtype="datetime64[D]")
    years = period_returns(days.astype("datetime64[Y]"), np.array([90.0, 110.0, 121.0, 60.5]), 100.0)
    assert {str(year): value for year, value in years.items()} == {
        "2023": pytest.approx(0.1),
        "2024": pytest.approx(60.5 / 110 - 1),
    }


def test_best_and_worst_are_named_with_their_time() -> None:
    result = backtest({"AAPL": candles_of(walk(400))})
    days = days_of(moments(400), "1d")
    shown = {one.title: one.text for one in tear_sheet(result, days)}
    equity = pd.Series(np.append(10_000, result.equity["equity"]))
    steps = equity.pct_change().to_numpy()[1:]
    at = int(np.argmax(steps))
    assert shown["Best day"] == f"{steps[at]:.2%} ({days[at]})"
    first = result.equity["equity"][365] / 10_000 - 1  # 2020 has 366 days
    second = result.equity["equity"][399] / result.equity["equity"][365] - 1
    best = max((first, "2020"), (second, "2021"))
    assert shown["Best year"] == f"{best[0]:.2%} ({best[1]})"


def test_a_drawdown_goes_from_its_peak_to_its_recovery() -> None:
    #                   peak        trough      recovery       trough, not recovered
    equity = np.array([100.0, 120.0, 90.0, 110.0, 120.0, 130.0, 117.0, 120.0])
    deep, last = deepest_drawdowns(moments(8), equity, 100.0)
    assert deep.depth_frac == pytest.approx(30 / 120)
    assert [str(at)[:10] for at in (deep.peak, deep.trough, deep.recovery)] == [
        "2020-01-02",
        "2020-01-03",
        "2020-01-05",
    ]
    assert deep.days == 3
    assert last.depth_frac == pytest.approx(13 / 130)
    assert last.recovery is None
    assert last.days == 2


def test_a_loss_from_the_first_bar_on_is_a_drawdown_of_the_initial_cash() -> None:
    [only] = deepest_drawdowns(moments(3), np.array([95.0, 80.0, 90.0]), 100.0)
    assert only.depth_frac == pytest.approx(0.2)
    assert only.days == 2
    assert deepest_drawdowns(moments(2), np.array([100.0, 100.0]), 100.0) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_deepest_drawdowns_agree_with_the_metrics(seed: int) -> None:
    result = backtest({"AAPL": candles_of(walk(500, seed))})
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    every = deepest_drawdowns(moments(500), equity, 10_000, most=10_000)
    assert every[0].depth_frac == pytest.approx(result.metrics["max_drawdown"])
    assert max(one.days for one in every) == pytest.approx(result.metrics["max_drawdown_days"])
    assert np.mean([one.depth_frac for one in every]) == pytest.approx(result.metrics["avg_drawdown"])
    assert [one.depth_frac for one in every] == sorted((one.depth_frac for one in every), reverse=True)
