"""Safety nets for strategies: do signals know the future, and how long do they remember the start?

A signal at bar t may use bars up to and including t only. So it must not change when the bars after t are cut
off, nor when others stand in their place. `check_look_ahead` tries both after every bar, which is affordable
because most is done on stretches just long enough for the strategy to warm up; `light_look_ahead_check` is
what every run can afford.

What nobody can find by asking: a strategy that reads the future from somewhere else than its candles, that
recognises the candles, or whose knowledge of later bars decides at a bar that was not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.inputs import signals_of
from backtest_pipeline.engine.light_lookahead import light_look_ahead_check
from backtest_pipeline.engine.lookahead_probe import Difference, LookAhead
from backtest_pipeline.engine.lookahead_search import STRETCH_CUTS, searched
from backtest_pipeline.engine.signal_comparison import FLAGS
from backtest_pipeline.engine.signal_probe import SignalProbe
from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.errors import StrategyFaulty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request_values import Direction
    from backtest_pipeline.model.signal_checks import CheckedSignals
    from backtest_pipeline.model.strategy import Strategy, StrategyParams

__all__ = [
    "CONFIRMATIONS",
    "FLAGS",
    "STRETCH_CUTS",
    "Difference",
    "LookAhead",
    "WarmUp",
    "check_look_ahead",
    "light_look_ahead_check",
    "look_ahead_of_run",
    "measure_warm_up",
    "verdict_and_remarks",
]

CONFIRMATIONS = 2


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
    probe = SignalProbe(strategy, params, candles, seed, CONFIRMATIONS)
    return searched(probe, cuts=cuts, stretch_cuts=stretch_cuts, seed=seed)


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
    return verdict_and_remarks(
        lambda: light_look_ahead_check(
            strategy, params, candles, signal_bars, seed, signals=signals, direction=direction
        )
    )


def verdict_and_remarks(check: Callable[[], LookAhead]) -> tuple[dict[str, Any], list[str]]:
    """The verdict of a light check for the record, and in sentences."""
    try:
        verdict = check()
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
