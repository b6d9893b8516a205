"""The look-ahead check of every run: a few short recomputations, placed where they show most.

One recomputation shows what signals know about the bars after one bar, so all depends on the choice of that
bar and of what follows it. A bar at which a flag stands is worth most: whatever the flag asks of later bars
came true, so the contrary must take it away, be it a condition or a veto. Hence each kind of flag is looked
up at one of its bars, on a stretch of `STRETCH_BARS` that ends there and goes on with the contrary of what
came. Where the last bars have the run's own signals the strategy is done with, at the cost of one short call.
Where they differ, the stretch may only be too short to warm up; a second call on the same stretch as it was
distinguishes the two. Where it does not, the candles end in extremes after the first bar with a signal, which
must be there still: one that hangs on a mean, a maximum or a rank of the whole series is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backtest_pipeline.engine.continuation import OTHER_BARS, Manner
from backtest_pipeline.engine.lookahead_probe import Answer, Difference, LookAhead, Probe
from backtest_pipeline.engine.signal_probe import SignalProbe
from backtest_pipeline.model.errors import StrategyFaulty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bars = NDArray[np.bool_] | NDArray[np.int64]

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request_values import Direction
    from backtest_pipeline.model.signal_checks import CheckedSignals
    from backtest_pipeline.model.strategy import Strategy, StrategyParams

STRETCH_BARS = 250
COMPARED_BARS = 100
LATER_BARS = 250
FEWEST_PROBES = 2
BARS_PER_PROBE = 20_000
PROBES_PER_SYMBOL = 2
TRIES = 6
MANNERS = (Manner.OPPOSITE, Manner.OPPOSITE, Manner.CALM, Manner.ALONG, Manner.AGAINST)
EXITS_OF: dict[Direction, tuple[str, ...]] = {
    "long": ("exit",),
    "short": ("short_exit",),
    "both": ("exit", "short_exit"),
}

# Multiples of these, modulo 1, spread evenly (Roberts 2018); a generator would cost a tenth of the check.
SPREAD_SEEDS, SPREAD_PROBES = 0.7548776662466927, 0.5698402909980532


def light_look_ahead_check(
    strategy: Strategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    signal_bars: Sequence[NDArray[np.int64]],
    seed: int,
    *,
    signals: Sequence[CheckedSignals] | None = None,
    direction: Direction = "both",
) -> LookAhead:
    """Recomputes signals on a few short stretches, quick enough for every run.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: each symbol's candles, none empty.
        signal_bars: bars at which each symbol's candles gave signals to enter.
        seed: of the choice of symbols and bars, and of the strategy's generator.
        signals: what the strategy answered on each symbol's candles, if that is known.
        direction: which exits matter.

    Raises:
        StrategyFaulty: the strategy could answer on none of the stretches, or answered something else than
            signals, or gave two answers to the same question.
    """
    probes = FEWEST_PROBES + sum(len(own) for own in candles) // BARS_PER_PROBE
    first = int(spread(seed, 0) * len(candles))
    symbols = -(-probes // PROBES_PER_SYMBOL)
    done = Asked(symbol=candles[first].symbol)
    for turn in range(min(symbols, len(candles))):
        place = (first + turn) % len(candles)
        probe = SignalProbe(strategy, params, candles[place], seed, jitters=1)
        full = signals[place] if signals is not None else probe.true_answer(0, len(candles[place]))
        kinds = _kinds(full, signal_bars[place], direction)
        _ask(probe, full, kinds, probes if len(candles) == 1 else PROBES_PER_SYMBOL, turn, done)
        if done.difference is not None:
            break
    return done.verdict()


class _Kind(NamedTuple):
    """Bars with one kind of signal, as numbers or as flags, and whether it hopes for a rise."""

    bars: Bars
    rises: bool


@dataclass(slots=True)
class Asked:
    """What a light check has asked so far."""

    symbol: str
    bars: int = 0
    asked: int = 0
    refused: int = 0
    signals: int = 0
    difference: Difference | None = None
    refusal: StrategyFaulty | None = None

    def verdict(self) -> LookAhead:
        """The verdict.

        Raises:
            StrategyFaulty: the strategy could answer nothing that was asked.
        """
        if self.asked == self.refused and self.refusal is not None:
            raise self.refusal
        return LookAhead(
            passed=self.difference is None,
            symbol=self.symbol,
            bars=self.bars,
            cuts=self.asked,
            signals=self.signals,
            difference=self.difference,
            refused=self.refused,
        )


def _ask(
    probe: SignalProbe, full: CheckedSignals, kinds: list[_Kind], probes: int, turn: int, done: Asked
) -> None:
    last = len(probe.candles) - 2  # after the last bar nothing can change
    explained = True
    for number in range(probes if last >= 0 else 0):
        place = spread(probe.seed, turn * PROBES_PER_SYMBOL + number + 1)
        turn_of_kind = number // max(len(kinds), 1)
        bar = int(place * (last + 1))
        if kinds:
            kind = kinds[number % len(kinds)]
            bar = min(_bar_of(kind, place, probe.candles.close, TRIES if turn_of_kind == 0 else 1), last)
        start = max(bar + 1 + OTHER_BARS - STRETCH_BARS, 0)
        explained &= is_explained(probe, full, start, bar, MANNERS[turn_of_kind % len(MANNERS)], done)
        if done.difference is not None:
            return
    if not explained:
        first = min((_first_bar_of(kind.bars) for kind in kinds), default=COMPARED_BARS)
        is_explained(probe, full, 0, min(first, last), Manner.EXTREME, done)


def is_explained(
    probe: Probe[Answer],
    full: Answer,
    start: int,
    bar: int,
    manner: Manner,
    done: Asked,
    stretch_bars: int = STRETCH_BARS,
) -> bool:
    """Asks once; false where the answer is not the run's, though nothing shows knowledge of the future.

    Args:
        probe: whom to ask.
        full: the run's answer.
        start: of the stretch.
        bar: the last true one of the stretch.
        manner: how it goes on.
        done: where to note what is found.
        stretch_bars: length of the stretch.
    """
    done.asked += 1
    done.bars += min(stretch_bars, probe.bars)
    compared = min(stretch_bars if start == 0 else COMPARED_BARS, bar + 1)
    tail = bar + 1 - compared
    done.signals += probe.marked(full, tail, bar + 1)
    stop = probe.bars
    try:
        other = probe.answer(start, bar, manner)
        change = probe.first_change(full, other, compared, left_start=tail, right_start=tail - start)
        if change is None:
            return True
        change = replace(change, place=change.place + tail - start)
        if start > 0:
            stop = min(bar + 1 + LATER_BARS, stop)
            change = probe.first_change(probe.true_answer(start, stop), other, bar + 1 - start)
        if change is not None and probe.confirmed(other, start, stop, bar, manner):
            done.difference = probe.difference(change, start, bar, manner)
            done.symbol = change.symbol
    except StrategyFaulty as refusal:
        done.refused += 1
        done.refusal = refusal
    return start == 0


def _kinds(full: CheckedSignals, signal_bars: NDArray[np.int64], direction: Direction) -> list[_Kind]:
    """The entries' bars, then the exits' flags, the rarer ones first; kinds that never occur are left out."""
    exits = [_Kind(getattr(full, name), rises=name == "short_exit") for name in EXITS_OF[direction]]
    exits = sorted((kind for kind in exits if kind.bars.any()), key=lambda kind: np.count_nonzero(kind.bars))
    entries = [_Kind(signal_bars, rises=direction != "short")] if len(signal_bars) else []
    return entries + exits


def _bar_of(kind: _Kind, place: float, close: NDArray[np.float64], tries: int) -> int:
    """A bar of this kind, if possible one after which the close moved as the signal hopes.

    By its rank among numbered bars, or the first from there on among flags. A signal that knows the future
    has mostly seen what it hopes for, and the contrary of that takes most kinds of knowledge away.
    """
    bars, rises = kind
    is_numbered = bars.dtype != np.bool_
    rank = int(place * len(bars))
    first = -1
    for _ in range(tries):
        rank %= len(bars)
        if is_numbered:
            bar = int(bars[rank])
        else:
            bar = rank + int(bars[rank:].argmax())
            if not bars[bar]:
                bar = int(bars.argmax())
            rank = bar
        if bar + 1 < len(close) and close[bar + 1] != close[bar] and (close[bar + 1] > close[bar]) == rises:
            return bar
        first = bar if first < 0 else first
        rank += 1
    return first


def _first_bar_of(bars: Bars) -> int:
    """The first bar of a kind with some bars before it."""
    if bars.dtype != np.bool_:
        later = bars[np.searchsorted(bars, COMPARED_BARS) :]
        return int(later[0]) if len(later) else int(bars[-1])
    return COMPARED_BARS + int(bars[COMPARED_BARS:].argmax()) if len(bars) > COMPARED_BARS else len(bars)


def spread(seed: int, number: int) -> float:
    """A number from 0 to below 1; those of one seed lie far from each other."""
    return (seed % 2**32 * SPREAD_SEEDS + number * SPREAD_PROBES + 0.28) % 1.0
