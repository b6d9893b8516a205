"""The built-in portfolio strategies: weights worked out by hand and by pandas, and honesty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.engine.panel_building import panel_of, seen_panel
from backtest_pipeline.engine.portfolio_answers import weights_of
from backtest_pipeline.engine.portfolio_lookahead import (
    check_portfolio_look_ahead,
    light_portfolio_check,
    measure_portfolio_warm_up,
)
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.panel import Panel
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.strategies.builtin.equal_weight import EqualWeight
from backtest_pipeline.strategies.builtin.inverse_volatility import InverseVolatility
from backtest_pipeline.strategies.builtin.momentum_rotation import MomentumRotation
from backtest_pipeline_tests.engine.generated import generated_rows
from backtest_pipeline_tests.engine.scripted import candles_of, flat

STRATEGIES: list[type[PortfolioStrategy]] = [EqualWeight, InverseVolatility, MomentumRotation]
SHORT: dict[str, dict[str, Any]] = {
    "equal_weight": {},
    "inverse_volatility": {"window": 20},
    "momentum_rotation": {"lookback": 30, "skip": 3, "top": 2},
}
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
nan = np.nan


def market(bars: int = 700) -> list[Candles]:
    """Three symbols that begin one after the other and miss bars by chance."""
    rng = np.random.default_rng(4)
    found = []
    for number, symbol in enumerate(("A", "B", "C")):
        whole = candles_of(generated_rows(rng, bars, "walk", 1.0), symbol=symbol, start="2022-01-01")
        kept = np.flatnonzero((rng.random(bars) < 0.9) & (np.arange(bars) >= 50 * number))
        columns = {
            name: getattr(whole, name)[kept]
            for name in ("timestamp", "open", "high", "low", "close", "volume")
        }
        found.append(Candles(symbol, "1d", **columns))
    return found


def weights_on(
    strategy: PortfolioStrategy, closes: dict[str, list[float]], **params: Any
) -> NDArray[np.float64]:
    panel = panel_of([candles_of(flat(*own), symbol=symbol) for symbol, own in closes.items()])
    return weights_of(strategy, strategy.Params(**params), panel, direction="long").weights


def closes_of(panel: Panel) -> pd.DataFrame:
    return pd.DataFrame(panel.close, columns=list(panel.symbols))


@every_strategy
def test_no_portfolio_strategy_knows_the_future(strategy: type[PortfolioStrategy]) -> None:
    candles = market()
    seen = seen_panel([SeenCandles(own) for own in candles])
    params = strategy.Params(**SHORT[strategy.name])
    verdict = check_portfolio_look_ahead(strategy(), params, candles, seen, cuts=40, seed=1, stretch_cuts=300)
    assert verdict.passed, verdict.difference
    assert (verdict.cuts, verdict.stretch_cuts, verdict.refused) == (40, 300, 0)
    assert verdict.signals > 0
    for seed in range(5):
        weights = weights_of(strategy(), params, seen.panel, seed)
        assert light_portfolio_check(strategy(), params, candles, seen, weights, seed).passed


@every_strategy
def test_every_portfolio_strategy_forgets_where_the_candles_began(strategy: type[PortfolioStrategy]) -> None:
    candles = market()
    seen = seen_panel([SeenCandles(own) for own in candles])
    params = strategy.Params(**SHORT[strategy.name])
    warm_up = measure_portfolio_warm_up(strategy(), params, candles, seen, starts=20, seed=1)
    assert warm_up.settled
    # A bar misses one row in ten, so that a window of own bars is some rows longer.
    assert warm_up.bars_to_settle <= 1.5 * strategy().warmup_bars(params) + 5


@every_strategy
@pytest.mark.parametrize("bars", [1, 2, 15])
def test_few_rows_are_no_error(strategy: type[PortfolioStrategy], bars: int) -> None:
    panel = panel_of([candles_of(flat(*[10.0] * bars), symbol=symbol) for symbol in "AB"])
    assert weights_of(strategy(), strategy.Params(), panel, direction="long").weights.shape == (bars, 2)


@every_strategy
def test_every_parameter_of_a_portfolio_strategy_has_a_default_and_a_description(
    strategy: type[PortfolioStrategy],
) -> None:
    assert strategy.Params().model_dump()["rebalance"] == "monthly"
    assert all(field.description for field in strategy.Params.model_fields.values())
    assert strategy.__module__.endswith(f".{strategy.name}")
    assert strategy.summary() == (strategy.__doc__ or "").splitlines()[0]


def test_equal_weight_gives_each_symbol_that_has_begun_the_same_part() -> None:
    late = candles_of(flat(5, 5), symbol="B", start="2024-01-03")
    gone = candles_of(flat(7, 7), symbol="C")
    panel = panel_of([candles_of(flat(1, 2, 3, 4), symbol="A"), late, gone])
    found = weights_of(EqualWeight(), EqualWeight.Params(rebalance="daily", drift_frac=0.05), panel)
    third = 1 / 3
    assert found.weights.tolist() == [[0.5, 0, 0.5], [0.5, 0, 0.5], [third] * 3, [third] * 3]
    assert found.acted_rows.tolist() == [True, True, True, False]  # nothing follows the last day yet
    assert found.drift_frac == 0.05


def test_inverse_volatility_by_hand() -> None:
    # Returns of A: 10 %, -10 %; of B: 20 %, -20 %: deviations 0.1 and 0.2, so twice as much of A.
    closes = {"A": [100.0, 110.0, 99.0], "B": [100.0, 120.0, 96.0]}
    found = weights_on(InverseVolatility(), closes, window=2)
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx([2 / 3, 1 / 3])


def test_a_price_that_stands_still_has_no_part() -> None:
    found = weights_on(InverseVolatility(), {"A": [100.0, 110.0, 99.0], "B": [5.0, 5.0, 5.0]}, window=2)
    assert found[2].tolist() == [1, 0]
    still = weights_on(InverseVolatility(), {"A": [1.0, 1.0, 1.0], "B": [5.0, 5.0, 5.0]}, window=2)
    assert np.isnan(still).all()


def test_inverse_volatility_equals_pandas_on_each_symbols_own_bars() -> None:
    panel = panel_of(market())
    found = weights_of(InverseVolatility(), InverseVolatility.Params(window=20), panel).weights
    volatility = pd.DataFrame(
        {
            symbol: own.dropna().pct_change().rolling(20).std(ddof=0)
            for symbol, own in closes_of(panel).items()
        },
        index=range(len(panel)),
    ).ffill()
    calm = (1 / volatility).fillna(0)
    expected = calm.div(calm.sum(axis=1), axis=0)
    assert np.allclose(found, expected, rtol=1e-9, equal_nan=True)


def test_momentum_rotation_by_hand() -> None:
    # From four rows before to one row before, at the last row: A 100 to 120, B 100 to 150, C 100 to 90.
    closes = {
        "A": [100.0, 1.0, 1.0, 120.0, 999.0],
        "B": [100.0, 1.0, 1.0, 150.0, 1.0],
        "C": [100.0, 1.0, 1.0, 90.0, 999.0],
    }
    asked = {"lookback": 4, "skip": 1}
    found = weights_on(MomentumRotation(), closes, top=1, **asked)
    assert np.isnan(found[:4]).all()
    assert found[4].tolist() == [0, 1, 0]
    assert weights_on(MomentumRotation(), closes, top=2, **asked)[4].tolist() == [0.5, 0.5, 0]
    kept_in_cash = weights_on(MomentumRotation(), closes, top=4, **asked)[4]
    assert kept_in_cash.tolist() == [0.25, 0.25, 0]  # C has fallen, and there is no fourth
    invested = weights_on(MomentumRotation(), closes, top=4, only_rising=False, **asked)[4]
    assert invested.tolist() == [0.25, 0.25, 0.25]


def test_of_symbols_that_rose_alike_the_requests_first_ones_are_held() -> None:
    closes = {symbol: [10.0, 20.0] for symbol in ("Z", "A", "M")}
    assert weights_on(MomentumRotation(), closes, lookback=1, skip=0, top=2)[1].tolist() == [0.5, 0.5, 0]


def test_momentum_rotation_equals_pandas() -> None:
    panel = panel_of(market())
    params = MomentumRotation.Params(lookback=30, skip=3, top=2)
    found = weights_of(MomentumRotation(), params, panel).weights
    close = closes_of(panel).ffill()
    rise = close.shift(3) / close.shift(30) - 1
    held = rise.rank(axis=1, ascending=False, method="first") <= 2
    expected = ((held & (rise > 0)) / 2).where(rise.notna().any(axis=1), nan)
    assert np.array_equal(found, expected, equal_nan=True)


def test_the_return_must_end_after_it_begins() -> None:
    with pytest.raises(ValidationError, match=r"skip \(252 rows\) must be less than lookback \(252 rows\)"):
        MomentumRotation.Params(skip=252)
