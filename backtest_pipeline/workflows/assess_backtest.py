"""Statistics of one backtest that tell luck from skill."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.luck_verdict import concluded
from backtest_pipeline.model.robustness import (
    Bands,
    BootstrapRecord,
    Interval,
    Robustness,
    TradeShuffleRecord,
)
from backtest_pipeline.model.timeframe import BAR_SECONDS
from backtest_pipeline.reports.rolling_statistics import bar_returns
from backtest_pipeline.research.bootstrap import Bootstrap, bootstrap
from backtest_pipeline.research.sharpe_confidence import (
    SharpeMoments,
    deflated_sharpe,
    expected_best_sharpe,
    minimum_track_record_bars,
    probabilistic_sharpe,
)
from backtest_pipeline.research.trade_shuffle import trade_shuffle
from backtest_pipeline.results.earlier_trials import EarlierTrials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult

    Floats = NDArray[np.float64]

SAMPLES = 1_000
NOTHING_ELSE = EarlierTrials(trials=1, tasks=1, since=None, sharpe_variance=None)
"""What is known where there is no ledger: the backtest itself."""
_DIGITS = 6
_YEAR_S = 365.25 * 86_400


def assessed_backtest(result: BacktestResult, known: EarlierTrials | None = None) -> Robustness:
    """Compute the statistics of a backtest; the same result and ledger yield the same.

    Args:
        result: of the backtest.
        known: what the ledger knows of its strategy on its candles, itself included; `None`: nothing, as
            where there is no ledger.
    """
    return concluded(deflated(result, known), result.request.symbols, result.checks)


def deflated(result: BacktestResult, known: EarlierTrials | None) -> Robustness:
    """The statistics of an account, deflated by what was tried before it; arguments as above."""
    known = known if known and known.trials else NOTHING_ELSE
    moments, variance = moments_of(result), known.sharpe_variance or 0.0
    probability = deflated_sharpe(moments, variance, known.trials) if moments else None
    return statistics_of(result).model_copy(
        update={
            "trials": known.trials,
            "trials_since": known.since,
            "sharpe_variance": known.sharpe_variance,
            "expected_best_sharpe": expected_best_sharpe(variance, known.trials) if moments else None,
            "deflated_sharpe": probability,
            "deflated_sharpe_of_all": probability,
        }
    )


def statistics_of(result: BacktestResult) -> Robustness:
    """The statistics that need the account alone, as if nothing else had been tried."""
    request, returns, moments = result.request, returns_of(result), moments_of(result)
    generator = np.random.default_rng(request.seed)
    sampled = bootstrap(returns, SAMPLES, generator)
    closed = result.trades.sort_values("exit_time", kind="stable")
    profits = closed["pnl"].to_numpy(dtype=np.float64)
    shuffled = trade_shuffle(profits, request.initial_cash, SAMPLES, generator)
    return Robustness(
        bars=len(returns),
        periods_per_year=_periods(result),
        sharpe=moments.sharpe if moments else None,
        skewness=moments.skewness if moments else None,
        kurtosis=moments.kurtosis if moments else None,
        probabilistic_sharpe=probabilistic_sharpe(moments) if moments else None,
        minimum_track_record_bars=minimum_track_record_bars(moments) if moments else None,
        trials=1,
        trials_since=None,
        effective_trials=None,
        sharpe_variance=None,
        expected_best_sharpe=None,
        deflated_sharpe=None,
        deflated_sharpe_of_all=None,
        pbo=None,
        logits=None,
        reality_check=None,
        spa=None,
        bootstrap=_record(sampled, result) if sampled else None,
        trade_shuffle=TradeShuffleRecord(**asdict(shuffled)) if shuffled else None,
        neighbourhood=None,
        verdict="",
    )


def returns_of(result: BacktestResult) -> Floats:
    """Return of each bar of a result's account, the first against the initial cash."""
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    return bar_returns(equity, result.request.initial_cash)


def moments_of(result: BacktestResult) -> SharpeMoments | None:
    """Moments of a result's bar returns; `None` where they do not vary."""
    return SharpeMoments.of(returns_of(result))


def _periods(result: BacktestResult) -> float | None:
    return result.metrics.get("periods_per_year") or (
        result.calendars.account.periods_per_year if result.calendars else None
    )


def _record(sampled: Bootstrap, result: BacktestResult) -> BootstrapRecord:
    periods = _periods(result)
    cagr = None
    if sampled.growth is not None and result.metrics.get("cagr") is not None:
        moments = result.equity["timestamp"]
        elapsed = (moments.iloc[-1] - moments.iloc[0]).total_seconds() + BAR_SECONDS[result.request.timeframe]
        bars_a_year = len(moments) / (elapsed / _YEAR_S)
        low, high = (math.expm1(end * bars_a_year) for end in sampled.growth)
        cagr = Interval(low=low, high=high)
    sharpe = None
    if sampled.sharpe is not None and periods:
        low, high = (end * math.sqrt(periods) for end in sampled.sharpe)
        sharpe = Interval(low=low, high=high)
    low_band, median, high_band = ([float(f"{value:.{_DIGITS}g}") for value in row] for row in sampled.bands)
    return BootstrapRecord(
        samples=sampled.samples,
        block_bars=sampled.block_bars,
        coverage=sampled.coverage,
        sharpe=sharpe,
        cagr=cagr,
        max_drawdown=Interval(low=sampled.max_drawdown[0], high=sampled.max_drawdown[1]),
        bands=Bands(bars=sampled.band_bars.tolist(), low=low_band, median=median, high=high_band),
    )
