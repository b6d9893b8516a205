"""Which candles a request needs: of a sweep, those of all its trials together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.inputs import warmup_bars_of
from backtest_pipeline.model.manifest import CandleFingerprint
from backtest_pipeline.model.span import span_of
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.strategies.registry import resolve
from backtest_pipeline.workflows.sweep_warm_up import most_warmup_bars
from backtest_pipeline.workflows.varied_fields import choices_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.request_values import Moment
    from backtest_pipeline.model.task_request import TaskRequest
    from backtest_pipeline.model.timeframe import Timeframe


@dataclass(frozen=True, slots=True)
class NeededCandles:
    """Candles of one timeframe.

    Attributes:
        timeframe: theirs.
        symbols: whose, each once.
        start: the earliest that is asked for; None: from the first that there is.
        end: the latest; None: to the last that there is.
        warmup_bars: how many before `start` strategies may see; None: all that there are.
    """

    timeframe: Timeframe
    symbols: Sequence[str]
    start: Moment | None
    end: Moment | None
    warmup_bars: int | None = 0

    def load(self, store: CandleStore, symbols: Sequence[str] | None = None) -> dict[str, Candles]:
        """Load them, or those of some symbols.

        Raises:
            BacktestError: as `CandleStore.load`.
        """
        chosen = self.symbols if symbols is None else symbols
        return store.load(chosen, self.timeframe, self.start, self.end, self.warmup_bars)

    def fingerprint(self, loaded: Candles, zone: ZoneInfo) -> CandleFingerprint:
        """The fingerprint of one symbol's, as they have been loaded."""
        first_us = span_of(self.start, None, zone).first_us
        return CandleFingerprint.of(loaded, int(np.searchsorted(loaded.timestamp.view(np.int64), first_us)))


def needed_candles(request: TaskRequest, zone: ZoneInfo) -> list[NeededCandles]:
    """What a request needs, one entry for each timeframe.

    Args:
        request: of any kind; of a walk-forward, the sweep's, from whose candles its folds are cut.
        zone: of moments without a zone.

    Raises:
        StrategyUnknown, ParamsInvalid, StrategyFaulty: the strategy is to say how many bars warm it up, and
            cannot.
    """
    if isinstance(request, WalkForwardRequest):
        return needed_candles(request.sweep, zone)
    if not isinstance(request, SweepRequest):
        return [_needed_by(request)]
    start, end = _earliest(choices_of(request, "start"), zone), _latest(choices_of(request, "end"), zone)
    warmup_bars = 0 if start is None else most_warmup_bars(request)
    return [
        NeededCandles(one, request.symbols_read, start, end, warmup_bars)
        for one in choices_of(request, "timeframe")
    ]


def _needed_by(request: BacktestRequest) -> NeededCandles:
    warmup_bars = 0
    if request.start is not None:
        resolved = resolve(request)
        warmup_bars = warmup_bars_of(resolved.request, resolved.strategy, resolved.params)
    return NeededCandles(request.timeframe, request.symbols_read, request.start, request.end, warmup_bars)


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
