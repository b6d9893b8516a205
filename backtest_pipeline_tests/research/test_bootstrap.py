"""Samples of an account's returns: intervals that cover what they say, and orders of trades."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import lfilter

from backtest_pipeline.research.bootstrap import block_length, bootstrap, measure_sample
from backtest_pipeline.research.trade_shuffle import trade_shuffle


@pytest.mark.slow
def test_a_95_percent_interval_of_the_sharpe_ratio_covers_the_true_one_as_often() -> None:
    generator = np.random.default_rng(1)
    correlation, repetitions, covered = 0.2, 1_000, 0
    true = 0.05 * math.sqrt(1 - correlation**2)  # mean 0.05, innovations of variance 1
    for _ in range(repetitions):
        innovations = generator.normal(size=700)
        returns = 0.01 * (0.05 + lfilter([1.0], [1.0, -correlation], innovations)[100:])
        found = bootstrap(returns, 200, generator, coverage=0.95)
        assert found is not None
        assert found.sharpe is not None
        covered += found.sharpe[0] <= true <= found.sharpe[1]
    assert 0.93 <= covered / repetitions <= 0.97


def test_a_sample_is_measured_as_an_account_is() -> None:
    returns = np.array([0.10, -0.50, 0.20])
    figures, curve = np.empty(3), np.empty(4)
    measure_sample(returns, np.array([0, 1, 2, 2]), np.array([0, 1, 2, 4]), figures, curve)
    assert_allclose(curve, [1.0, 1.1, 0.55, 0.55 * 1.2**2])
    drawn = np.array([0.10, -0.50, 0.20, 0.20])
    assert_allclose(figures, [drawn.mean() / drawn.std(ddof=1), math.log(0.55 * 1.44) / 4, 0.5])


def test_returns_that_depend_on_those_before_are_drawn_in_longer_blocks() -> None:
    innovations = np.random.default_rng(3).normal(size=2000)
    assert block_length(lfilter([1.0], [1.0, -0.8], innovations)) > 5 * block_length(innovations)


def test_the_same_seed_gives_the_same_bands() -> None:
    returns = 0.01 * np.random.default_rng(4).normal(size=400)
    first, second = (bootstrap(returns, 100, np.random.default_rng(9)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.bands == second.bands).all()
    assert (first.bands[:, 0] == 1.0).all()
    assert (np.diff(first.bands, axis=0) >= 0.0).all()


def test_returns_that_say_nothing_have_no_intervals() -> None:
    assert bootstrap(np.zeros(100), 10, np.random.default_rng(0)) is None
    assert bootstrap(np.array([0.1, -0.1]), 10, np.random.default_rng(0)) is None


def test_an_account_that_has_lost_everything_has_no_growth_and_falls_all_the_way() -> None:
    """Nine in ten samples of 60 bars hold one of the ten that lose all: 1 - (50 / 60) ** 60 is all but 1."""
    returns = np.tile([0.01, -0.01, 0.02, 0.01, -0.02, -1.0], 10)
    found = bootstrap(returns, 100, np.random.default_rng(0))
    assert found is not None
    assert found.growth is None
    assert found.max_drawdown[1] == 1.0
    assert found.bands[0, -1] == 0.0


def test_the_worst_order_of_trades_has_all_losses_in_a_row() -> None:
    profits = np.array([10.0] * 8 + [-10.0] * 4)  # from 100 up to 180 and down to 140
    found = trade_shuffle(profits, 100.0, 2000, np.random.default_rng(0))
    assert found is not None
    assert_allclose(found.actual, 40 / 180)
    # The deepest of all is 40 of 100, where the losses come first; the mildest 10 of 160 or more.
    assert 10 / 180 < found.median < found.worst_twentieth <= 40 / 100
    assert 0.0 < found.milder_frac < 1.0


def test_few_trades_have_no_order_to_speak_of() -> None:
    assert trade_shuffle(np.ones(9), 100.0, 10, np.random.default_rng(0)) is None
