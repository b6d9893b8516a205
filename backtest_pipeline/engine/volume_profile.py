"""Volume by price over a moving window, its bins laid out anew for every window."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types

# A share that falls short by rounding alone is reached: one of five equal volumes is a fifth.
SHARE_TOLERANCE = 1e-12


@compiled()
def _volume_above(
    edge: float, bottom: Any, top: Any, density: Any, point: Any, first: int, stop: int
) -> float:
    total = 0.0
    for bar in range(first, stop):
        overlap = top[bar] - max(edge, bottom[bar])
        total += density[bar] * max(overlap, 0.0) + (point[bar] if overlap >= 0.0 else 0.0)
    return total


@compiled(types.void(FloatsIn, FloatsIn, FloatsIn, types.int64, types.int64, types.float64, FloatsOut))
def zone_levels(
    bottom: Any, top: Any, volume: Any, window: int, num_bins: int, top_share: float, level: Any
) -> None:
    """Writes, for each bar, the lower edge of the zone that holds the top share of the volume before it.

    The volume above a bin's lower edge only falls from bin to bin, so the bin is found by bisection.

    Args:
        bottom: shape (n,), lower end of each bar's range in price.
        top: shape (n,), its upper end.
        volume: shape (n,).
        window: bars before the bar, itself excluded.
        num_bins: bins from the window's lowest to its highest price.
        top_share: share of the window's volume, 0 to 1.
        level: shape (n,), written; NaN where the window is not full or has no volume.
    """
    bars = len(volume)
    density = np.empty(bars)
    point = np.empty(bars)
    for bar in range(bars):
        height = top[bar] - bottom[bar]
        density[bar] = volume[bar] / height if height > 0.0 else 0.0
        point[bar] = 0.0 if height > 0.0 else volume[bar]
    for bar in range(bars):
        first = bar - window
        level[bar] = np.nan
        if first < 0:
            continue
        lowest, highest, total = bottom[first], top[first], volume[first]
        for other in range(first + 1, bar):
            lowest = min(lowest, bottom[other])
            highest = max(highest, top[other])
            total += volume[other]
        if total <= 0.0:
            continue
        if lowest == highest:
            level[bar] = lowest
            continue
        width = (highest - lowest) / num_bins
        wanted = top_share * total * (1.0 - SHARE_TOLERANCE)
        reaching, failing = 0, num_bins
        while failing - reaching > 1:
            middle = (reaching + failing) // 2
            edge = lowest + middle * width
            if _volume_above(edge, bottom, top, density, point, first, bar) >= wanted:
                reaching = middle
            else:
                failing = middle
        level[bar] = lowest + reaching * width
