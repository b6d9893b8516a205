"""Statistics of the Sharpe ratio against values of the papers and an independent implementation."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from skfolio.measures import deflated_sharpe_ratio, probabilistic_sharpe_ratio

from backtest_pipeline.research.sharpe_confidence import (
    SharpeMoments,
    deflated_sharpe,
    expected_best_sharpe,
    minimum_track_record_bars,
    probabilistic_sharpe,
)

YEAR = 250
OF_PAPER = SharpeMoments(sharpe=2.5 / math.sqrt(YEAR), skewness=-3.0, kurtosis=10.0, bars=1250)
VARIANCE = 0.5 / YEAR


def test_the_deflated_ratio_of_the_paper_to_four_digits() -> None:
    assert round(expected_best_sharpe(VARIANCE, 100), 4) == 0.1132
    assert round(deflated_sharpe(OF_PAPER, VARIANCE, 100) or 0, 4) == 0.9004
    assert round(deflated_sharpe(OF_PAPER, VARIANCE, 46) or 0, 4) == 0.9505
    normal = SharpeMoments(OF_PAPER.sharpe, skewness=0.0, kurtosis=3.0, bars=1250)
    assert round(deflated_sharpe(normal, VARIANCE, 88) or 0, 4) == 0.9505


def _quantile(probability: Any) -> Any:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * probability - 1)


@pytest.mark.parametrize("trials", [2, 46, 10_000_000])
def test_the_expected_best_in_fifty_digits(trials: int) -> None:
    with mpmath.workdps(50):
        of_maximum = (1 - mpmath.euler) * _quantile(1 - mpmath.mpf(1) / trials)
        of_maximum += mpmath.euler * _quantile(1 - 1 / (trials * mpmath.e))
        expected = float(mpmath.sqrt(VARIANCE) * of_maximum)
    assert_allclose(expected_best_sharpe(VARIANCE, trials), expected, rtol=1e-12)


def test_an_independent_implementation_agrees_to_nine_digits() -> None:
    generator = np.random.default_rng(5)
    for bars in (30, 1000):
        returns = 0.002 + 0.01 * generator.standard_t(4, size=bars)
        trials = 0.1 * generator.normal(size=60)
        moments = SharpeMoments.of(returns)
        assert moments is not None
        assert_allclose(probabilistic_sharpe(moments) or 0, probabilistic_sharpe_ratio(returns), atol=1e-9)
        found = deflated_sharpe(moments, float(trials.var(ddof=1)), len(trials))
        assert_allclose(found or 0, deflated_sharpe_ratio(returns, trials), atol=1e-9)


def test_a_record_of_the_minimum_length_is_believed_at_95_percent() -> None:
    bars = minimum_track_record_bars(OF_PAPER, benchmark=0.1)
    assert bars is not None
    # PSR grows with T - 1; a length between two bars is put in by scaling its root.
    long_enough = SharpeMoments(OF_PAPER.sharpe, OF_PAPER.skewness, OF_PAPER.kurtosis, bars=round(bars))
    assert_allclose(probabilistic_sharpe(long_enough, 0.1) or 0, 0.95, atol=1e-3)


def test_a_single_trial_is_not_deflated() -> None:
    assert expected_best_sharpe(VARIANCE, 1) == 0.0
    assert deflated_sharpe(OF_PAPER, VARIANCE, 1) == probabilistic_sharpe(OF_PAPER)


def test_what_is_not_defined_is_none() -> None:
    assert SharpeMoments.of(np.zeros(100)) is None
    assert SharpeMoments.of(np.array([0.1, 0.2])) is None
    assert minimum_track_record_bars(SharpeMoments(-0.1, 0.0, 3.0, 100)) is None
    steep = SharpeMoments(sharpe=1.0, skewness=3.0, kurtosis=3.0, bars=100)  # 1 - 3 + 1/2 < 0
    assert probabilistic_sharpe(steep) is None
    assert minimum_track_record_bars(steep) is None
