"""Adds accounts up that have their values at different moments."""

from __future__ import annotations

from typing import Any

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, IntsIn, compiled, types


@compiled(types.void(IntsIn, IntsIn, FloatsIn, types.float64, types.float64, FloatsOut))
def add_carried(slots: Any, own: Any, values: Any, scale: float, before: float, total: Any) -> None:
    """Adds scaled values to the total in their own slots and after, and `before` until then."""
    bar, value = 0, before
    for place in range(len(slots)):
        while bar < len(own) and own[bar] <= slots[place]:
            value = values[bar] * scale
            bar += 1
        total[place] += value
