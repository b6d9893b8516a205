"""Safety nets for strategies: do signals know the future, and how long do they remember the start?

A signal at bar t may use bars up to and including t only, so cutting off the bars after t must not change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.inputs import signals_of
from backtest_pipeline.model.errors import StrategyFaulty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.signals import CheckedSignals, Strategy, StrategyParams

FLAGS = ("entry", "exit", "short_entry", "short_exit")

# Sums over windows of another length may differ in the last digits of a confidence.
CONFIDENCE_TOLERANCE = 1e-9

LIGHT_BARS = 1_000
LIGHT_BARS_AFTER = 250
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
    """Recomputes signals on candles that are cut off and compares them with those on all candles.

    Half of the cuts come right after a bar with a signal, where knowledge of the next bar shows first; the
    others come after any bar.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: at least one bar.
        cuts: at how many bars to cut.
        seed: of the choice of bars.

    Raises:
        StrategyFaulty: the strategy raised, or answered something else than signals.
    """
    return _compared(strategy, params, candles, cuts, np.random.default_rng(seed))


def light_look_ahead_check(
    strategy: Strategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    signal_bars: Sequence[NDArray[np.int64]],
    seed: int,
) -> LookAhead:
    """The same on a thousand bars around one of the signals, quick enough for every run.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: each symbol's candles, none empty.
        signal_bars: bars at which each symbol's candles gave signals.
        seed: of the choice of symbol, signal and bars.

    Raises:
        StrategyFaulty: as above.
    """
    rng = np.random.default_rng(seed)
    symbol = int(rng.integers(len(candles)))
    own, bars = candles[symbol], signal_bars[symbol]
    middle = int(rng.choice(bars)) if len(bars) else int(rng.integers(len(own)))
    start = max(middle - LIGHT_BARS + LIGHT_BARS_AFTER, 0)
    stretch = own.slice(start, min(start + LIGHT_BARS, len(own)))
    return _compared(strategy, params, stretch, LIGHT_CUTS, rng)


def look_ahead_of_run(
    strategy: Strategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    signal_bars: Sequence[NDArray[np.int64]],
    seed: int,
) -> tuple[dict[str, Any], list[str]]:
    """The light check's verdict for the record, and in sentences, of which there are none where it passes.

    A strategy that cannot work on fewer candles is no reason to fail a run that needed none of this.
    """
    try:
        verdict = light_look_ahead_check(strategy, params, candles, signal_bars, seed)
    except StrategyFaulty as error:
        could_not = f"The look-ahead check could not be done on a part of the candles: {error}."
        return {"passed": None, "problem": str(error)}, [could_not]
    if verdict.difference is None:
        return verdict.to_dict(), []
    changed = verdict.difference
    remark = (
        f"The strategy looks ahead: its {changed.signal} at {changed.timestamp} changes when the candles "
        f"after {changed.cut_after} are cut off, so this result cannot be had in a market."
    )
    return verdict.to_dict(), [remark]


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
    strategy: Strategy, params: StrategyParams, candles: Candles, cuts: int, rng: np.random.Generator
) -> LookAhead:
    full = signals_of(strategy, params, candles)
    marked = full.entry | full.exit | full.short_entry | full.short_exit
    stops = _cuts(marked, cuts, rng)
    found = None
    for stop in stops:
        seen = signals_of(strategy, params, candles.slice(0, stop))
        found = found or _first_difference(full, seen, candles, stop)
    return LookAhead(
        passed=found is None,
        symbol=candles.symbol,
        bars=len(candles),
        cuts=len(stops),
        signals=int(np.count_nonzero(marked[: max(stops)])),
        difference=found,
    )


def _cuts(marked: NDArray[np.bool_], cuts: int, rng: np.random.Generator) -> list[int]:
    """Numbers of bars to keep, each at least one."""
    after_signals = np.flatnonzero(marked) + 1
    stops = rng.integers(1, max(len(marked), 2), size=cuts)
    if len(after_signals):
        stops[: (cuts + 1) // 2] = rng.choice(after_signals, size=(cuts + 1) // 2)
    return sorted({int(stop) for stop in stops})


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
