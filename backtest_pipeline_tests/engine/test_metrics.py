"""Metrics against worked arithmetic and against empyrical-reloaded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import empyrical
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backtest_pipeline.engine.accounts import Curve
from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES
from backtest_pipeline.engine.metrics.curve_metrics import curve_metrics
from backtest_pipeline.engine.metrics.list_kernels import pairwise_sum
from backtest_pipeline.engine.metrics.tail_kernel import value_at_risk
from backtest_pipeline_tests.engine.scripted import flat, play, signals_at

DAY = np.timedelta64(86_400_000_000, "us")


def curve_of(
    equity: Sequence[float] | NDArray[np.float64],
    benchmark: Sequence[float] | None = None,
    *,
    days: float = 365.25,
) -> Curve:
    """An account over a year of elapsed time, unless told otherwise, however few values it has."""
    values = np.asarray(equity, dtype=np.float64)
    yardstick = values if benchmark is None else np.asarray(benchmark, dtype=np.float64)
    timestamp = np.datetime64("2024-01-01", "us") + np.arange(len(values)) * DAY
    unused = np.zeros((2, len(values)))
    return Curve(
        timestamp,
        values,
        values,
        unused[0],
        unused[1],
        yardstick,
        1_000.0,
        1_000.0,
        timestamp.view(np.int64),
        round(days * 86_400_000_000),
    )


def test_every_metric_of_the_contract_is_there_and_nothing_else() -> None:
    result = play(flat(100, 110, 121), signals_at(3, entry=[0]))
    assert tuple(result.metrics) == METRIC_NAMES
    assert result.by_symbol == {"X": result.metrics}


def test_growth() -> None:
    metrics, _, _ = curve_metrics(curve_of([1_000, 1_100, 1_210], days=2 * 365.25), 252)
    assert metrics["total_return"] == pytest.approx(0.21)
    assert metrics["cagr"] == pytest.approx(1.21 ** (1 / 2) - 1)  # two years, whatever the number of bars
    assert metrics["final_equity"] == 1_210
    assert metrics["peak_equity"] == 1_210


def test_risk_from_the_returns_of_every_bar_the_first_against_the_initial_cash() -> None:
    metrics, _, _ = curve_metrics(curve_of([1_100, 990, 990]), 252)
    returns = [0.1, -0.1, 0.0]  # mean 0
    deviation = math.sqrt((0.1**2 + 0.1**2) / 2)
    assert metrics["annual_volatility"] == pytest.approx(deviation * math.sqrt(252))
    assert metrics["sharpe"] == pytest.approx(sum(returns) / 3 / deviation * math.sqrt(252), abs=1e-12)


def test_sortino_counts_the_downside_over_all_bars() -> None:
    metrics, _, _ = curve_metrics(curve_of([1_200, 1_080, 1_080]), 252)
    mean, downside = (0.2 - 0.1 + 0.0) / 3, math.sqrt((0.1**2) / 3)
    assert metrics["sortino"] == pytest.approx(mean / downside * math.sqrt(252))


def test_drawdown_is_seen_from_the_very_first_bar() -> None:
    metrics, _, drawdown = curve_metrics(curve_of([900, 1_000, 1_200, 600, 900]), 252)
    assert drawdown.tolist() == pytest.approx([0.1, 0, 0, 0.5, 0.25])
    assert metrics["max_drawdown"] == pytest.approx(0.5)
    assert metrics["avg_drawdown"] == pytest.approx((0.1 + 0.5) / 2)
    # from the peak on day 2 to the last bar on day 4; the first episode recovered after one day
    assert metrics["max_drawdown_days"] == 2
    assert metrics["calmar"] == pytest.approx(metrics["cagr"] / 0.5)  # type: ignore[operator]  # a number


def test_longest_drawdown_ends_with_its_recovery() -> None:
    metrics, _, _ = curve_metrics(curve_of([1_000, 900, 950, 1_000, 1_100, 1_050]), 252)
    assert metrics["max_drawdown_days"] == 3


def test_alpha_and_beta_against_holding_the_same_account() -> None:
    benchmark = [1_000, 1_100, 990, 1_089]  # 0, 10 %, -10 %, 10 %
    half = [1_000, 1_050, 997.5, 1_047.375]  # half of each
    metrics, _, _ = curve_metrics(curve_of(half, benchmark), 252)
    assert metrics["beta"] == pytest.approx(0.5)
    assert metrics["alpha"] == pytest.approx(0, abs=1e-12)
    assert metrics["buy_hold_return"] == pytest.approx(0.089)


def test_value_at_risk_is_the_loss_that_one_bar_in_twenty_exceeds() -> None:
    returns = np.arange(-10, 11) / 100  # the second lowest of 21 is the 5 % quantile
    assert value_at_risk(returns, np.empty_like(returns)) == pytest.approx(0.09)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(1, 300) | st.integers(65_000, 80_000),
    levels=st.sampled_from([3, 50, 0]),
)
def test_value_at_risk_of_any_number_of_bars_takes_no_shortcut(seed: int, bars: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, bars) if levels == 0 else rng.integers(-levels, levels, bars) / 1_000
    returns[: bars // 2] *= rng.choice([0.0, 1.0, 50.0])
    assert value_at_risk(returns, np.empty_like(returns)) == pytest.approx(
        -np.quantile(returns, 0.05), rel=1e-12, abs=1e-15
    )


def test_value_at_risk_is_no_number_where_the_tail_is_none() -> None:
    returns = np.array([np.nan, 0.1, np.inf])  # sorted: 0.1, inf, none; the 5 % quantile lies between two
    assert not math.isfinite(value_at_risk(returns, np.empty(3)))
    assert value_at_risk(np.array([np.nan, *[-0.1] * 40]), np.empty(41)) == pytest.approx(0.1)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40) | st.integers(41, 2_000))
def test_lists_are_added_up_as_numpy_does_to_the_last_digit(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(0, 1, count) * 10.0 ** (seed % 9)
    assert pairwise_sum(values) == values.sum()


def test_trade_metrics() -> None:
    # 100 -> 110, 100 -> 95, 100 -> 120: gains of 100 and losses of 55 (of 1 100), then 209 (of 1 045)
    rows = flat(100, 100, 110, 100, 95, 100, 120)
    result = play(rows, signals_at(7, entry=[0, 2, 4], exit=[1, 3, 5]))
    pnl = [100, -55, 209]
    mean = sum(pnl) / 3
    deviation = math.sqrt(sum((gain - mean) ** 2 for gain in pnl) / 2)
    metrics = result.metrics
    assert metrics["trades"] == 3
    assert metrics["win_rate"] == pytest.approx(2 / 3)
    assert metrics["avg_trade_return"] == pytest.approx((0.1 - 0.05 + 0.2) / 3)
    assert metrics["best_trade_return"] == pytest.approx(0.2)
    assert metrics["worst_trade_return"] == pytest.approx(-0.05)
    assert metrics["profit_factor"] == pytest.approx(309 / 55)
    assert metrics["expectancy"] == pytest.approx(mean)
    assert metrics["sqn"] == pytest.approx(math.sqrt(3) * mean / deviation)
    assert metrics["kelly"] == pytest.approx(2 / 3 - (1 / 3) / ((309 / 2) / 55))
    assert metrics["avg_bars_held"] == 1
    assert metrics["fees_paid"] == 0
    assert metrics["exposure"] == pytest.approx(3 / 7)  # held at the closes of bars 1, 3 and 5


def test_fees_paid_are_those_of_all_orders() -> None:
    result = play(flat(100, 100, 100), signals_at(3, entry=[0], exit=[1]), fee_fixed=10)
    assert result.metrics["fees_paid"] == 20


def test_without_a_trade_what_needs_one_is_undefined() -> None:
    metrics = play(flat(100, 110, 90), signals_at(3)).metrics
    undefined = {name for name, value in metrics.items() if value is None}
    assert undefined == {
        *("cagr", "annual_volatility", "alpha"),  # three days tell nothing of a year
        *("sharpe", "sortino", "calmar", "skew", "kurtosis"),
        *("win_rate", "avg_trade_return", "best_trade_return", "worst_trade_return", "profit_factor"),
        *("expectancy", "sqn", "kelly", "avg_bars_held"),
        *("signal_win_rate", "signal_avg_return", "signal_max_drawdown"),
    }
    assert metrics["total_return"] == metrics["max_drawdown"] == 0
    assert metrics["buy_hold_return"] == pytest.approx(-0.1)
    assert metrics["beta"] == 0


def test_one_bar_has_metrics_too() -> None:
    metrics = play(flat(100), signals_at(1, entry=[0])).metrics
    assert metrics["total_return"] == 0
    assert metrics["annual_volatility"] is None


def test_a_ruined_account_has_finite_metrics() -> None:
    result = play(flat(100, 100, 500, 100), signals_at(4, short_entry=[0]), direction="short")
    metrics = result.metrics
    assert metrics["final_equity"] == 0
    assert metrics["total_return"] == -1
    assert metrics["cagr"] is None  # of four days
    assert metrics["max_drawdown"] == 1
    assert all(value is None or math.isfinite(value) for value in metrics.values())


def test_growth_beyond_floating_point_is_undefined_rather_than_infinite() -> None:
    metrics, _, _ = curve_metrics(curve_of([1_000, 1e30], days=30), 525_600)
    assert metrics["cagr"] is None


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # that is the point
def test_prices_beyond_all_bounds_leave_metrics_undefined_rather_than_infinite() -> None:
    """1e300 over 1e-300 is more than a float holds, and JSON has no infinity."""
    metrics = play(flat(1e-300, 1e-300, 1e300, 1e300), signals_at(4, entry=[0])).metrics
    assert metrics["buy_hold_return"] is None
    assert all(value is None or math.isfinite(value) for value in metrics.values())


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bars=st.integers(50, 5_000), periods=st.sampled_from([52, 252, 365]))
def test_metrics_agree_with_empyrical(seed: int, bars: int, periods: int) -> None:
    rng = np.random.default_rng(seed)
    returns, factor = rng.normal(0.0005, 0.02, (2, bars))
    factor += 0.5 * returns
    # empyrical counts years in bars: as much time as bars of that many a year take
    days = 365.25 * bars / periods
    curve = curve_of(1_000 * np.cumprod(1 + returns), list(1_000 * np.cumprod(1 + factor)), days=days)
    ours, _, _ = curve_metrics(curve, periods)

    theirs = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns, annualization=periods),
        "annual_volatility": empyrical.annual_volatility(returns, annualization=periods),
        "sharpe": empyrical.sharpe_ratio(returns, annualization=periods),
        "sortino": empyrical.sortino_ratio(returns, annualization=periods),
        "calmar": empyrical.calmar_ratio(returns, annualization=periods),
        "max_drawdown": -empyrical.max_drawdown(returns),
        "value_at_risk_95": -empyrical.value_at_risk(returns, 0.05),
        "alpha": empyrical.alpha(returns, factor, annualization=periods),
        "beta": empyrical.beta(returns, factor),
    }
    # `curve_of` rounds each bar of the equity, which puts an error of 1e-16 on each return.
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-10, abs=1e-10), name


def test_skew_and_kurtosis_are_those_of_the_population() -> None:
    metrics, _, _ = curve_metrics(curve_of([1_000, 1_000, 1_000, 1_100]), 252)
    deviations = [-0.025, -0.025, -0.025, 0.075]
    second, third, fourth = (sum(d**power for d in deviations) / 4 for power in (2, 3, 4))
    assert metrics["skew"] == pytest.approx(third / second**1.5)
    assert metrics["kurtosis"] == pytest.approx(fourth / second**2 - 3)
