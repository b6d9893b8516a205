"""What a strategy wants to be drawn beside the prices, which decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.strategy import Signals

    Line = NDArray[np.float64] | float

MOST_LINES, MOST_PANES, LONGEST_NAME = 6, 3, 60


@dataclass(frozen=True, eq=False, slots=True)
class Drawing:
    """The lines of one symbol, each an array of the candles' length or one level.

    Attributes:
        lines: by name, over the prices.
        panes: by title, the lines of a pane below them.
    """

    lines: dict[str, Line] = field(default_factory=dict)
    panes: dict[str, dict[str, Line]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.lines or self.panes)

    def since(self, bar: int) -> Drawing:
        """What is to be drawn from a bar on."""
        if bar == 0:
            return self
        return Drawing(
            _since(self.lines, bar), {title: _since(own, bar) for title, own in self.panes.items()}
        )


def _since(lines: Mapping[str, Line], bar: int) -> dict[str, Line]:
    return {name: own if isinstance(own, float) else own[bar:] for name, own in lines.items()}


def drawing_of(signals: Signals, bars: int) -> Drawing:
    """What can be drawn of a strategy's answer; the rest is left out, for it decides nothing.

    Left out are values that are neither a number nor an array of shape (bars,), and what goes beyond 6 lines
    a pane and 3 panes.
    """
    titles = list((signals.panes or {}).items())[:MOST_PANES]
    panes = {str(title)[:LONGEST_NAME]: _lines(lines, bars) for title, lines in titles}
    return Drawing(_lines(signals.lines, bars), {title: lines for title, lines in panes.items() if lines})


def _lines(given: object, bars: int) -> dict[str, Line]:
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, Line] = {}
    for name, values in list(given.items())[:MOST_LINES]:
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            continue
        if array.shape == (bars,):
            found[str(name)[:LONGEST_NAME]] = array
        elif array.shape == () and np.isfinite(array):
            found[str(name)[:LONGEST_NAME]] = float(array)
    return found
