"""How else an account could have gone: the stationary block bootstrap of its bar returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_BARS = 30
MOST_BAND_POINTS = 60
_Samples = types.Array(types.int64, 1, "C", readonly=True)

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False, slots=True)
class Bootstrap:
    """What samples of the returns yield.

    Attributes:
        block_bars: mean length of the blocks that are drawn, chosen from the data.
        samples: how many samples.
        coverage: of the intervals, such as 0.9.
        sharpe: interval of the Sharpe ratio, per bar; `None` where the returns of samples do not vary.
        growth: interval of the mean logarithmic return of a bar; `None` where a sample loses everything.
        max_drawdown: interval of the maximum drawdown, a fraction.
        band_bars: shape (points,), after how many bars the bands are measured.
        bands: shape (3, points), equity over initial equity: the interval's lower end, median, upper end.
    """

    block_bars: int
    samples: int
    coverage: float
    sharpe: Interval | None
    growth: Interval | None
    max_drawdown: Interval
    band_bars: NDArray[np.int64]
    bands: Floats


def bootstrap(
    returns: Floats, samples: int, generator: np.random.Generator, *, coverage: float = 0.9
) -> Bootstrap | None:
    """Draw blocks of the returns, of random length, until each sample is as long as they are.

    Politis & Romano (1994), "The Stationary Bootstrap"; the mean block length is that of `block_length`.
    Intervals of Sharpe ratio and growth are the estimate and so many of the samples' standard deviations to
    either side; that of the drawdown, and the bands, are percentiles. What the whole history never had, no
    sample has.

    Args:
        returns: shape (bars,), each at least -1.
        samples: how many samples.
        generator: of the draws.
        coverage: of the intervals, in (0, 1).

    Returns:
        The intervals; `None` below 30 returns or where they do not vary.
    """
    if len(returns) < FEWEST_BARS or float(np.ptp(returns)) == 0.0:
        return None
    from arch.bootstrap import StationaryBootstrap  # noqa: PLC0415  takes two seconds to import

    bars = len(returns)
    block_bars = block_length(returns)
    resampling = StationaryBootstrap(block_bars, np.arange(bars), seed=generator)
    band_bars = np.unique(np.linspace(0, bars, min(bars, MOST_BAND_POINTS) + 1).astype(np.int64))
    figures, curves = np.empty((samples, 3)), np.empty((samples, len(band_bars)))
    for sample in range(samples):
        measure_sample(returns, resampling.update_indices(), band_bars, figures[sample], curves[sample])
    tail = (1 - coverage) / 2
    ends = (tail, 1 - tail)
    worst = np.quantile(figures[:, 2], ends)
    with np.errstate(divide="ignore"):  # of an account that has lost everything
        growth = float(np.log1p(returns).mean())
    return Bootstrap(
        block_bars=block_bars,
        samples=samples,
        coverage=coverage,
        sharpe=_around(float(returns.mean() / returns.std(ddof=1)), figures[:, 0], ends[1]),
        growth=_around(growth, figures[:, 1], ends[1]),
        max_drawdown=(float(worst[0]), float(worst[1])),
        band_bars=band_bars,
        bands=np.quantile(curves, [ends[0], 0.5, ends[1]], axis=0),
    )


def block_length(returns: Floats) -> int:
    """Return the mean block length that suits returns, in bars: at least 1, at most a third of them.

    Politis & White (2004), "Automatic Block-Length Selection for the Dependent Bootstrap": the longer of what
    suits the returns and their squared distances from the mean, as losses come in clusters. Doubled: the
    length that estimates a variance best leaves intervals too short.
    """
    from arch.bootstrap import optimal_block_length  # noqa: PLC0415  as above

    lengths = [
        float(optimal_block_length(series)["stationary"].iloc[0])
        for series in (returns, (returns - returns.mean()) ** 2)
        if float(np.ptp(series)) > 0.0
    ]
    known = [length for length in lengths if math.isfinite(length)]
    return max(1, min(round(2 * max(known, default=0.0)), len(returns) // 3))


def _around(estimate: float, values: Floats, upper_end: float) -> Interval | None:
    if not np.isfinite(values).all():
        return None
    reach = NormalDist().inv_cdf(upper_end) * float(values.std(ddof=1))
    return estimate - reach, estimate + reach


@compiled(types.void(FloatsIn, _Samples, _Samples, FloatsOut, FloatsOut))
def measure_sample(returns: Any, places: Any, band_bars: Any, figures: Any, curve: Any) -> None:
    """Measures one order of returns.

    Args:
        returns: shape (bars,).
        places: shape (bars,), which return stands at each bar.
        band_bars: shape (points,), rising, after how many bars to note the equity.
        figures: shape (3,), written: Sharpe ratio per bar, mean logarithmic return, maximum drawdown.
        curve: shape (points,), written: equity over initial equity.
    """
    total = squares = worst = 0.0
    equity = peak = 1.0
    point = 0
    for bar in range(len(places)):
        while point < len(band_bars) and band_bars[point] == bar:
            curve[point] = equity
            point += 1
        value = returns[places[bar]]
        total += value
        squares += value * value
        equity *= 1.0 + value
        peak = max(peak, equity)
        worst = max(worst, 1.0 - equity / peak)
    if point < len(band_bars):
        curve[point] = equity
    count = len(places)
    variance = (squares - total * total / count) / (count - 1)
    figures[0] = total / count / np.sqrt(variance)
    figures[1] = np.log(equity) / count
    figures[2] = worst
