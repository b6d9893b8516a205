"""Safety nets for strategies: do signals know the future, and how long do they remember the start?

A signal at bar t may use bars up to and including t only, so cutting off the bars after t must not change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.inputs import signals_of

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.signals import CheckedSignals, Strategy, StrategyParams

FLAGS = ("entry", "exit", "short_entry", "short_exit")

# Sums over windows of another length may differ in the last digits of a confidence.
CONFIDENCE_TOLERANCE = 1e-9

LIGHT_BARS = (1_000, 8_000, 64_000)
LIGHT_CUTS = 2


@dataclass(frozen=True, slots=True)
class Difference:
    """A signal that changed when candles after its bar were cut off.

    Attributes:
        signal: `entry`, `exit`, `short_entry`, `short_exit` or `confidence`.
        timestamp: ISO 8601, UTC, of the bar whose signal changed.
        cut_after: ISO 8601, UTC, of the last bar that the strategy saw when it said otherwise.
    """

    signal: str
    timestamp: str
    cut_after: str


@dataclass(frozen=True, slots=True)
class LookAhead:
    """The verdict of a look-ahead check.

    Attributes:
        passed: no signal changed.
        symbol: whose candles were used.
        bars: how many of them.
        cuts: at how many bars they were cut off.
        signals: bars with a signal among those compared; with 0 the check says little.
        difference: the first that was found, or none.
    """

    passed: bool
    symbol: str
    bars: int
    cuts: int
    signals: int
    difference: Difference | None

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How long signals depend on where the candles start.

    Attributes:
        bars_to_settle: bars after a later start until the signals are those of the full candles.
        settled: false where they still differed at the last bar of a shifted start.
    """

    bars_to_settle: int
    settled: bool


def check_look_ahead(
    strategy: Strategy, params: StrategyParams, candles: Candles, *, cuts: int, seed: int
) -> LookAhead:
    """Recomputes signals on candles cut off at random bars and compares them with those on all candles.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: at least two bars.
        cuts: at how many bars to cut.
        seed: of the choice of bars.

    Raises:
        StrategyFaulty: the strategy raised, or answered something else than signals.
    """
    rng = np.random.default_rng(seed)
    stops = np.unique(rng.integers(1, max(len(candles), 2), size=cuts))
    return _compared(strategy, params, candles, [int(stop) for stop in stops])


def light_look_ahead_check(
    strategy: Strategy, params: StrategyParams, candles: Sequence[Candles], seed: int
) -> LookAhead:
    """The same on a stretch of one symbol's candles, quick enough for every run.

    The stretch is 1 000 bars long and grows to 64 000 while it holds no signal.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: each symbol's candles, none empty.
        seed: of the choice of symbol, stretch and bars.

    Raises:
        StrategyFaulty: as above.
    """
    rng = np.random.default_rng(seed)
    own = candles[int(rng.integers(len(candles)))]
    verdict = None
    for bars in LIGHT_BARS:
        start = int(rng.integers(0, max(len(own) - bars, 0) + 1))
        stretch = own.slice(start, min(start + bars, len(own)))
        stops = rng.integers(len(stretch) // 2, max(len(stretch), 1), size=LIGHT_CUTS)
        verdict = _compared(strategy, params, stretch, [max(int(stop), 1) for stop in stops])
        if verdict.signals or not verdict.passed or len(stretch) == len(own):
            break
    assert verdict is not None
    return verdict


def measure_warm_up(
    strategy: Strategy, params: StrategyParams, candles: Candles, *, starts: int, seed: int
) -> WarmUp:
    """Recomputes signals on candles that start later and counts the bars until they are the same.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: at least two bars.
        starts: how many later starts to try, all in the first half.
        seed: of the choice of starts.

    Raises:
        StrategyFaulty: as above.
    """
    rng = np.random.default_rng(seed)
    full = signals_of(strategy, params, candles)
    longest, settled = 0, True
    for start in rng.integers(1, max(len(candles) // 2, 2), size=starts):
        first = min(int(start), len(candles) - 1)
        later = signals_of(strategy, params, candles.slice(first, len(candles)))
        differs = [
            int(bars[-1]) + 1
            for name in FLAGS
            if len(bars := np.flatnonzero(getattr(full, name)[first:] != getattr(later, name)))
        ]
        longest = max([longest, *differs])
        settled = settled and len(candles) - first not in differs
    return WarmUp(longest, settled)


def _compared(
    strategy: Strategy, params: StrategyParams, candles: Candles, stops: Sequence[int]
) -> LookAhead:
    full = signals_of(strategy, params, candles)
    found = None
    for stop in stops:
        seen = signals_of(strategy, params, candles.slice(0, stop))
        found = found or _first_difference(full, seen, candles, stop)
    compared = max(stops, default=0)
    signals = full.entry[:compared] | full.exit[:compared] | full.short_entry[:compared]
    return LookAhead(
        passed=found is None,
        symbol=candles.symbol,
        bars=len(candles),
        cuts=len(stops),
        signals=int(np.count_nonzero(signals | full.short_exit[:compared])),
        difference=found,
    )


def _first_difference(
    full: CheckedSignals, seen: CheckedSignals, candles: Candles, stop: int
) -> Difference | None:
    changed = {name: getattr(full, name)[:stop] != getattr(seen, name) for name in FLAGS}
    changed["confidence"] = np.abs(full.confidence[:stop] - seen.confidence) > CONFIDENCE_TOLERANCE
    for name, bars in changed.items():
        if bars.any():
            bar = int(np.argmax(bars))
            return Difference(name, f"{candles.timestamp[bar]}Z", f"{candles.timestamp[stop - 1]}Z")
    return None
