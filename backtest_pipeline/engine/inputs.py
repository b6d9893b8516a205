"""What enters the engine: the request's candles and the strategy's answer, both held to their promises."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import BacktestError, CandlesInvalid, RequestInvalid, StrategyFaulty
from backtest_pipeline.model.signals import CheckedSignals, check_signals

if TYPE_CHECKING:
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.signals import Strategy, StrategyParams


def chosen_candles(candles: Mapping[str, Candles], request: BacktestRequest) -> list[Candles]:
    """The request's candles in the request's order.

    Raises:
        RequestInvalid: a symbol has no candles among those given, or candles of another timeframe.
        CandlesInvalid: a symbol's candles are empty.
    """
    missing = [symbol for symbol in request.symbols if symbol not in candles]
    if missing:
        given = ", ".join(sorted(candles)) or "none"
        raise RequestInvalid([("symbols", f"no candles were given for {', '.join(missing)}; given: {given}")])
    for symbol in request.symbols:
        timeframe = candles[symbol].timeframe
        if timeframe != request.timeframe:
            raise RequestInvalid(
                [("timeframe", f"{request.timeframe}, but the {symbol} candles are {timeframe}")]
            )
        if not len(candles[symbol]):
            raise CandlesInvalid(symbol, "there are no candles", source="the candles given")
    return [candles[symbol] for symbol in request.symbols]


def signals_of(strategy: Strategy, params: StrategyParams, candles: Candles, seed: int = 0) -> CheckedSignals:
    """Asks the strategy and checks its answer.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: one symbol's bars.
        seed: of the generator that the strategy gets if its `signals` takes `rng`.

    Raises:
        StrategyFaulty: the strategy raised, or answered something else than signals of the candles' length.
    """
    return signals_of_read_only(strategy, params, _read_only(candles), seed)


def signals_of_read_only(
    strategy: Strategy, params: StrategyParams, candles: Candles, seed: int
) -> CheckedSignals:
    """As `signals_of`, of candles to which nobody can write."""
    try:
        if _takes_rng(type(strategy)):
            rng = generator_of(seed, candles.symbol)
            answer = strategy.signals(candles, params, rng=rng)  # type: ignore[call-arg]  # it declares it
        else:
            answer = strategy.signals(candles, params)
    except BacktestError:
        raise
    except Exception as error:
        problem = f"signals() raised {type(error).__name__} on {candles.symbol}: {error}"
        raise StrategyFaulty(strategy.name, problem) from error
    return check_signals(strategy.name, answer, len(candles))


def generator_of(seed: int, symbol: str) -> np.random.Generator:
    """The generator of one symbol's signals: the same for the same seed, whatever other symbols there are."""
    return np.random.default_rng([abs(seed), int(seed < 0), *symbol.encode()])


@lru_cache(maxsize=1_024)
def _takes_rng(strategy: type[Strategy]) -> bool:
    return "rng" in inspect.signature(strategy.signals).parameters


def _read_only(candles: Candles) -> Candles:
    """The same candles, sharing memory, safe from a strategy that would write to them."""
    columns = {name: getattr(candles, name).view() for name in CANDLE_COLUMNS}
    for column in columns.values():
        column.flags.writeable = False
    return replace(candles, **columns)
