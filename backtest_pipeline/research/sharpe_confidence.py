"""How far a Sharpe ratio can be believed: given its length, its tails, and the search that found it.

Ratios are per bar, not annualised, without a risk-free rate; kurtosis is not in excess (normal: 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
EULER_MASCHERONI = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class SharpeMoments:
    """What the statistics of a Sharpe ratio need to know of returns.

    Attributes:
        sharpe: mean over standard deviation (ddof 1), per bar.
        skewness: third standardised moment of the population.
        kurtosis: fourth standardised moment of the population; 3 for normal returns.
        bars: how many returns.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    bars: int

    @classmethod
    def of(cls, returns: NDArray[np.float64]) -> Self | None:
        """Return the moments of returns; `None` below three of them or where they do not vary."""
        if len(returns) < 3 or float(np.ptp(returns)) == 0.0:
            return None
        mean = float(returns.mean())
        centred = returns - mean
        spread = math.sqrt(float((centred**2).mean()))
        return cls(
            sharpe=mean / float(returns.std(ddof=1)),
            skewness=float((centred**3).mean()) / spread**3,
            kurtosis=float((centred**4).mean()) / spread**4,
            bars=len(returns),
        )

    @property
    def unit_variance(self) -> float:
        """Variance of the estimated ratio times the number of bars, in the limit of many: Mertens (2002)."""
        return 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2


def probabilistic_sharpe(moments: SharpeMoments, benchmark: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio is above a benchmark's.

    PSR(SR*) = Φ[(SR - SR*) √(T - 1) / √(1 - γ₃ SR + (γ₄ - 1)/4 SR²)]: Bailey & López de Prado (2012), "The
    Sharpe Ratio Efficient Frontier". `None` where the root has no positive argument.
    """
    if moments.unit_variance <= 0.0:
        return None
    distance = (moments.sharpe - benchmark) * math.sqrt(moments.bars - 1)
    return _NORMAL.cdf(distance / math.sqrt(moments.unit_variance))


def minimum_track_record_bars(moments: SharpeMoments, benchmark: float = 0.0) -> float | None:
    """Return how many bars it takes until `probabilistic_sharpe` of these moments reaches 0.95.

    1 + (1 - γ₃ SR + (γ₄ - 1)/4 SR²) (Φ⁻¹(0.95) / (SR - SR*))²: as above. `None` where the ratio is not above
    the benchmark's: no length would do.
    """
    if moments.sharpe <= benchmark or moments.unit_variance <= 0.0:
        return None
    needed = _NORMAL.inv_cdf(CONFIDENCE) / (moments.sharpe - benchmark)
    return 1.0 + moments.unit_variance * needed**2


def expected_best_sharpe(variance: float, trials: float) -> float:
    """Return the Sharpe ratio that the best of so many worthless trials is expected to show.

    SR₀ = √V [(1 - g) Φ⁻¹(1 - 1/N) + g Φ⁻¹(1 - 1/(N e))], g the constant of Euler and Mascheroni: Bailey &
    López de Prado (2014), "The Deflated Sharpe Ratio". 0 for a single trial, which nobody has chosen.

    Args:
        variance: of the trials' Sharpe ratios, per bar.
        trials: how many.
    """
    if trials <= 1.0:
        return 0.0
    # Φ⁻¹(1 - p) = -Φ⁻¹(p), which loses no digits where p is small.
    of_maximum = -(1.0 - EULER_MASCHERONI) * _NORMAL.inv_cdf(1.0 / trials)
    of_maximum -= EULER_MASCHERONI * _NORMAL.inv_cdf(1.0 / (trials * math.e))
    return math.sqrt(variance) * of_maximum


def deflated_sharpe(moments: SharpeMoments, variance: float, trials: float) -> float | None:
    """Return the probability that the true Sharpe ratio is above what the search alone would show.

    `probabilistic_sharpe` at `expected_best_sharpe`: Bailey & López de Prado (2014).

    Args:
        moments: of the best trial's returns.
        variance: of all trials' Sharpe ratios, per bar.
        trials: how many trials there were, or how many unlike ones.
    """
    return probabilistic_sharpe(moments, expected_best_sharpe(variance, trials))
