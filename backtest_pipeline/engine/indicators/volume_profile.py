"""Volume by price over a moving window, its bins laid out anew for every window."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types

# A share that falls short by rounding alone is reached: one of five equal volumes is a fifth.
SHARE_TOLERANCE = 1e-12


@compiled()
def _folded(parts: Any) -> float:
    """Sum of the parts, whose number is a power of two; uses them up. Halves are added in parallel."""
    half = len(parts) // 2
    while half > 0:
        for place in range(half):
            parts[place] += parts[place + half]
        half //= 2
    total: float = parts[0]
    return total


@compiled()
def _volume_above(edge: float, bottom: Any, top: Any, density: Any, point: Any, parts: Any) -> float:
    """Volume at prices from `edge` on; `parts` is zero where there are no bars, and folding leaves it so."""
    for bar in range(len(top)):
        overlap = top[bar] - max(edge, bottom[bar])
        parts[bar] = density[bar] * max(overlap, 0.0) + (point[bar] if overlap >= 0.0 else 0.0)
    return _folded(parts)


@compiled(types.void(*[FloatsIn] * 5, types.int64, types.int64, types.float64, FloatsOut))
def zone_levels(
    bottom: Any,
    top: Any,
    volume: Any,
    lowest: Any,
    highest: Any,
    window: int,
    num_bins: int,
    top_share: float,
    level: Any,
) -> None:
    """Writes, for each bar, the lower edge of the zone that holds the top share of the volume before it.

    The volume above a bin's lower edge only falls from bin to bin, so the bin is found by bisection, which
    begins at the bin of the bar before.

    Args:
        bottom: shape (n,), lower end of each bar's range in price.
        top: shape (n,), its upper end.
        volume: shape (n,).
        lowest: shape (n,), lowest bottom of the window that ends at the bar.
        highest: shape (n,), highest top of that window.
        window: bars before the bar, itself excluded.
        num_bins: bins from the window's lowest to its highest price.
        top_share: share of the window's volume, 0 to 1.
        level: shape (n,), written; NaN where the window is not full or has no volume.
    """
    density, point = np.empty(len(volume)), np.empty(len(volume))
    for bar in range(len(volume)):
        height = top[bar] - bottom[bar]
        density[bar] = volume[bar] / height if height > 0.0 else 0.0
        point[bar] = 0.0 if height > 0.0 else volume[bar]
    size = 1
    while size < window:
        size *= 2
    parts = np.zeros(size)
    level[:window] = np.nan
    guess = num_bins // 2
    for bar in range(window, len(volume)):
        before = slice(bar - window, bar)
        parts[:window] = volume[before]
        total = _folded(parts)
        floor, span = lowest[bar - 1], highest[bar - 1] - lowest[bar - 1]
        if total <= 0.0 or span == 0.0:
            level[bar] = floor if total > 0.0 else np.nan
            continue
        width = span / num_bins
        wanted = top_share * total * (1.0 - SHARE_TOLERANCE)
        bottoms, tops, densities, points = bottom[before], top[before], density[before], point[before]
        reaching, failing = 0, num_bins
        middle = min(max(guess, 1), num_bins - 1)
        nearby = True
        while failing - reaching > 1:
            if _volume_above(floor + middle * width, bottoms, tops, densities, points, parts) >= wanted:
                reaching = middle
            else:
                failing = middle
            if nearby and reaching == middle:
                middle += 1
            elif nearby:
                middle -= 1
            nearby = nearby and reaching < middle < failing and abs(middle - guess) <= 1
            if not nearby:
                middle = (reaching + failing) // 2
        guess = reaching
        level[bar] = floor + reaching * width
