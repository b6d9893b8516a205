"""Safety nets for strategies: do signals know the future, and how long do they remember the start?

A signal at bar t may use bars up to and including t only. So it must not change when the bars after t are cut
off, nor when others stand in their place. `check_look_ahead` tries both after every bar, which is affordable
because most is done on stretches just long enough for the strategy to warm up; `light_look_ahead_check` is
what every run can afford.

What nobody can find by asking: a strategy that reads the future from somewhere else than its candles, that
recognises the candles, or whose knowledge of later bars decides at a bar that was not tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.continuation import Manner
from backtest_pipeline.engine.inputs import signals_of
from backtest_pipeline.engine.light_lookahead import light_look_ahead_check
from backtest_pipeline.engine.lookahead_probe import NOT_REPEATABLE, Difference, LookAhead, Probe
from backtest_pipeline.engine.signal_comparison import FLAGS, first_change, marked_bars
from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.errors import StrategyFaulty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request_values import Direction
    from backtest_pipeline.model.signal_checks import CheckedSignals
    from backtest_pipeline.model.strategy import Strategy, StrategyParams

__all__ = [
    "FLAGS",
    "Difference",
    "LookAhead",
    "WarmUp",
    "check_look_ahead",
    "light_look_ahead_check",
    "look_ahead_of_run",
    "measure_warm_up",
]

STRETCH_CUTS = 20_000
BLOCK_BARS = 64
LATER_BARS = 128
WARM_UPS = (250, 500, 1_000, 2_000, 4_000)
UNSETTLED_WARM_UP = 1_000
WARM_UP_SAMPLES = 4
CONFIRMATIONS = 2

# The contrary of what came shows most; each other manner shows what it cannot.
SHARES = {
    Manner.OPPOSITE: 0.4,
    Manner.CALM: 0.15,
    Manner.AGAINST: 0.125,
    Manner.ALONG: 0.125,
    Manner.EXTREME: 0.05,
    Manner.CUT: 0.15,
}


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
    strategy: Strategy,
    params: StrategyParams,
    candles: Candles,
    *,
    cuts: int,
    seed: int,
    stretch_cuts: int = STRETCH_CUTS,
) -> LookAhead:
    """Recomputes signals on candles that end or go on differently, and compares them up to that bar.

    First all candles up to a bar are followed by nothing or by others, `cuts` times: half of them after bars
    with a flag, each of the four in turn, the others after any bar. Then the same is done on stretches,
    after every bar, or where there are more than `stretch_cuts` of them, after that many, half of them with
    a flag. Each comparison covers the whole stretch up to the bar. It ends with the first difference that
    does not come from rounding.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: at least one bar.
        cuts: after how many bars to cut all candles.
        seed: of the choice of bars, and of the strategy's generator.
        stretch_cuts: after how many bars to cut stretches at most.

    Raises:
        StrategyFaulty: the strategy raised on all candles or wherever they were cut, answered something else
            than signals, or gave two answers to the same candles.
    """
    rng = np.random.default_rng(seed)
    probe = Probe(strategy, params, candles, seed, CONFIRMATIONS)
    bars = len(candles)
    full = probe.true_signals(0, bars)
    if first_change(full, probe.true_signals(0, bars), bars):
        raise StrategyFaulty(strategy.name, NOT_REPEATABLE)
    search = _Search(probe, full, marked_bars(full, 0, bars))
    if not search.whole(_chosen(full, cuts, rng), rng):
        search.stretches(np.sort(_chosen(full, stretch_cuts, rng)), rng)
    if search.refusal is not None and search.refused == search.cuts + search.stretch_cuts:
        raise search.refusal
    return LookAhead(
        passed=search.difference is None,
        symbol=candles.symbol,
        bars=bars,
        cuts=search.cuts,
        signals=search.signals,
        difference=search.difference,
        stretch_cuts=search.stretch_cuts,
        refused=search.refused,
    )


@dataclass(slots=True)
class _Search:
    """Goes through cuts until one shows a difference."""

    probe: Probe
    full: CheckedSignals
    signals: int
    cuts: int = 0
    stretch_cuts: int = 0
    refused: int = 0
    difference: Difference | None = None
    refusal: StrategyFaulty | None = None

    def whole(self, bars: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """Cuts all candles; true when that was enough."""
        for bar, manner in zip(bars.tolist(), _manners(len(bars), rng), strict=True):
            self.cuts += 1
            if self._shows(self.full, 0, len(self.probe.candles), bar, manner):
                return True
        return False

    def stretches(self, bars: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """Cuts stretches, which share their start where the bars are near each other."""
        warm_up = _stretch_warm_up(self.probe, self.full, rng)
        blocks = list(_blocks(bars))
        for place in rng.permutation(len(blocks)):
            block = blocks[place]
            start, stop = max(int(block[0]) - warm_up, 0), len(self.probe.candles)
            true = self.full
            if start > 0:
                stop = min(int(block[-1]) + 1 + LATER_BARS, stop)
                try:
                    true = self.probe.true_signals(start, stop)
                except StrategyFaulty as refusal:
                    self._refuse(refusal, len(block))
                    continue
            for bar, manner in zip(block.tolist(), _manners(len(block), rng), strict=True):
                self.stretch_cuts += 1
                if self._shows(true, start, stop, bar, manner):
                    return True
        return False

    def _shows(self, true: CheckedSignals, start: int, stop: int, bar: int, manner: Manner) -> bool:
        try:
            other = self.probe.signals(start, bar, manner)
        except StrategyFaulty as refusal:
            self.refused += 1
            self.refusal = refusal
            return False
        change = first_change(true, other, bar + 1 - start)
        if change is None or not self.probe.confirmed(other, start, stop, bar, manner):
            return False
        self.difference = self.probe.difference(change, start, bar, manner)
        return True

    def _refuse(self, refusal: StrategyFaulty, bars: int) -> None:
        self.stretch_cuts += bars
        self.refused += bars
        self.refusal = refusal


def look_ahead_of_run(
    strategy: Strategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    signal_bars: Sequence[NDArray[np.int64]],
    seed: int,
    *,
    signals: Sequence[CheckedSignals] | None = None,
    direction: Direction = "both",
) -> tuple[dict[str, Any], list[str]]:
    """The light check's verdict for the record, and in sentences, of which there are none where it passes.

    A strategy that cannot work on fewer candles is no reason to fail a run that needed none of this.
    """
    try:
        verdict = light_look_ahead_check(
            strategy, params, candles, signal_bars, seed, signals=signals, direction=direction
        )
    except StrategyFaulty as error:
        return {"passed": None, "problem": str(error)}, [remark_texts.NOT_CHECKED.format(error)]
    if verdict.difference is None:
        return verdict.to_dict(), []
    changed = verdict.difference
    cut_off = changed.followed_by == "nothing"
    template = remark_texts.LOOKS_AHEAD if cut_off else remark_texts.LOOKS_AHEAD_FURTHER
    return verdict.to_dict(), [template.format(changed.signal, changed.timestamp, changed.cut_after)]


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
    full = signals_of(strategy, params, candles, seed)
    longest, settled = 0, True
    for start in rng.integers(1, max(len(candles) // 2, 2), size=starts):
        first = min(int(start), len(candles) - 1)
        later = signals_of(strategy, params, candles.slice(first, len(candles)), seed)
        differs = [
            int(bars[-1]) + 1
            for name in FLAGS
            if len(bars := np.flatnonzero(getattr(full, name)[first:] != getattr(later, name)))
        ]
        longest = max([longest, *differs])
        settled = settled and len(candles) - first not in differs
    return WarmUp(longest, settled)


def _chosen(full: CheckedSignals, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Bars to cut after, in random order: all but the last, or half of the count with each flag in turn."""
    last = len(full.entry) - 1
    if count >= last:
        return rng.permutation(last)
    marked = [bars for name in FLAGS if len(bars := np.flatnonzero(getattr(full, name)[:last]))]
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


def _stretch_warm_up(probe: Probe, full: CheckedSignals, rng: np.random.Generator) -> int:
    """How many bars before those looked at make the signals those of all candles, as far as a few show."""
    bars = len(probe.candles)
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


def _settles(probe: Probe, full: CheckedSignals, start: int, warm_up: int) -> bool:
    stretch = probe.true_signals(start, start + warm_up + BLOCK_BARS)
    return not first_change(full, stretch, BLOCK_BARS, left_start=start + warm_up, right_start=warm_up)
