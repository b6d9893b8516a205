"""Other histories are made of the market's own bars, and say how much a result hangs on their order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from backtest_pipeline import BacktestRequest, Candles, run_backtest
from backtest_pipeline.cli.main import app
from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.model.candle_rules import check_candles
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.research.market_scenarios import block_places, resampled_market
from backtest_pipeline.workflows.run_scenarios import run_scenarios
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import TASK, publish, store_candles, wandering

CANDLES = {"A": walk("A", 300, seed=1), "B": walk("B", 300, seed=2)}


def _shapes(candles: Candles) -> Any:
    """Of each bar but the first: open, high, low, close over the close before, and volume."""
    before = candles.close[:-1]
    return np.stack(
        [getattr(candles, name)[1:] / before for name in ("open", "high", "low", "close")]
        + [candles.volume[1:]]
    )


@pytest.mark.parametrize("block_bars", [1, 7, 100, 400])
def test_blocks_are_whole_but_for_the_last_and_lie_within(block_bars: int) -> None:
    places = block_places(5, 105, block_bars, np.random.default_rng(3))
    assert len(places) == 100
    assert places.min() >= 5
    assert places.max() < 105
    length = min(block_bars, 100)
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    assert set((breaks % length).tolist()) <= {0}


def test_every_bar_of_a_scenario_is_one_of_the_market_s_and_symbols_stay_together() -> None:
    market = resampled_market([SeenCandles(own) for own in CANDLES.values()], 20, np.random.default_rng(0))
    places = {}
    for name, own in CANDLES.items():
        other = market[name]
        check_candles(
            name,
            other.timestamp,
            {column: getattr(other, column) for column in CANDLE_COLUMNS[1:]},
            source="",
        )
        assert np.array_equal(other.timestamp, own.timestamp)
        was, now = _shapes(own), _shapes(other)
        places[name] = [
            int(np.argmin(np.abs(was - now[:, [bar]]).sum(axis=0))) for bar in range(now.shape[1])
        ]
        np.testing.assert_allclose(now, was[:, places[name]], rtol=1e-9)
    assert places["A"] == places["B"]
    assert places["A"] != list(range(299))
    steps = np.diff(places["A"])
    assert (steps != 1).sum() <= 299 // 20


def test_the_warm_up_stays_and_the_market_goes_on_from_it() -> None:
    own = CANDLES["A"]
    other = resampled_market([SeenCandles(own, 50)], 10, np.random.default_rng(1))["A"]
    for column in CANDLE_COLUMNS:
        assert np.array_equal(getattr(other, column)[:50], getattr(own, column)[:50])
    first = other.close[50] / other.close[49]
    assert np.isclose(own.close[50:] / own.close[49:-1], first, rtol=1e-12).any()


def test_buying_and_holding_earns_what_the_drawn_bars_earn() -> None:
    """Bought at the open of bar 1, so the first of the drawn returns is open to close."""
    seen = SeenCandles(CANDLES["A"])
    other = resampled_market([seen], 15, np.random.default_rng(4))["A"]
    request = BacktestRequest(strategy="buy_and_hold", symbols=["A"], fee_bps=0)
    result = run_backtest({"A": other}, request)
    shape = _shapes(other)
    expected = shape[3, 0] / shape[0, 0] * np.prod(shape[3, 1:]) - 1
    assert result.metrics["total_return"] == pytest.approx(expected, rel=1e-9)


def test_a_result_that_hangs_on_the_order_of_history_is_worse_in_nearly_all_others() -> None:
    """A fall of 300 days, then a rise of 300: an average of 60 days misses the fall and takes the rise.

    In blocks of five days there is no such trend, and the average is late for all that there is.
    """
    own = walk("A", 600, seed=8)
    drift = np.where(np.arange(600) < 300, -0.01, 0.01)
    factor = np.exp(np.cumsum(drift))
    columns = {name: getattr(own, name) * factor for name in ("open", "high", "low", "close")}
    columns["high"] = np.maximum.reduce(list(columns.values()))
    columns["low"] = np.minimum.reduce(list(columns.values()))
    request = BacktestRequest(strategy="sma_cross", params={"fast": 20, "slow": 60}, symbols=["A"])
    found = run_scenarios({"A": replace(own, **columns)}, request, runs=60, block_bars=5)
    sharpe = found.metrics["sharpe"]
    assert sharpe.worse_frac is not None
    assert sharpe.worse_frac > 0.95


@pytest.mark.slow
def test_on_a_walk_at_random_the_actual_history_is_one_among_equals() -> None:
    """Its rank among others is uniform: over 24 markets the mean share is half, within three errors of it."""
    shares = []
    for seed in range(24):
        request = BacktestRequest(strategy="momentum", symbols=["A"])
        found = run_scenarios(
            {"A": walk("A", 250, seed=100 + seed)}, request, runs=30, block_bars=1, seed=seed
        )
        shares.append(found.metrics["total_return"].worse_frac)
    known = [share for share in shares if share is not None]
    assert np.mean(known) == pytest.approx(0.5, abs=3 * np.sqrt(1 / 12 / len(known)))


def test_the_same_seed_yields_the_same_and_another_another() -> None:
    request = BacktestRequest(strategy="sma_cross", symbols=["A", "B"], direction="both")
    found = [run_scenarios(CANDLES, request, runs=5, seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[0].metrics["sharpe"].actual == run_backtest(CANDLES, request).metrics["sharpe"]


def test_symbols_with_unlike_bars_too_few_bars_and_too_many_runs_are_refused() -> None:
    request = BacktestRequest(strategy="sma_cross", symbols=["A", "B"])
    with pytest.raises(RequestInvalid, match="B has others than the first"):
        run_scenarios({**CANDLES, "B": CANDLES["B"].slice(1, 300)}, request)
    few = BacktestRequest(strategy="sma_cross", symbols=["A"])
    with pytest.raises(RequestInvalid, match="30 are the fewest"):
        run_scenarios({"A": CANDLES["A"].slice(0, 20)}, few)
    with pytest.raises(RequestInvalid, match="10,000"):
        run_scenarios(CANDLES, few, runs=20_000)


def test_the_command_says_in_which_share_it_would_have_been_worse(own_data_root: Path) -> None:
    store_candles(own_data_root, wandering())
    publish(own_data_root, wandering())
    done = CliRunner().invoke(app, ["scenarios", TASK, "--runs", "12", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["runs"] == 12
    own = told["metrics"]["sharpe"]
    assert own["low"] <= own["median"] <= own["high"]
    assert round(own["worse_frac"] * 12, 9).is_integer()
    shown = CliRunner().invoke(app, ["scenarios", TASK, "--runs", "12"])
    assert "worse in" in shown.output
    assert f"in {own['worse_frac']:.0%} of them the Sharpe ratio would have been worse" in shown.output
    moved = wandering()
    store_candles(own_data_root, replace(moved, close=np.where(np.arange(200) == 9, moved.low, moved.close)))
    refused = CliRunner().invoke(app, ["scenarios", TASK])
    assert refused.exit_code != 0
    assert "candles have changed since" in str(refused.exception)
