"""Safety nets for portfolio strategies: do weights know the future, and how long do they remember the start?

As `lookahead` for signals: the weights of a row may use rows up to and including it only. So they must not
change when the rows after it are cut off, nor when others stand in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.continuation import OTHER_BARS, Manner
from backtest_pipeline.engine.inputs import strategy_warmup_bars
from backtest_pipeline.engine.light_lookahead import (
    BARS_PER_PROBE,
    COMPARED_BARS,
    FEWEST_PROBES,
    MANNERS,
    STRETCH_BARS,
    Asked,
    is_explained,
    spread,
)
from backtest_pipeline.engine.lookahead import CONFIRMATIONS, WarmUp, verdict_and_remarks
from backtest_pipeline.engine.lookahead_probe import LookAhead
from backtest_pipeline.engine.lookahead_search import STRETCH_CUTS, searched
from backtest_pipeline.engine.signal_comparison import FLOAT_TOLERANCE
from backtest_pipeline.engine.weight_probe import WeightProbe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.panel_building import SeenPanel
    from backtest_pipeline.engine.portfolio_answers import CheckedWeights
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
    from backtest_pipeline.model.strategy import StrategyParams

LONGEST_STRETCH_BARS = 2_000


def check_portfolio_look_ahead(
    strategy: PortfolioStrategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    seen: SeenPanel,
    *,
    cuts: int,
    seed: int,
    stretch_cuts: int = STRETCH_CUTS,
) -> LookAhead:
    """Recompute weights on panels that end or go on differently, and compare them up to that row.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: each symbol's, none empty.
        seen: their panel.
        cuts: after how many rows to cut the whole panel.
        seed: of the choice of rows, and of the strategy's generator.
        stretch_cuts: after how many rows to cut stretches at most.

    Raises:
        StrategyFaulty: as `lookahead_search.searched`.
    """
    probe = WeightProbe(strategy, params, candles, seen, seed, CONFIRMATIONS)
    return searched(probe, cuts=cuts, stretch_cuts=stretch_cuts, seed=seed)


def look_ahead_of_portfolio_run(
    strategy: PortfolioStrategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    seen: SeenPanel,
    weights: CheckedWeights,
    seed: int,
) -> tuple[dict[str, Any], list[str]]:
    """The light check's verdict for the record, and in sentences, of which there are none where it passes."""
    return verdict_and_remarks(lambda: light_portfolio_check(strategy, params, candles, seen, weights, seed))


def light_portfolio_check(
    strategy: PortfolioStrategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    seen: SeenPanel,
    weights: CheckedWeights,
    seed: int,
) -> LookAhead:
    """Recompute weights on a few stretches of the panel, quick enough for every run.

    Half of them end at rows that are acted upon, half at any row, and one before the last symbol begins,
    which shows whether it was expected. They go on with the contrary of what came.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: each symbol's, none empty.
        seen: their panel.
        weights: what the strategy answered on it.
        seed: of the choice of rows, and of the strategy's generator.

    Raises:
        StrategyFaulty: the strategy could answer on none of the stretches, or gave two answers to one.
    """
    probe = WeightProbe(strategy, params, candles, seen, seed, jitters=1)
    done = Asked(symbol=candles[0].symbol)
    last = probe.bars - 2  # after the last row nothing can change
    acted = np.flatnonzero(weights.acted_rows[: last + 1])
    warm_up = min(strategy_warmup_bars(strategy, params), LONGEST_STRETCH_BARS)
    stretch_bars = max(STRETCH_BARS, warm_up + COMPARED_BARS + OTHER_BARS)
    explained = True
    for number, row in enumerate(_rows_to_ask(seen, acted, last, seed)):
        start = max(row + 1 + OTHER_BARS - stretch_bars, 0)
        manner = MANNERS[number // 2 % len(MANNERS)]
        explained &= is_explained(probe, weights, start, row, manner, done, stretch_bars)
        if done.difference is not None:
            return done.verdict()
    if not explained:
        later = acted[np.searchsorted(acted, COMPARED_BARS) :]
        row = int(later[0]) if len(later) else min(COMPARED_BARS, last)
        is_explained(probe, weights, 0, row, Manner.EXTREME, done, stretch_bars)
    return done.verdict()


def _rows_to_ask(seen: SeenPanel, acted: NDArray[np.int64], last: int, seed: int) -> list[int]:
    """Rows that are acted upon and any rows in turn, and the one before the last symbol begins."""
    if last < 0:
        return []
    rows = []
    for number in range(FEWEST_PROBES + len(seen.panel) // BARS_PER_PROBE):
        place = spread(seed, number + 1)
        of_acted = number % 2 == 0 and len(acted) > 0
        rows.append(int(acted[int(place * len(acted))]) if of_acted else int(place * (last + 1)))
    begins = max(int(own[0]) for own in seen.rows)
    return [*rows, begins - 1] if begins > 0 else rows


def measure_portfolio_warm_up(
    strategy: PortfolioStrategy,
    params: StrategyParams,
    candles: Sequence[Candles],
    seen: SeenPanel,
    *,
    starts: int,
    seed: int,
) -> WarmUp:
    """Recompute weights on panels that start later and count the rows until they are the same.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: each symbol's, none empty.
        seen: their panel.
        starts: how many later starts to try, all in the first half.
        seed: of the choice of starts.

    Raises:
        StrategyFaulty: the strategy raised, or answered something else than weights.
    """
    probe = WeightProbe(strategy, params, candles, seen, seed, CONFIRMATIONS)
    rng = np.random.default_rng(seed)
    full = probe.true_answer(0, probe.bars).weights
    longest, settled = 0, True
    for start in rng.integers(1, max(probe.bars // 2, 2), size=starts):
        first = min(int(start), probe.bars - 1)
        later = probe.true_answer(first, probe.bars).weights
        same = np.isclose(full[first:], later, rtol=FLOAT_TOLERANCE, atol=FLOAT_TOLERANCE, equal_nan=True)
        rows = np.flatnonzero((~same).any(axis=1))
        longest = max(longest, int(rows[-1]) + 1 if len(rows) else 0)
        settled = settled and len(later) - 1 not in rows
    return WarmUp(longest, settled)
