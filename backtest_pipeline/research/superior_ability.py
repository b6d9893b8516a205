"""Is the best of a search better than doing nothing, given all that was tried: White's test and Hansen's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.block_sharpe import TrialBlocks

    Floats = NDArray[np.float64]

_CHUNK_VALUES = 4_000_000


def reality_check(blocks: TrialBlocks, samples: int, generator: np.random.Generator) -> float | None:
    """Return the p-value of "no trial earns more than nothing" by White's reality check.

    The statistic is the best mean return of a year; its distribution, were every trial worthless, comes from
    drawing blocks of time with replacement: White (2000), "A Reality Check for Data Snooping". Blocks of a
    sixteenth of the time take the place of the shorter ones of that paper, as nothing finer is kept of
    trials. Many bad trials make it cautious; `spa` is less so. Trials with fewer bars than blocks are left
    out; `None` where there are no others.

    Args:
        blocks: of the trials that were run.
        samples: how often to draw.
        generator: of the draws.
    """
    own = blocks.filled()
    means = own.sum / own.count * (own.periods_per_year / blocks.periods_per_year.max(initial=0.0))[:, None]
    return _p_value(means, means.mean(axis=1), samples, generator) if len(own) else None


def spa(blocks: TrialBlocks, samples: int, generator: np.random.Generator) -> float | None:
    """Return the p-value of "no trial earns more than nothing" by Hansen's test of superior ability.

    As `reality_check`, but each trial's returns are measured by their own standard deviation, taken from all
    bars, and trials that are too bad to matter are left where they are: Hansen (2005), "A Test for Superior
    Predictive Ability", the consistent p-value. `None` where no trial's returns vary.
    """
    own = blocks.filled().varying()
    if not len(own):
        return None
    bars = own.count.sum(axis=1, keepdims=True)
    mean = own.sum.sum(axis=1, keepdims=True) / bars
    spread = np.sqrt(own.sum_squares.sum(axis=1, keepdims=True) / bars - mean**2)
    scores = own.sum / (spread * np.sqrt(own.count))
    number = scores.shape[1]
    centre = scores.mean(axis=1)
    hopeless = math.sqrt(number) * centre < -math.sqrt(2 * math.log(math.log(bars.max())))
    return _p_value(scores, np.where(hopeless, 0.0, centre), samples, generator)


def _p_value(values: Floats, centre: Floats, samples: int, generator: np.random.Generator) -> float:
    """Share of samples whose best mean, less what each trial's is to be measured from, beats the real best.

    Args:
        values: shape (trials, blocks).
        centre: shape (trials,), what is taken off a trial's mean in each sample.
        samples: how many samples.
        generator: of the draws.
    """
    trials, number = values.shape
    weights = generator.multinomial(number, np.full(number, 1 / number), size=samples) / number
    # The mean of blocks that are drawn spreads less than that of blocks that come: by (blocks - 1) / blocks.
    wider = math.sqrt(number / (number - 1))
    best = np.full(samples, -np.inf)
    size = max(1, _CHUNK_VALUES // samples)
    for first in range(0, trials, size):
        part = values[first : first + size]
        means = part.mean(axis=1)
        drawn = (part @ weights.T - means[:, None]) * wider + (means - centre[first : first + size])[:, None]
        np.maximum(best, drawn.max(axis=0), out=best)
    return float((best >= values.mean(axis=1).max()).mean())
