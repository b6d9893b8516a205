"""What callers give, as the engine takes it: candles, frames and funding rates, by symbol or one alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pandas as pd

from backtest_pipeline.candles.frame_candles import candles_of_frame
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.funding_rates import FundingRates
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe
from backtest_pipeline.research.trial_market import CandlesByTimeframe
from backtest_pipeline.workflows.execution_data import ExecutionData, detail_timeframes, wants_funding
from backtest_pipeline.workflows.varied_fields import traded_symbols

if TYPE_CHECKING:
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.model.task_request import TaskRequest
    from backtest_pipeline.research.trial_market import CandlesGiven

CandlesOrFrame = Candles | pd.DataFrame
CandlesInput = CandlesOrFrame | Mapping[str, CandlesOrFrame]
"""Of a backtest: by symbol, or one alone where the request has one symbol."""
SweepCandlesInput = CandlesInput | Mapping[str, Mapping[str, CandlesOrFrame]]
"""Of a sweep: the same, or such a mapping for each timeframe that it varies."""
FundingInput = FundingRates | Mapping[str, FundingRates]
"""By symbol, or one alone where the request has one symbol."""


def given_candles(
    given: CandlesInput, symbols: Sequence[str], timeframe: Timeframe, timezone: str = "UTC"
) -> Mapping[str, Candles]:
    """Return candles by symbol; frames are read as `candles_of_frame` does.

    Raises:
        RequestInvalid: one alone was given for several symbols, another symbol's, or something else than
            candles and frames.
        CandlesInvalid: a frame does not hold candles of this timeframe.
    """
    if isinstance(given, Candles | pd.DataFrame):
        if len(symbols) != 1:
            problem = (
                f"write {{symbol: candles}} for {', '.join(symbols)}; one alone is enough for one symbol only"
            )
            raise RequestInvalid([("candles", problem)])
        given = {symbols[0]: given}
    return {symbol: _candles(own, symbol, timeframe, timezone) for symbol, own in given.items()}


def sweep_candles(given: SweepCandlesInput, request: SweepRequest, timezone: str = "UTC") -> CandlesGiven:
    """As `given_candles`, of a sweep, which may vary symbols and timeframes.

    Raises:
        RequestInvalid, CandlesInvalid: as `given_candles`.
    """
    return _by_timeframe(given, request.symbols_read, request.backtest.timeframe, timezone)


def given_execution_data(
    detail: SweepCandlesInput | None,
    funding: FundingInput | None,
    request: TaskRequest,
    timezone: str = "UTC",
) -> ExecutionData:
    """Return finer candles and funding rates as far as a request of any kind asks for them.

    Raises:
        RequestInvalid: it asks for some, and none were given, or they are given in another form.
        CandlesInvalid: a frame does not hold candles of its timeframe.
    """
    symbols, timeframes = traded_symbols(request), detail_timeframes(request)
    by_timeframe: dict[str, Mapping[str, Candles]] = {}
    if timeframes and detail is not None:
        found = CandlesByTimeframe(_by_timeframe(detail, symbols, timeframes[0], timezone))
        by_timeframe = {name: found.of(name) for name in timeframes}
    missing = [name for name in timeframes if not by_timeframe.get(name)]
    problems = []
    if missing:
        example = f"CandleStore(DATA_ROOT).load(symbols, {missing[0]!r}, start, end)"
        problems.append(
            ("detail", f"no {' and no '.join(missing)} candles were given; give them, as detail={example}")
        )
    rates: Mapping[str, FundingRates] = {}
    if wants_funding(request):
        rates = _rates_by_symbol(funding)
        if not any(len(rates[symbol]) for symbol in symbols if symbol in rates):
            example = "CandleStore(DATA_ROOT).funding(symbols)"
            problems.append(
                ("funding", f"no rates were given for {', '.join(symbols)}; give them, as funding={example}")
            )
    if problems:
        raise RequestInvalid(problems)
    return ExecutionData(by_timeframe, rates)


def _rates_by_symbol(given: object) -> Mapping[str, FundingRates]:
    if isinstance(given, FundingRates):
        return {given.symbol: given}
    rates = {} if given is None else given
    if not isinstance(rates, Mapping):
        problem = f"give FundingRates, or a mapping of them by symbol, not {type(given).__name__}"
        raise RequestInvalid([("funding", problem)])
    for symbol, own in rates.items():
        if not isinstance(own, FundingRates):
            raise RequestInvalid([("funding", f"{symbol}: give FundingRates, not {type(own).__name__}")])
        if own.symbol != symbol:
            raise RequestInvalid([("funding", f"those given for {symbol} are {own.symbol}'s")])
    return rates


def _by_timeframe(
    given: SweepCandlesInput, symbols: Sequence[str], timeframe: Timeframe, timezone: str
) -> CandlesGiven:
    if isinstance(given, Mapping) and given and all(isinstance(own, Mapping) for own in given.values()):
        by_timeframe = cast("Mapping[str, Mapping[str, CandlesOrFrame]]", given)
        unknown = [name for name in by_timeframe if name not in TIMEFRAMES]
        if unknown:
            raise RequestInvalid(
                [("candles", f"{unknown[0]!r} is no timeframe; see {', '.join(TIMEFRAMES)}")]
            )
        return {
            name: given_candles(own, symbols, cast("Timeframe", name), timezone)
            for name, own in by_timeframe.items()
        }
    return given_candles(cast("CandlesInput", given), symbols, timeframe, timezone)


def _candles(given: object, symbol: str, timeframe: Timeframe, timezone: str) -> Candles:
    if isinstance(given, Candles):
        if given.symbol != symbol:
            problem = f"those given for {symbol} are {given.symbol}'s; give each symbol its own"
            raise RequestInvalid([("candles", problem)])
        return given
    if isinstance(given, pd.DataFrame):
        return candles_of_frame(given, symbol, timeframe, timezone)
    problem = f"{symbol}: give a pandas frame or Candles, not {type(given).__name__}"
    raise RequestInvalid([("candles", problem)])
