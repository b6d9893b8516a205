"""Portfolio strategies from candles to a result, against a few lines of pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import (
    BacktestRequest,
    BacktestResult,
    Candles,
    Panel,
    PortfolioStrategy,
    StrategyParams,
    Weights,
    run_backtest,
)
from backtest_pipeline.engine.indicators import carried
from backtest_pipeline.model.errors import StrategyFaulty
from backtest_pipeline.strategies import registry
from backtest_pipeline_tests.research.made_candles import walk

CANDLES = {name: walk(name, 700) for name in ("A", "B", "C")}


def ran(strategy: str, candles: dict[str, Candles] = CANDLES, **fields: Any) -> BacktestResult:
    request = {"account": "shared", "fee_bps": 0, "symbols": list(candles)} | fields
    return run_backtest(candles, BacktestRequest(strategy=strategy, **request))


def frame(column: str) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series(getattr(own, column), own.timestamp) for name, own in CANDLES.items()}
    )


def rebalanced(parts: pd.DataFrame, first: int = 0) -> list[float]:
    """Equity of a portfolio that is put in order at the first open of each month, and after its first row."""
    opens, closes = frame("open"), frame("close")
    months = pd.DatetimeIndex(opens.index).to_period("M")
    cash, held, equity, waits = 10_000.0, np.zeros(3), [], False
    for row in range(first, len(opens)):
        if waits:
            worth = cash + (held * opens.iloc[row]).sum()
            held = (worth * parts.iloc[row - 1] / opens.iloc[row]).to_numpy()
            cash = worth - (held * opens.iloc[row]).sum()
        waits = row == first or (row + 1 < len(opens) and months[row + 1] != months[row])
        equity.append(cash + (held * closes.iloc[row]).sum())
    return equity


def test_equal_weight_is_thirds_put_in_order_each_month() -> None:
    thirds = pd.DataFrame(1 / 3, frame("close").index, list(CANDLES))
    result = ran("equal_weight")
    assert result.equity["equity"].to_numpy() == pytest.approx(rebalanced(thirds), rel=1e-12)
    assert result.checks["look_ahead"]["passed"] is True
    assert result.equity["exposure_frac"].iloc[5:].min() > 0.999


def test_inverse_volatility_is_warm_at_start_and_follows_pandas_from_there() -> None:
    closes = frame("close")
    calm = 1 / closes.pct_change().rolling(40).std(ddof=0)
    parts = calm.div(calm.sum(axis=1), axis=0)
    first = int(closes.index.searchsorted(pd.Timestamp("2015-06-10")))
    result = ran("inverse_volatility", params={"window": 40}, start="2015-06-10")
    assert result.equity["equity"].to_numpy() == pytest.approx(rebalanced(parts, first), rel=1e-9)
    assert not [remark for remark in result.diagnostics if "warm up" in remark]


def test_momentum_rotation_trades_as_months_begin_alone_and_never_borrows() -> None:
    result = ran(
        "momentum_rotation", params={"lookback": 60, "skip": 5, "top": 2}, fee_bps=20, slippage_bps=10
    )
    opens = result.trades["entry_time"].dt.tz_localize(None)
    moments = pd.DatetimeIndex(CANDLES["A"].timestamp)
    begins = moments[1:][moments.to_period("M")[1:] != moments.to_period("M")[:-1]]
    # The first weights are acted upon at once, after the row at which the first return is known.
    assert set(opens) <= {*begins, moments[61]}
    assert result.equity["cash"].min() >= 0
    assert result.trades["pnl"].sum() == pytest.approx(result.equity["equity"].iloc[-1] - 10_000)


class TomorrowsWinner(PortfolioStrategy):
    """All into what will rise most."""

    name = "tomorrows_winner"

    def weights(self, panel: Panel, params: StrategyParams) -> Weights:
        close = carried(panel.close)
        later = np.vstack([close[1:], close[-1:]]) / close
        return Weights(np.eye(len(panel.symbols))[np.argmax(np.nan_to_num(later), axis=1)])


class Overdrawn(PortfolioStrategy):
    """Half of everything, which is too much of three."""

    name = "overdrawn"

    def weights(self, panel: Panel, params: StrategyParams) -> Weights:
        return Weights(np.full(panel.close.shape, 0.5))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_by_hand", {own.name: own for own in (TomorrowsWinner, Overdrawn)})


def test_a_run_says_that_its_weights_know_the_future() -> None:
    result = ran("tomorrows_winner")
    assert result.checks["look_ahead"]["passed"] is False
    assert result.checks["look_ahead"]["difference"]["signal"] == "weight"
    assert any(
        remark.startswith("The strategy looks ahead: its weight at 201") for remark in result.diagnostics
    )


def test_weights_that_the_account_cannot_hold_end_the_run_with_the_row_named() -> None:
    with pytest.raises(StrategyFaulty, match=r"weights at 2015-01-05.* add up to 1\.5, .*leverage of 1\.5"):
        ran("overdrawn")
    result = ran("overdrawn", leverage=1.5, maintenance_margin_frac=0.1)
    assert result.equity["exposure_frac"].iloc[1] == pytest.approx(1.5, rel=0.05)
