"""A strategy of two timeframes in a sweep: longer candles are made once, and each row is its own backtest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import Field

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    IntRange,
    Signals,
    Strategy,
    StrategyParams,
    SweepRequest,
    run_backtest,
    run_sweep,
)
from backtest_pipeline.engine.indicators import crossed_above, crossed_below, sma
from backtest_pipeline.model import closed_candles
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.research.search.kinds import search_of
from backtest_pipeline.research.trials import TrialRunner
from backtest_pipeline.strategies import registry
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep
from backtest_pipeline_tests.research.made_candles import metrics_of


class DipInAnUptrend(Strategy):
    """Buys hours that cross above their average on days above theirs."""

    name = "dip_in_an_uptrend"

    class Params(StrategyParams):
        hours: int = Field(12, ge=1)
        days: int = Field(10, ge=1)

    def warmup_bars(self, params: Params) -> int:
        return 24 * (params.days + 1)

    def signals(self, candles: Candles, params: Params) -> Signals:
        day = candles.resampled("1d")
        trend = day.close > day.by_candle(sma, "close", window=params.days)
        average = sma(candles.close, params.hours)
        return Signals(
            entry=crossed_above(candles.close, average) & trend, exit=crossed_below(candles.close, average)
        )


def hours(symbol: str, count: int, seed: int) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.004, count)))
    columns: dict[str, Any] = dict.fromkeys(CANDLE_COLUMNS, close)
    columns["timestamp"] = np.datetime64("2023-01-01", "us") + np.arange(count) * np.timedelta64(1, "h")
    return Candles.from_arrays(symbol, "1h", columns)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_by_hand", {DipInAnUptrend.name: DipInAnUptrend})


@pytest.mark.parametrize("start", [None, "2023-03-01"])
def test_rows_are_backtests_and_longer_candles_are_made_once_a_symbol_and_warm_up(
    start: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    columns = closed_candles._arrays

    def noted(*arguments: Any) -> Any:
        made.append(len(arguments[0]))
        return columns(*arguments)

    monkeypatch.setattr(closed_candles, "_arrays", noted)
    candles = {name: hours(name, 2_500 - 300 * seed, seed) for seed, name in enumerate(("A", "B"))}
    request = SweepRequest(
        backtest=BacktestRequest(
            strategy="dip_in_an_uptrend", symbols=["A", "B"], timeframe="1h", start=start
        ),
        space={"params.hours": IntRange(4, 24, step=4), "params.days": [5, 10, 20]},
    )
    resolved = resolve_sweep(request)
    runner = TrialRunner(candles, resolved.request, resolved.strategies)
    runner.run(search_of(resolved.request).points(0, 18))
    # One warm-up for all, or one for each number of days: 6, 11 and 21 days of 24 hours
    assert len(made) == (2 if start is None else 2 * 3)

    result = run_sweep(candles, request)
    assert len(result.trials) == 18
    assert (result.trials.trades > 10).all()
    for row in (0, 7, 17):
        trial = result.trials.iloc[row]
        params = {"hours": int(trial["params.hours"]), "days": int(trial["params.days"])}
        alone = run_backtest(candles, request.backtest.model_copy(update={"params": params}))
        assert metrics_of(trial) == alone.metrics
