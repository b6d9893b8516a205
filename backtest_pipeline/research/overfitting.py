"""Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.compiled import compiled, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.block_sharpe import TrialBlocks

    Floats = NDArray[np.float64]

FEWEST_TRIALS = 2
_ROUNDING = 1e-12  # as that of `block_sharpe`; a kernel's constants stand in its own file
_Counts = types.Array(types.int64, 2, "C", readonly=True)
_Sums = types.Array(types.float64, 2, "C", readonly=True)
_Halves = types.Array(types.int64, 1, "C", readonly=True)
_Periods = types.Array(types.float64, 1, "C", readonly=True)
_Out = types.Array(types.float64, 1, "C")


@dataclass(frozen=True, eq=False, slots=True)
class Overfitting:
    """What cross-validation of a search finds.

    Attributes:
        pbo: share of splits whose winner in sample is in the lower half out of sample; a tie with the middle
            counts as lower.
        logits: shape (splits,), ln(ω / (1 - ω)) of the relative rank ω out of sample of each split's winner.
    """

    pbo: float
    logits: Floats


def pbo(blocks: TrialBlocks) -> Overfitting | None:
    """Return the probability of backtest overfitting of a search; `None` below two trials of enough bars.

    Time is cut into S even blocks. For each choice of S/2 of them the trial with the best Sharpe ratio in
    these (in sample) is ranked by its Sharpe ratio in the others: 1 the worst of N, ties by average rank;
    ω = rank / (N + 1). Of trials that are equally good in sample the first wins. A trial whose returns do
    not vary in a half has a Sharpe ratio of 0 there: it neither earns nor loses. One with fewer bars than
    blocks is left out. Ratios are compared per year, as bars of trials may differ in length.

    Bailey, Borwein, López de Prado & Zhu (2017), "The Probability of Backtest Overfitting". Every half's
    Sharpe ratio follows from counts, sums and sums of squares of its blocks, so no matrix of returns is
    needed: time is of the order of trials times splits, memory of trials plus splits.

    Args:
        blocks: of the trials that were run; an even number of blocks.

    Raises:
        ValueError: the number of blocks is odd.
    """
    number = blocks.count.shape[1]
    if number % 2:
        raise ValueError(f"CSCV halves the blocks of time, and {number} is odd")
    blocks = blocks.filled()
    if len(blocks) < FEWEST_TRIALS:
        return None
    # In this order the complement of a half is as far from the end as the half is from the beginning.
    halves = np.array(
        [sum(1 << block for block in chosen) for chosen in combinations(range(number), number // 2)]
    )
    winner_in, winner_out = np.full(len(halves), -np.inf), np.empty(len(halves))
    below, equal = np.zeros((2, len(halves)))
    cross_validate(
        np.ascontiguousarray(blocks.count),
        np.ascontiguousarray(blocks.sum),
        np.ascontiguousarray(blocks.sum_squares),
        blocks.periods_per_year / blocks.periods_per_year.max(),
        halves,
        winner_in,
        winner_out,
        below,
        equal,
    )
    rank = below + (equal + 1) / 2
    share = rank / (len(blocks) + 1)
    logits = np.log(share / (1 - share))
    return Overfitting(float((2 * rank <= len(blocks) + 1).mean()), logits)


@compiled()
def _score_halves(
    counts: Any, sums: Any, squares: Any, periods: float, halves: Any, parts: Any, found: Any
) -> None:
    """Writes what orders trials by their Sharpe ratio in each half, from sums over early and late subsets."""
    low_bits = len(counts) // 2
    low_mask = (1 << low_bits) - 1
    for side in range(2):
        for subset in range(1 << low_bits):
            count = total = square = 0.0
            for bit in range(low_bits):
                if subset >> bit & 1:
                    count += counts[side * low_bits + bit]
                    total += sums[side * low_bits + bit]
                    square += squares[side * low_bits + bit]
            parts[side, 0, subset] = count
            parts[side, 1, subset] = total
            parts[side, 2, subset] = square
    for split in range(len(halves)):
        low, high = halves[split] & low_mask, halves[split] >> low_bits
        count = parts[0, 0, low] + parts[1, 0, high]
        total = parts[0, 1, low] + parts[1, 1, high]
        square = parts[0, 2, low] + parts[1, 2, high]
        # The ratio's square with its sign: one division and no root, and the same order.
        spread = count * square - total * total
        varies = spread > _ROUNDING * count * square
        found[split] = periods * (total * abs(total) * (count - 1.0) / (count * spread)) if varies else 0.0


@compiled(types.void(_Counts, _Sums, _Sums, _Periods, _Halves, _Out, _Out, _Out, _Out))
def cross_validate(
    counts: Any,
    sums: Any,
    squares: Any,
    periods: Any,
    halves: Any,
    winner_in: Any,
    winner_out: Any,
    below: Any,
    equal: Any,
) -> None:
    """Finds each split's winner, then how many trials are below it and how many equal to it out of sample.

    The Sharpe ratios are made twice, which is cheaper than to keep them.
    """
    trials, splits = len(counts), len(halves)
    subsets = 1 << counts.shape[1] // 2
    parts, found = np.empty((2, 3, subsets)), np.empty(splits)
    for trial in range(trials):
        _score_halves(counts[trial], sums[trial], squares[trial], periods[trial], halves, parts, found)
        for split in range(splits):
            if found[split] > winner_in[split]:
                winner_in[split] = found[split]
                winner_out[split] = found[splits - 1 - split]
    for trial in range(trials):
        _score_halves(counts[trial], sums[trial], squares[trial], periods[trial], halves, parts, found)
        for split in range(splits):
            outcome = found[splits - 1 - split]
            below[split] += outcome < winner_out[split]
            equal[split] += outcome == winner_out[split]
