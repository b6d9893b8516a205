"""Which candles a request needs: of a sweep, those of all its trials together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.span import span_of
from backtest_pipeline.model.sweep_request import SweepRequest

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from backtest_pipeline.model.request import BacktestRequest, Moment
    from backtest_pipeline.model.timeframe import Timeframe


@dataclass(frozen=True, slots=True)
class NeededCandles:
    """Candles of one timeframe.

    Attributes:
        timeframe: theirs.
        symbols: whose, each once.
        start: the earliest that is asked for; None: from the first that there is.
        end: the latest; None: to the last that there is.
    """

    timeframe: Timeframe
    symbols: Sequence[str]
    start: Moment | None
    end: Moment | None


def needed_candles(request: BacktestRequest | SweepRequest, zone: ZoneInfo) -> list[NeededCandles]:
    """What a request needs, one entry for each timeframe.

    Args:
        request: a backtest or a sweep.
        zone: of moments without a zone.
    """
    if not isinstance(request, SweepRequest):
        return [NeededCandles(request.timeframe, request.symbols_read, request.start, request.end)]
    start, end = _earliest(_choices(request, "start"), zone), _latest(_choices(request, "end"), zone)
    return [NeededCandles(one, request.symbols_read, start, end) for one in _choices(request, "timeframe")]


def _choices(request: SweepRequest, field: str) -> Sequence[Any]:
    """The values of a field that trials may have."""
    varied = request.space.get(field)
    return varied if isinstance(varied, tuple) else (getattr(request.backtest, field),)


def _earliest(choices: Sequence[Moment | None], zone: ZoneInfo) -> Moment | None:
    given = [one for one in choices if one is not None]
    if len(given) < len(choices):
        return None
    return min(given, key=lambda one: span_of(one, None, zone).first_us)


def _latest(choices: Sequence[Moment | None], zone: ZoneInfo) -> Moment | None:
    given = [one for one in choices if one is not None]
    if len(given) < len(choices):
        return None
    return max(given, key=lambda one: span_of(None, one, zone).last_us)
