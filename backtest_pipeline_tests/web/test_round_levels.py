"""The round values at which a chart has lines across."""

from __future__ import annotations

import pytest

from backtest_pipeline.web.pages.svg_curves import round_levels


@pytest.mark.parametrize(
    ("low", "high", "levels"),
    [
        (0.36, 11.22, [2, 4, 6, 8, 10]),
        (0.93, 1.04, [0.94, 0.96, 0.98, 1.0, 1.02, 1.04]),
        (-3.0, 48.0, [0, 10, 20, 30, 40]),
        (1.0, 1.0, [1.0]),
    ],
)
def test_levels_are_few_and_round(low: float, high: float, levels: list[float]) -> None:
    assert round_levels(low, high) == levels
