"""Figures over a stretch of bars that moves along."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backtest_pipeline.reports.rolling_statistics import (
    bar_returns,
    rolling_beta,
    rolling_return,
    rolling_sharpe,
    rolling_volatility,
    window_bars,
)
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk


def test_the_window_of_the_whole_account_has_the_metrics_of_the_account() -> None:
    result = backtest({"AAPL": candles_of(walk(90))})
    returns = bar_returns(result.equity["equity"].to_numpy(dtype=np.float64), 10_000)
    metrics = {name: value or 0.0 for name, value in result.metrics.items()}
    periods = metrics["periods_per_year"]
    assert rolling_sharpe(returns, 90, periods).tolist() == [pytest.approx(metrics["sharpe"])]
    assert rolling_volatility(returns, 90, periods).tolist() == [pytest.approx(metrics["annual_volatility"])]
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    assert rolling_return(equity, 10_000, 90).tolist() == [pytest.approx(metrics["total_return"])]


def test_each_window_has_the_figures_of_its_own_returns() -> None:
    equity, held = walk(60, seed=3), walk(60, seed=4)
    returns, other = bar_returns(equity, 100.0), bar_returns(held, 100.0)
    sharpe, beta = rolling_sharpe(returns, 20, 252), rolling_beta(returns, other, 20)
    whole = rolling_return(equity, 100.0, 20)
    assert len(sharpe) == len(beta) == len(whole) == 60 - 20 + 1
    for end in (20, 37, 60):
        own, benchmark = returns[end - 20 : end], other[end - 20 : end]
        assert sharpe[end - 20] == pytest.approx(own.mean() / own.std(ddof=1) * math.sqrt(252))
        covariance = np.cov(own, benchmark)
        assert beta[end - 20] == pytest.approx(covariance[0, 1] / covariance[1, 1])
        assert whole[end - 20] == pytest.approx(np.prod(1 + own) - 1)


def test_the_beta_of_an_account_that_holds_twice_the_benchmark_is_two() -> None:
    held = bar_returns(walk(40, seed=7), 100.0)
    assert rolling_beta(2 * held, held, 20) == pytest.approx(np.full(21, 2.0))


def test_a_window_in_which_nothing_moves_has_ratio_0_even_after_wild_ones() -> None:
    equity = np.append(walk(50, step=0.2), np.full(30, 77.0))
    returns = bar_returns(equity, 100.0)
    assert rolling_sharpe(returns, 20, 252)[-10:].tolist() == [0.0] * 10
    assert rolling_beta(returns, returns, 20)[-10:].tolist() == [0.0] * 10
    assert rolling_sharpe(np.zeros(19), 20, 252).tolist() == []
    assert rolling_return(np.ones(19), 1.0, 20).tolist() == []


@pytest.mark.parametrize(
    ("periods", "bars", "window"),
    [(252.0, 5_000, 126), (365.0, 5_000, 182), (252.0, 200, 50), (252.0, 30, 20), (52.0, 5_000, 26)],
)
def test_a_window_is_half_a_year_or_a_quarter_of_the_bars_and_at_least_20(
    periods: float, bars: int, window: int
) -> None:
    assert window_bars(periods, bars) == window
