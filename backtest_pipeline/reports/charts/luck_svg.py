"""Still charts of the statistics of luck and skill, in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from backtest_pipeline.reports.bilingual import said

if TYPE_CHECKING:
    from backtest_pipeline.model.robustness import Bands, Logits

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 900.0, 220.0, 46.0, 14.0, 12.0, 26.0


def bands_svg(bands: Bands, actual: Sequence[float]) -> str:
    """Equity over initial equity within the bands of the bootstrap, on a log scale where all is above zero.

    Args:
        bands: of the samples.
        actual: of the account, after the same numbers of bars.
    """
    everything = [*bands.low, *bands.high, *actual]
    scale = math.log if min(everything) > 0.0 else float
    low, high = scale(min(everything)), scale(max(everything))
    last = bands.bars[-1]

    def points(values: Sequence[float]) -> list[str]:
        return [
            f"{_x(bar / last):.1f} {_y((scale(value) - low) / (high - low or 1.0)):.1f}"
            for bar, value in zip(bands.bars, values, strict=True)
        ]

    area = "M" + "L".join([*points(bands.low), *reversed(points(bands.high))]) + "Z"
    drawn = f'<path class="band" d="{area}"/>'
    drawn += f'<path class="median" d="M{"L".join(points(bands.median))}"/>'
    drawn += f'<path class="actual" d="M{"L".join(points(actual))}"/>'
    for value in (min(everything), max(everything)):
        height = _y((scale(value) - low) / (high - low or 1.0))
        drawn += f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    return _svg("Equity within the bands of the bootstrap", drawn)


def logits_svg(logits: Logits) -> str:
    """How the logits of cross-validation are distributed, those of lower ranks in the colour of losses."""
    low, high, most = min(0.0, logits.edges[0]), max(0.0, logits.edges[-1]), max(logits.counts)

    def x(value: float) -> float:
        return _x((value - low) / (high - low or 1.0))

    drawn = ""
    for start, stop, count in zip(logits.edges[:-1], logits.edges[1:], logits.counts, strict=True):
        height = (_HEIGHT - _TOP - _BOTTOM) * count / most
        kind = "lower" if (start + stop) / 2 <= 0.0 else "upper"
        drawn += (
            f'<rect class="{kind}" x="{x(start):.1f}" y="{_HEIGHT - _BOTTOM - height:.1f}" '
            f'width="{max(x(stop) - x(start) - 1, 0.5):.1f}" height="{height:.1f}"/>'
        )
    drawn += f'<path class="axis" d="M{x(0.0):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
    for value in sorted({low, 0.0, high}):
        drawn += f'<text x="{x(value):.1f}" y="{_HEIGHT - 9:.0f}" text-anchor="middle">{value:.2g}</text>'
    return _svg("Distribution of the logits of cross-validation", drawn)


def _x(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _svg(label: str, content: str) -> str:
    return (
        f'<svg class="luck" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img">'
        f"{said(label, element='title')}{content}</svg>"
    )
