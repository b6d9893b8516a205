"""Every row of a sweep is what its own backtest yields: equal, not close."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backtest_pipeline import (
    BacktestRequest,
    FloatRange,
    IntRange,
    SweepRequest,
    SweepResult,
    run_backtest,
    run_sweep,
)
from backtest_pipeline.research.space import Space
from backtest_pipeline.research.trial_requests import trial_request
from backtest_pipeline.strategies.registry import signal_strategies
from backtest_pipeline_tests.research.made_candles import metrics_of, walk

pytestmark = pytest.mark.slow

SPACES: dict[str, dict[str, Any]] = {
    "atr_channel_breakout": {
        "params.window": IntRange(5, 40),
        "params.entry_atr": [0.5, 1.0],
        "params.stop_atr": [1, 3],
    },
    "bollinger_limit": {
        "params.window": IntRange(5, 40),
        "params.deviations": FloatRange(0.5, 2.5, step=0.1),
    },
    "bollinger_reversion": {
        "params.window": IntRange(5, 40),
        "params.deviations": FloatRange(0.5, 2.5, step=0.1),
    },
    "buy_and_hold": {"position_frac": FloatRange(0.1, 1, step=0.1)},
    "donchian_breakout": {"params.entry_window": IntRange(2, 60), "params.exit_window": IntRange(2, 30)},
    "ema_cross": {"params.fast": IntRange(2, 40), "params.slow": IntRange(3, 80)},
    "macd_cross": {"params.fast": IntRange(2, 15), "params.slow": IntRange(5, 40), "params.signal": [5, 9]},
    "momentum": {"params.window": IntRange(1, 60), "params.threshold": FloatRange(0, 0.05, step=0.005)},
    "rsi_reversion": {"params.window": IntRange(2, 30), "params.oversold": IntRange(10, 60)},
    "sma_cross": {"params.fast": IntRange(2, 40), "params.slow": IntRange(3, 80)},
    "volume_long_candle": {
        "params.vol_multiplier": FloatRange(1, 2, step=0.1),
        "params.body_pct": FloatRange(0.001, 0.02, step=0.001),
        "params.hold_period_bars": [1, 3, 10],
    },
    "volume_zone_breakout": {
        "params.volume_window": IntRange(10, 60),
        "params.top_percentile": [0.1, 0.3],
        "params.include_wicks": [True, False],
    },
}
BUILT_IN = sorted(
    name for name, own in signal_strategies().items() if own.__module__.startswith("backtest_pipeline.")
)
FIELDS: dict[str, list[Any]] = {
    "direction": ["long", "short", "both"],
    "fee_bps": [0, 10, 55.5],
    "fill": ["next_open", "close"],
    "initial_cash": [777.77, 1e6],
    "max_hold_bars": [None, 7],
    "quantity_step": [0, 0.5],
    "stop_loss_frac": [None, 0.03],
    "take_profit_frac": [None, 0.04],
    "trailing_stop_frac": [None, 0.05],
}


def assert_rows_are_backtests(candles: Any, result: SweepResult, seed: int, rows: int) -> int:
    """Runs some of a sweep's rows as backtests of their own; returns how many completed."""
    assert set(result.trials.state) <= {"completed", "invalid"}
    completed = 0
    for place in np.random.default_rng(seed).permutation(len(result.trials))[:rows]:
        row = result.trials.iloc[place]
        if row.state == "completed":
            completed += 1
            alone = run_backtest(candles, _request_of(result, place))
            assert metrics_of(row) == alone.metrics, row.trial
            if result.by_symbol is not None:
                own = result.by_symbol[result.by_symbol.trial == row.trial]
                assert list(own.symbol) == list(alone.by_symbol)
                assert [metrics_of(one) for _, one in own.iterrows()] == list(alone.by_symbol.values())
    return completed


def _request_of(result: SweepResult, place: int) -> BacktestRequest:
    """The backtest of a row of the table."""
    space = Space.of(result.request.space)
    points = space.points_of(pa.Table.from_pandas(result.trials.iloc[[place]], preserve_index=False))
    return trial_request(result.request, space.values(points, 0))


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("symbols", [1, 3])
def test_rows_of_every_built_in_strategy_are_backtests(name: str, symbols: int) -> None:
    candles = {f"S{i}": walk(f"S{i}", 420 - 35 * i, skip=0.1 * i) for i in range(symbols)}
    request = SweepRequest(
        backtest=BacktestRequest(strategy=name, symbols=list(candles), slippage_bps=3),
        space={**SPACES[name], **FIELDS},
        search="random",
        trials=300,
        seed=symbols,
    )
    result = run_sweep(candles, request)
    assert assert_rows_are_backtests(candles, result, seed=1, rows=30) >= 10


SHARED: dict[str, Any] = {
    "account": ["split", "shared"],
    "max_entries": [1, 2],
    "on_conflict": ["exit", "ignore"],
    "position_frac": [0.3, 1],
    "stop_loss_frac": [None, 0.03],
    "take_profit_steps": [[], [[0, 0.05], [5, 0.01]]],
    "borrow_apr": [0, 0.2],
    "direction": ["long", "both"],
    "fee_bps": [0, 10],
}


@pytest.mark.parametrize("name", ["sma_cross", "atr_channel_breakout", "bollinger_limit"])
def test_rows_of_shared_accounts_orders_and_levels_are_backtests(name: str) -> None:
    candles = {f"S{i}": walk(f"S{i}", 300 - 35 * i, skip=0.1 * i) for i in (2, 0, 1)}
    request = SweepRequest(
        backtest=BacktestRequest(strategy=name, symbols=list(candles), slippage_bps=3),
        space={**SPACES[name], **SHARED},
        search="random",
        trials=60,
    )
    assert assert_rows_are_backtests(candles, run_sweep(candles, request), seed=3, rows=20) >= 5


@pytest.mark.parametrize("name", ["equal_weight", "inverse_volatility", "momentum_rotation"])
def test_rows_of_portfolios_are_backtests(name: str) -> None:
    candles = {f"S{i}": walk(f"S{i}", 420 - 35 * i, skip=0.1 * i) for i in range(3)}
    backtest = BacktestRequest(strategy=name, symbols=list(candles), account="shared", start="2015-03-01")
    request = SweepRequest(
        backtest=backtest, space={"fee_bps": [0, 10], "fill": ["next_open", "close"], "quantity_step": [0, 1]}
    )
    assert assert_rows_are_backtests(candles, run_sweep(candles, request), seed=4, rows=8) == 8


@pytest.mark.parametrize("search", ["grid", "random", "sobol", "tpe"])
def test_rows_of_every_search_are_backtests(search: str) -> None:
    candles = {"A": walk("A", 500), "B": walk("B", 300, skip=0.2)}
    request = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["A", "B"]),
        space={
            "params.fast": IntRange(3, 30, step=3),
            "params.slow": [20, 40, 60],
            "symbols": [["A"], ["A", "B"], ["B", "A"]],
            "direction": ["long", "both"],
        },
        search=search,
        trials=None if search == "grid" else 120,
    )
    result = run_sweep(candles, request)
    assert len(result.trials) == (180 if search == "grid" else 120)
    assert assert_rows_are_backtests(candles, result, seed=2, rows=40) >= 20


def test_the_best_is_the_row_of_rank_one_run_alone() -> None:
    candles = {"A": walk("A", 400)}
    request = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["A"]),
        space={"params.fast": IntRange(2, 20), "params.slow": IntRange(21, 60, 3)},
        objective="max_drawdown",  # of which less is better
        where=["trades >= 3"],
    )
    result = run_sweep(candles, request)
    ranked = result.trials[result.trials["rank"].notna()].sort_values("rank")
    allowed = result.trials[result.trials.trades >= 3].sort_values(["objective", "trial"])
    assert list(ranked.trial) == list(allowed.trial)
    assert list(ranked["rank"]) == list(range(1, len(allowed) + 1))
    assert result.best is not None
    assert result.best.metrics == metrics_of(ranked.iloc[0])
    assert result.best.request.params == {
        "fast": ranked.iloc[0]["params.fast"],
        "slow": ranked.iloc[0]["params.slow"],
    }
    assert result.best.checks["look_ahead"]["passed"]


def test_varied_timeframes_spans_calendars_and_seeds_are_those_of_the_backtest() -> None:
    candles = {
        "1h": {"A": walk("A", 900, timeframe="1h")},
        "1d": {"A": walk("A", 400)},
    }
    request = SweepRequest(
        backtest=BacktestRequest(strategy="ema_cross", symbols=["A"], params={"fast": 5}),
        space={
            "params.slow": [10, 20],
            "timeframe": ["1h", "1d"],
            "start": [None, "2015-01-20"],
            "end": [None, "2015-02-10"],
            "calendar": ["auto", "24/7", "XNYS"],
        },
    )
    result = run_sweep(candles, request)
    assert (result.trials.state == "completed").all()
    for place, row in enumerate(result.trials.to_dict("records")):
        alone = run_backtest(candles[row["timeframe"]], _request_of(result, place))
        assert metrics_of(row) == alone.metrics


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("processes", [1, 2])
def test_rows_with_a_warm_up_of_their_own_are_backtests(name: str, processes: int) -> None:
    """Each trial sees as many bars before its start as its own parameters ask for, and no more."""
    if processes > 1 and name != "sma_cross":
        return
    candles = {"A": walk("A", 500), "B": walk("B", 380, skip=0.1)}
    request = SweepRequest(
        backtest=BacktestRequest(strategy=name, symbols=["A", "B"], start="2015-06-01"),
        space={**SPACES[name], "direction": ["long", "both"], "stop_loss_frac": [None, 0.03]},
        search="random",
        trials=200,
        seed=7,
    )
    result = run_sweep(candles, request, processes=processes)
    assert assert_rows_are_backtests(candles, result, seed=3, rows=40) >= 10


def test_varied_warm_ups_and_starts_are_those_of_the_backtest() -> None:
    candles = {"A": walk("A", 500)}
    request = SweepRequest(
        backtest=BacktestRequest(strategy="ema_cross", symbols=["A"], params={"fast": 5}),
        space={
            "params.slow": [10, 40],
            "warmup_bars": [None, 0, 9, 100],
            "start": [None, "2015-01-20", "2015-06-01"],
        },
    )
    result = run_sweep(candles, request)
    assert assert_rows_are_backtests(candles, result, seed=4, rows=24) == 24
    late = result.trials[(result.trials.start == "2015-06-01") & (result.trials["params.slow"] == 40)]
    assert late.total_return.nunique() > 1, "the warm-up matters"
