"""What callers give as candles, as the engine takes it: candles and pandas frames, by symbol or one alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pandas as pd

from backtest_pipeline.candles.frame_candles import candles_of_frame
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe

if TYPE_CHECKING:
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.research.trial_market import CandlesGiven

CandlesOrFrame = Candles | pd.DataFrame
CandlesInput = CandlesOrFrame | Mapping[str, CandlesOrFrame]
"""Of a backtest: by symbol, or one alone where the request has one symbol."""
SweepCandlesInput = CandlesInput | Mapping[str, Mapping[str, CandlesOrFrame]]
"""Of a sweep: the same, or such a mapping for each timeframe that it varies."""


def given_candles(
    given: CandlesInput, symbols: Sequence[str], timeframe: Timeframe, timezone: str = "UTC"
) -> Mapping[str, Candles]:
    """Return candles by symbol; frames are read as `candles_of_frame` does.

    Raises:
        RequestInvalid: one alone was given for several symbols, or something else than candles and frames.
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
    symbols = request.symbols_read
    timeframe = request.backtest.timeframe
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
        return given
    if isinstance(given, pd.DataFrame):
        return candles_of_frame(given, symbol, timeframe, timezone)
    problem = f"{symbol}: give a pandas frame or Candles, not {type(given).__name__}"
    raise RequestInvalid([("candles", problem)])
