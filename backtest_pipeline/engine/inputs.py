"""What enters the engine: the request's candles and the strategy's answer, both held to their promises."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import (
    BacktestError,
    CandlesInvalid,
    CandlesMissing,
    RequestInvalid,
    StrategyFaulty,
)
from backtest_pipeline.model.request import MOST_WARMUP_BARS
from backtest_pipeline.model.signal_checks import CheckedSignals, check_signals
from backtest_pipeline.model.source_place import place_raised
from backtest_pipeline.model.span import asked_text, moment_of, moment_text, span_of, zone_of
from backtest_pipeline.model.strategy import OWN_FAULTS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.strategy import AnyStrategy, Strategy, StrategyParams

LONGEST_HOLD_BARS = 1_000_000_000


@dataclass(frozen=True, eq=False, slots=True)
class SeenCandles:
    """One symbol's candles as a strategy sees them.

    Attributes:
        candles: the bars that are traded, after those before the request's `start` that are seen only.
        warmup_bars: how many the latter are.
    """

    candles: Candles
    warmup_bars: int = 0

    @property
    def traded(self) -> Candles:
        """The bars that are traded."""
        if self.warmup_bars == 0:
            return self.candles
        return self.candles.slice(self.warmup_bars, len(self.candles))

    def traded_signals(self, signals: CheckedSignals) -> CheckedSignals:
        """The signals of the bars that are traded, of a strategy's answer on all."""
        return signals.since(self.warmup_bars)


def chosen_candles(
    candles: Mapping[str, Candles], request: BacktestRequest, timezone: str = "UTC"
) -> list[Candles]:
    """The request's candles in the request's order, from its `start` to its `end`.

    Args:
        candles: by symbol, at least the request's.
        request: what is to be run.
        timezone: what a `start` or `end` without a zone means.

    Raises:
        RequestInvalid: a symbol has no candles among those given, or candles of another timeframe; or there
            is no such time zone.
        CandlesInvalid: a symbol's candles are empty.
        CandlesMissing: a symbol has no candle in the request's range.
    """
    return _chosen(candles, request, "symbols", request.symbols, timezone)


def seen_candles(
    candles: Mapping[str, Candles], request: BacktestRequest, warmup_bars: int, timezone: str = "UTC"
) -> list[SeenCandles]:
    """As `chosen_candles`, each with up to `warmup_bars` of the candles before, as far as they are given.

    Raises:
        RequestInvalid, CandlesInvalid, CandlesMissing: as `chosen_candles`.
    """
    chosen = chosen_candles(candles, request, timezone)
    return [with_warm_up(candles[own.symbol], own, warmup_bars) for own in chosen]


def with_warm_up(given: Candles, traded: Candles, warmup_bars: int) -> SeenCandles:
    """The bars of `given` that are traded, with up to `warmup_bars` of those before them."""
    first = int(np.searchsorted(given.timestamp, traded.timestamp[0]))
    earlier = min(first, warmup_bars)
    if earlier == 0:
        return SeenCandles(traded)
    return SeenCandles(given.slice(first - earlier, first + len(traded)), earlier)


def benchmark_candles(
    candles: Mapping[str, Candles], request: BacktestRequest, timezone: str = "UTC"
) -> Candles | None:
    """The candles of the request's benchmark, from its `start` to its `end`; `None` where it names none.

    Raises:
        RequestInvalid, CandlesInvalid, CandlesMissing: as `chosen_candles`, of the benchmark.
    """
    if request.benchmark is None:
        return None
    [own] = _chosen(candles, request, "benchmark", [request.benchmark], timezone)
    return own


def _chosen(
    candles: Mapping[str, Candles],
    request: BacktestRequest,
    field: str,
    symbols: Sequence[str],
    timezone: str,
) -> list[Candles]:
    """The candles of the symbols that a field of the request names, within its span."""
    zone = zone_of(timezone)
    missing = [symbol for symbol in symbols if symbol not in candles]
    if missing:
        given = ", ".join(sorted(candles)) or "none"
        raise RequestInvalid([(field, f"no candles were given for {', '.join(missing)}; given: {given}")])
    for symbol in symbols:
        timeframe = candles[symbol].timeframe
        if timeframe != request.timeframe:
            raise RequestInvalid(
                [("timeframe", f"{request.timeframe}, but the {symbol} candles are {timeframe}")]
            )
        if not len(candles[symbol]):
            raise CandlesInvalid(symbol, "there are no candles", source="the candles given")
    return [_within_span(candles[symbol], request, zone) for symbol in symbols]


def _within_span(candles: Candles, request: BacktestRequest, zone: ZoneInfo) -> Candles:
    """The candles from the request's `start` to its `end`; the same object where that is all of them."""
    if request.start is None and request.end is None:
        return candles
    span = span_of(request.start, request.end, zone)
    opens_us = candles.timestamp.view(np.int64)
    first = int(np.searchsorted(opens_us, span.first_us, side="left"))
    stop = int(np.searchsorted(opens_us, span.last_us, side="right"))
    if first >= stop:
        has = (moment_text(moment_of(opens_us[0]), zone), moment_text(moment_of(opens_us[-1]), zone))
        asked = asked_text(request.start, request.end)
        raise CandlesMissing(
            candles.symbol, candles.timeframe, asked=asked, has=has, holder="the candles given are from"
        )
    return candles if stop - first == len(candles) else candles.slice(first, stop)


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
    return signals_of_read_only(strategy, params, read_only(candles), seed)


def signals_of_read_only(
    strategy: Strategy, params: StrategyParams, candles: Candles, seed: int
) -> CheckedSignals:
    """As `signals_of`, of candles to which nobody can write."""
    return check_signals(strategy.name, answer_of(strategy, params, candles, seed), len(candles))


def answer_of(strategy: Strategy, params: StrategyParams, candles: Candles, seed: int) -> object:
    """What the strategy says of candles to which nobody can write, unchecked.

    Raises:
        StrategyFaulty: it raised.
    """
    try:
        if takes_rng(type(strategy), "signals"):
            rng = generator_of(seed, candles.symbol)
            return strategy.signals(candles, params, rng=rng)  # type: ignore[call-arg]  # it declares it
        return strategy.signals(candles, params)
    except BacktestError:
        raise
    except OWN_FAULTS as error:
        raise raised_fault(strategy, "signals", error, f" on {candles.symbol}") from error


def raised_fault(strategy: AnyStrategy, method: str, error: BaseException, where: str = "") -> StrategyFaulty:
    """What a strategy's method has raised, as a fault of the strategy, with the line that raised it."""
    problem = f"{method}() raised {type(error).__name__}{where}: {error}"
    return StrategyFaulty(strategy.name, problem, place_raised(error, type(strategy)))


def generator_of(seed: int, symbol: str) -> np.random.Generator:
    """The generator of one symbol's signals: the same for the same seed, whatever other symbols there are."""
    return np.random.default_rng([abs(seed), int(seed < 0), *symbol.encode()])


def holding_period_of(strategy: Strategy, params: StrategyParams) -> int | None:
    """Bars after which the strategy closes a position, or none.

    Raises:
        StrategyFaulty: the strategy raised, or answered something else than a number of bars.
    """
    return _bars_said(strategy, params, "holding_period_bars", LONGEST_HOLD_BARS)


def warmup_bars_of(request: BacktestRequest, strategy: AnyStrategy, params: StrategyParams) -> int:
    """Bars before the request's `start` that the strategy is to see; 0 where there is no `start`.

    Raises:
        StrategyFaulty: it is left to the strategy, which raised, or answered something else than a number.
    """
    if request.start is None:
        return 0
    if request.warmup_bars is not None:
        return request.warmup_bars
    return strategy_warmup_bars(strategy, params)


def strategy_warmup_bars(strategy: AnyStrategy, params: StrategyParams) -> int:
    """Bars that the strategy says it needs to be warm.

    Raises:
        StrategyFaulty: it raised, or answered something else than a number of bars.
    """
    return _bars_said(strategy, params, "warmup_bars", MOST_WARMUP_BARS) or 0


def _bars_said(strategy: AnyStrategy, params: StrategyParams, method: str, most: int) -> int | None:
    """What a strategy's method says, a number of bars or none."""
    try:
        answer = getattr(strategy, method)(params)
        bars = None if answer is None else index(answer)
    except BacktestError:
        raise
    except OWN_FAULTS as error:
        raise raised_fault(strategy, method, error) from error
    if bars is not None and not 0 <= bars <= most:
        raise StrategyFaulty(strategy.name, f"{method}() must be 0 to {most:,}, not {bars}")
    return bars


@lru_cache(maxsize=1_024)
def takes_rng(strategy: type[AnyStrategy], method: str) -> bool:
    """Whether a strategy asks for a generator."""
    return "rng" in inspect.signature(getattr(strategy, method)).parameters


def read_only(candles: Candles) -> Candles:
    """The same candles, sharing memory, safe from a strategy that would write to them."""
    columns = {name: getattr(candles, name).view() for name in CANDLE_COLUMNS}
    for column in columns.values():
        column.flags.writeable = False
    return replace(candles, **columns)
