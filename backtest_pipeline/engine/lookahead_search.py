"""Goes through bars of a strategy's candles after which to cut them, until one shows a look-ahead.

First all candles up to a bar are followed by nothing or by others: half the times after bars with a mark,
each kind in turn, the others after any bar. Then the same is done on stretches just long enough for the
strategy to warm up. Each comparison covers the whole stretch up to the bar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import numpy as np

from backtest_pipeline.engine.continuation import Manner
from backtest_pipeline.engine.lookahead_probe import Answer, Difference, LookAhead, Probe
from backtest_pipeline.model.errors import StrategyFaulty

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRETCH_CUTS = 20_000
BLOCK_BARS = 64
LATER_BARS = 128
WARM_UPS = (250, 500, 1_000, 2_000, 4_000)
UNSETTLED_WARM_UP = 1_000
WARM_UP_SAMPLES = 4

# The contrary of what came shows most; each other manner shows what it cannot.
SHARES = {
    Manner.OPPOSITE: 0.4,
    Manner.CALM: 0.15,
    Manner.AGAINST: 0.125,
    Manner.ALONG: 0.125,
    Manner.EXTREME: 0.05,
    Manner.CUT: 0.15,
}


def searched(probe: Probe[Answer], *, cuts: int, stretch_cuts: int, seed: int) -> LookAhead:
    """Searches until there is a difference that does not come from rounding.

    Args:
        probe: whom to ask, about at least one bar.
        cuts: after how many bars to cut all candles.
        stretch_cuts: after how many bars to cut stretches at most.
        seed: of the choice of bars.

    Raises:
        StrategyFaulty: the strategy raised on all candles or wherever they were cut, answered something else
            than it should, or gave two answers to the same candles.
    """
    rng = np.random.default_rng(seed)
    bars = probe.bars
    full = probe.true_answer(0, bars)
    if probe.first_change(full, probe.true_answer(0, bars), bars):
        raise probe.not_repeatable()
    search = _Search(probe, full, probe.symbol)
    if not search.whole(_chosen(probe.flags(full), bars - 1, cuts, rng), rng):
        search.stretches(np.sort(_chosen(probe.flags(full), bars - 1, stretch_cuts, rng)), rng)
    if search.refusal is not None and search.refused == search.cuts + search.stretch_cuts:
        raise search.refusal
    return LookAhead(
        passed=search.difference is None,
        symbol=search.symbol,
        bars=bars,
        cuts=search.cuts,
        signals=probe.marked(full, 0, bars),
        difference=search.difference,
        stretch_cuts=search.stretch_cuts,
        refused=search.refused,
    )


@dataclass(slots=True)
class _Search(Generic[Answer]):
    """Goes through cuts until one shows a difference."""

    probe: Probe[Answer]
    full: Answer
    symbol: str
    cuts: int = 0
    stretch_cuts: int = 0
    refused: int = 0
    difference: Difference | None = None
    refusal: StrategyFaulty | None = None

    def whole(self, bars: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """Cuts all candles; true when that was enough."""
        for bar, manner in zip(bars.tolist(), _manners(len(bars), rng), strict=True):
            self.cuts += 1
            if self._shows(self.full, 0, self.probe.bars, bar, manner):
                return True
        return False

    def stretches(self, bars: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """Cuts stretches, which share their start where the bars are near each other."""
        warm_up = _stretch_warm_up(self.probe, self.full, rng)
        blocks = list(_blocks(bars))
        for place in rng.permutation(len(blocks)):
            block = blocks[place]
            start, stop = max(int(block[0]) - warm_up, 0), self.probe.bars
            true = self.full
            if start > 0:
                stop = min(int(block[-1]) + 1 + LATER_BARS, stop)
                try:
                    true = self.probe.true_answer(start, stop)
                except StrategyFaulty as refusal:
                    self._refuse(refusal, len(block))
                    continue
            for bar, manner in zip(block.tolist(), _manners(len(block), rng), strict=True):
                self.stretch_cuts += 1
                if self._shows(true, start, stop, bar, manner):
                    return True
        return False

    def _shows(self, true: Answer, start: int, stop: int, bar: int, manner: Manner) -> bool:
        try:
            other = self.probe.answer(start, bar, manner)
        except StrategyFaulty as refusal:
            self.refused += 1
            self.refusal = refusal
            return False
        change = self.probe.first_change(true, other, bar + 1 - start)
        if change is None or not self.probe.confirmed(other, start, stop, bar, manner):
            return False
        self.difference = self.probe.difference(change, start, bar, manner)
        self.symbol = change.symbol
        return True

    def _refuse(self, refusal: StrategyFaulty, bars: int) -> None:
        self.stretch_cuts += bars
        self.refused += bars
        self.refusal = refusal


def _chosen(
    flags: list[NDArray[np.bool_]], last: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Bars to cut after, in random order: all but the last, or half of the count with each mark in turn."""
    if count >= last:
        return rng.permutation(last)
    marked = [bars for own in flags if len(bars := np.flatnonzero(own[:last]))]
    share = -(-count // 2) // max(len(marked), 1)
    picked = [rng.choice(bars, size=min(max(share, 1), len(bars)), replace=False) for bars in marked]
    flagged = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *picked]))[: max(count, 0)]
    others = np.setdiff1d(rng.permutation(last)[:count], flagged)
    return rng.permutation(np.concatenate([flagged, rng.permutation(others)[: count - len(flagged)]]))


def _manners(count: int, rng: np.random.Generator) -> list[Manner]:
    drawn = rng.choice([int(manner) for manner in SHARES], size=count, p=list(SHARES.values()))
    return [Manner(manner) for manner in drawn.tolist()]


def _blocks(bars: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Sorted bars in groups that span less than `BLOCK_BARS` bars."""
    first = 0
    while first < len(bars):
        stop = int(np.searchsorted(bars, bars[first] + BLOCK_BARS))
        yield bars[first:stop]
        first = stop


def _stretch_warm_up(probe: Probe[Answer], full: Answer, rng: np.random.Generator) -> int:
    """How many bars before those looked at make the answers those on all candles, as far as a few show."""
    bars = probe.bars
    for warm_up in WARM_UPS:
        if warm_up + BLOCK_BARS >= bars:
            return bars
        try:
            if all(
                _settles(probe, full, int(start), warm_up)
                for start in rng.integers(0, bars - warm_up - BLOCK_BARS, size=WARM_UP_SAMPLES)
            ):
                return warm_up
        except StrategyFaulty:  # too few candles for it
            continue
    return UNSETTLED_WARM_UP


def _settles(probe: Probe[Answer], full: Answer, start: int, warm_up: int) -> bool:
    stretch = probe.true_answer(start, start + warm_up + BLOCK_BARS)
    return not probe.first_change(full, stretch, BLOCK_BARS, left_start=start + warm_up, right_start=warm_up)
