"""Where one line crosses another."""

from __future__ import annotations

from typing import Any

from backtest_pipeline.engine.compiled import FlagsOut, FloatsIn, compiled, types


@compiled(types.void(FloatsIn, FloatsIn, FlagsOut))
def crossed(left: Any, right: Any, flags: Any) -> None:
    """Writes whether `left` is above `right` and was not at the bar before, which NaN never is."""
    flags[:1] = False
    for bar in range(1, len(left)):
        flags[bar] = (left[bar] > right[bar]) & (left[bar - 1] <= right[bar - 1])
