"""Tests of the best of a search, and how many unlike trials a search has."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from arch.bootstrap import SPA
from numpy.testing import assert_allclose

from backtest_pipeline.research.block_sharpe import TrialBlocks
from backtest_pipeline.research.effective_trials import effective_trials
from backtest_pipeline.research.overfitting import pbo
from backtest_pipeline.research.superior_ability import reality_check, spa

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _blocks(returns: NDArray[np.float64], number: int = 16) -> TrialBlocks:
    return TrialBlocks.of_returns(returns, number)


def _blocks_of(returns: NDArray[np.float64]) -> TrialBlocks:
    """Sixteen blocks of few bars, as the sweep's kernel writes them: empty ones have sums of 0."""
    bars, trials = returns.shape
    edges = [block * bars // 16 for block in range(17)]
    parts = [returns[start:stop] for start, stop in pairwise(edges)]
    return TrialBlocks(
        np.arange(trials),
        np.array([[len(part)] * trials for part in parts]).T,
        np.array([part.sum(axis=0) for part in parts]).T,
        np.array([(part**2).sum(axis=0) for part in parts]).T,
        np.full(trials, 365.0),
    )


def test_sharpe_ratios_follow_from_blocks() -> None:
    returns = np.random.default_rng(0).normal(size=(100, 4))
    returns[:, 2] = 0.0
    found = _blocks(returns).sharpe()
    assert np.isnan(found[2])
    varying = returns[:, [0, 1, 3]]
    assert_allclose(found[[0, 1, 3]], varying.mean(axis=0) / varying.std(axis=0, ddof=1), rtol=1e-12)
    assert _blocks(returns).varying().trial.tolist() == [0, 1, 3]


@pytest.mark.parametrize("edge", [0.0, 0.05, 0.1])
def test_p_values_are_those_of_another_implementation(edge: float) -> None:
    """With many blocks, where what is added for few of them is small."""
    returns = np.random.default_rng(11).normal(size=(6400, 30))
    returns[:, 0] += edge
    blocks = _blocks(returns, 128)
    means = blocks.sum / blocks.count
    other = SPA(np.zeros(128), -means.T, block_size=1, reps=4000, studentize=False, seed=1)
    other.compute()
    ours = reality_check(blocks, 4000, np.random.default_rng(2))
    assert_allclose(ours or 0.0, other.pvalues["upper"], atol=0.03)
    # All trials have the same spread here, so to measure by it changes nothing.
    assert_allclose(
        spa(blocks, 4000, np.random.default_rng(3)) or 0.0, other.pvalues["consistent"], atol=0.05
    )


def test_worthless_trials_beside_it_hide_no_edge_from_the_better_test() -> None:
    generator = np.random.default_rng(5)
    returns = generator.normal(size=(1600, 40))
    returns[:, 0] += 0.12
    returns[:, 20:] = 10 * returns[:, 20:] - 3.0  # wild and hopeless
    blocks = _blocks(returns)
    assert (spa(blocks, 1000, generator) or 0.0) < 0.01
    assert (reality_check(blocks, 1000, generator) or 0.0) > 0.2


def test_the_best_of_noise_is_nothing() -> None:
    generator = np.random.default_rng(6)
    blocks = _blocks(generator.normal(size=(1600, 200)))
    assert (spa(blocks, 1000, generator) or 0.0) > 0.05
    assert blocks.sharpe().max() > 2 / np.sqrt(1600)  # though it looks good


def test_no_trials_answer_no_question() -> None:
    nothing = _blocks(np.zeros((32, 2))).varying()
    assert spa(nothing, 10, np.random.default_rng(0)) is None
    assert reality_check(nothing, 10, np.random.default_rng(0)) is None


@pytest.mark.parametrize("bars", [1, 2, 3, 15])
def test_fewer_bars_than_blocks_answer_no_question(bars: int) -> None:
    """15 bars in 16 blocks: the p-value of a block without a bar would be 0 of 10 samples above nothing."""
    short = _blocks_of(np.random.default_rng(bars).normal(0.01, 0.01, size=(bars, 3)))
    assert spa(short, 10, np.random.default_rng(0)) is None
    assert reality_check(short, 10, np.random.default_rng(0)) is None
    assert pbo(short) is None


def test_a_trial_of_too_few_bars_beside_others_does_not_answer_for_them() -> None:
    """Where starts vary, one trial may be short: the others' answers are what they are without it."""
    long = _blocks_of(np.random.default_rng(2).normal(size=(160, 5)))
    short = _blocks_of(np.array([[9.1], [9.2], [9.3]]))
    both = _joined([long, short])
    for p_value in (spa, reality_check):
        alone, beside = (p_value(own, 500, np.random.default_rng(1)) for own in (long, both))
        assert alone == beside
        assert (alone or 0.0) > 0.0
    first, second = pbo(long), pbo(both)
    assert first is not None
    assert second is not None
    assert first.pbo == second.pbo
    assert effective_trials(both) == effective_trials(long) + 1


def test_unlike_trials_of_few_bars_are_unlike() -> None:
    """Two that rise and fall in turn, and a third that does as the first, twice as far."""
    rising = np.array([0.1, -0.1, 0.1, -0.1])
    other = np.array([0.1, 0.1, -0.1, -0.1])
    assert effective_trials(_blocks_of(np.stack([rising, other, 2 * rising], axis=1))) == 2


def test_ratios_of_hours_and_days_are_brought_to_the_same_bar() -> None:
    """A day's ratio of 0.5 and an hour's of 0.1, where a year has 365 days of 24 hours."""
    day = _with_sharpe(0.5, 160)
    hour = _with_sharpe(0.1, 160 * 24)
    both = _joined([_blocks_of(day), replace(_blocks_of(hour), periods_per_year=np.array([8760.0]))])
    assert_allclose(both.sharpe(), [0.5, 0.1])
    assert_allclose(both.sharpe_per(365.0), [0.5, 0.1 * np.sqrt(24)])
    assert_allclose(both.sharpe_per(8760.0), [0.5 / np.sqrt(24), 0.1])


def test_a_winner_by_hours_is_sought_among_days_by_what_it_earns_for_its_risk_in_a_year() -> None:
    """Of two trials by days each is better for half of the time, and better by the bar than that by hours.

    By the year the hours' ratio of 0.2 is √24 * 0.2 = 0.98 days', the best in every half: nothing is fitted.
    """
    half = [_with_sharpe(0.6, 80), _with_sharpe(0.3, 80)]
    first, second = (_blocks_of(np.concatenate(parts)) for parts in (half, half[::-1]))
    hour = replace(_blocks_of(_with_sharpe(0.2, 160 * 24)), periods_per_year=np.array([8760.0]))
    days, all_three = pbo(_joined([first, second])), pbo(_joined([first, second, hour]))
    assert days is not None
    assert days.pbo > 0.9
    assert all_three is not None
    assert all_three.pbo == 0.0


def _with_sharpe(sharpe: float, bars: int) -> NDArray[np.float64]:
    """Returns of one trial that go up and down in turn, with a ratio by the bar, in each even stretch too."""
    risk = 0.01 * np.sqrt(1 - 1 / bars)  # a standard deviation of 0.01, ddof 1
    return np.tile([sharpe * 0.01 + risk, sharpe * 0.01 - risk], bars // 2)[:, None]


def _joined(parts: list[TrialBlocks]) -> TrialBlocks:
    return TrialBlocks(
        *(np.concatenate([getattr(one, name) for one in parts]) for name in TrialBlocks.__slots__)
    )


def test_copies_of_a_trial_count_once() -> None:
    returns = np.random.default_rng(7).normal(size=(1600, 5))
    near = np.repeat(returns, 20, axis=1) + 0.05 * np.random.default_rng(8).normal(size=(1600, 100))
    assert effective_trials(_blocks(near)) == 5


def test_independent_trials_count_nearly_all() -> None:
    returns = np.random.default_rng(9).normal(size=(1600, 300))
    assert 270 <= effective_trials(_blocks(returns)) <= 300


def test_trials_that_never_trade_count_as_one() -> None:
    returns = np.zeros((160, 4))
    returns[:, 0] = np.random.default_rng(1).normal(size=160)
    assert effective_trials(_blocks(returns)) == 2
