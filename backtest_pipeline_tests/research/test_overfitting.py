"""Cross-validation of a search against a slow reference, written from the paper in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import rankdata

from backtest_pipeline.research.block_sharpe import TrialBlocks
from backtest_pipeline.research.overfitting import Overfitting, pbo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def _order(returns: list[Fraction]) -> Fraction:
    """A number that orders as the Sharpe ratio does: its square with its sign; 0 where nothing varies."""
    mean = sum(returns, Fraction()) / len(returns)
    variance = sum(((value - mean) ** 2 for value in returns), Fraction()) / (len(returns) - 1)
    return mean * abs(mean) / variance if variance else Fraction()


def _logits_by_the_paper(returns: Floats, blocks: int) -> list[float]:
    """Steps 2 to 5 of CSCV: submatrices, their combinations, ranks of the winners out of sample."""
    bars, trials = returns.shape
    parts = [range(block * bars // blocks, (block + 1) * bars // blocks) for block in range(blocks)]
    logits = []
    for chosen in combinations(range(blocks), blocks // 2):
        scores = []
        for inside in (True, False):
            rows = [row for block in range(blocks) if (block in chosen) is inside for row in parts[block]]
            scores.append([_order([Fraction(float(returns[row, n])) for row in rows]) for n in range(trials)])
        winner = scores[0].index(max(scores[0]))
        places = {score: place for place, score in enumerate(sorted(set(scores[1])))}
        rank = rankdata([places[score] for score in scores[1]], method="average")[winner]
        share = rank / (trials + 1)
        logits.append(float(np.log(share / (1 - share))))
    return logits


def _with_ties(seed: int) -> Floats:
    """Whole returns of 5 to 14 trials; some are copies, one is another's double, one never trades."""
    generator = np.random.default_rng(seed)
    returns = generator.integers(-500, 520, size=(48, 5 + seed)).astype(np.float64)
    returns[:, 1] = returns[:, 0]
    returns[:, 2] = 2 * returns[:, 3]
    returns[:, 4] = 0.0
    return returns


@pytest.mark.parametrize("seed", range(10))
def test_logits_are_those_of_the_paper_ties_included(seed: int) -> None:
    returns = _with_ties(seed)
    expected = _logits_by_the_paper(returns, 6)
    found = _found(returns, 6)
    assert_allclose(found.logits, expected, atol=1e-12)
    assert found.pbo == np.mean(np.asarray(expected) <= 1e-12)


def test_splits_are_all_halves_of_sixteen_blocks() -> None:
    found = _found(np.random.default_rng(0).normal(size=(160, 3)), 16)
    assert len(found.logits) == 12_870  # 16! / (8! 8!)


@pytest.mark.slow
def test_noise_is_a_toss_of_a_coin_on_average_and_an_edge_is_seen() -> None:
    shares = []
    for seed in range(200):
        returns = np.random.default_rng(seed).normal(size=(1000, 50))
        shares.append(_found(returns, 16).pbo)
    assert abs(np.mean(shares) - 0.5) <= 0.03
    returns[:, 7] += 0.25  # a Sharpe ratio of 0.25 a bar, where a half's error is 1/√500
    assert _found(returns, 16).pbo <= 0.02


def test_a_search_of_one_trial_has_no_winner() -> None:
    assert pbo(TrialBlocks.of_returns(np.ones((32, 1)), 4)) is None


def test_an_odd_number_of_blocks_has_no_halves() -> None:
    with pytest.raises(ValueError, match="3 is odd"):
        pbo(TrialBlocks.of_returns(np.ones((32, 2)), 3))


def _found(returns: Floats, blocks: int) -> Overfitting:
    found = pbo(TrialBlocks.of_returns(returns, blocks))
    assert found is not None
    return found
