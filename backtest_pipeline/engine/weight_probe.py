"""Questions to a portfolio strategy about one panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from backtest_pipeline.engine.continuation import Manner
from backtest_pipeline.engine.lookahead_probe import Change, Probe
from backtest_pipeline.engine.panel_continuation import continued_panel, panel_rows
from backtest_pipeline.engine.portfolio_answers import CheckedWeights, weights_of
from backtest_pipeline.engine.signal_comparison import FLOAT_TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.panel_building import SeenPanel
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.panel import Panel
    from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
    from backtest_pipeline.model.strategy import StrategyParams

SIGNAL = "weight"


@dataclass(frozen=True, slots=True)
class WeightProbe(Probe[CheckedWeights]):
    """Asks one portfolio strategy about one panel; a bar of other probes is a row here.

    Attributes:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: each symbol's, of which the panel was built.
        seen: the panel.
        seed, jitters: as `Probe`.
    """

    strategy: PortfolioStrategy
    params: StrategyParams
    candles: Sequence[Candles]
    seen: SeenPanel
    seed: int
    jitters: int

    method: ClassVar[str] = "weights"

    @property
    def strategy_name(self) -> str:
        """The strategy's name."""
        return self.strategy.name

    @property
    def symbol(self) -> str:
        """The first of the symbols."""
        return self.candles[0].symbol

    @property
    def timestamp(self) -> NDArray[np.datetime64]:
        """The rows' moments."""
        return self.seen.panel.timestamp

    def true_answer(self, start: int, stop: int) -> CheckedWeights:
        """See `Probe`."""
        return self._weights(panel_rows(self.seen.panel, start, stop))

    def answer(self, start: int, bar: int, manner: Manner, *, jitter: int = 0) -> CheckedWeights:
        """See `Probe`."""
        return self._weights(continued_panel(self.seen.panel, start, bar, manner, jitter=jitter))

    def _weights(self, panel: Panel) -> CheckedWeights:
        """The strategy's weights, whatever side they ask for and however much: the run has checked that."""
        return weights_of(self.strategy, self.params, panel, self.seed, leverage=np.inf)

    def first_change(
        self,
        left: CheckedWeights,
        right: CheckedWeights,
        bars: int,
        *,
        left_start: int = 0,
        right_start: int = 0,
    ) -> Change | None:
        """The first row at which a symbol's weights differ by more than a billionth, and the symbol."""
        one = left.weights[left_start : left_start + bars]
        other = right.weights[right_start : right_start + bars]
        if one.tobytes() == other.tobytes():  # far quicker than to compare element by element
            return None
        same = np.isclose(one, other, rtol=FLOAT_TOLERANCE, atol=FLOAT_TOLERANCE, equal_nan=True)
        if same.all():
            return None
        row, column = np.unravel_index(int(np.argmin(same)), same.shape)
        return Change(SIGNAL, int(row), self.candles[int(column)].symbol)

    def flags(self, answer: CheckedWeights) -> list[NDArray[np.bool_]]:
        """Rows that are acted upon, and others with new weights."""
        return [answer.acted_rows, _new_weights(answer.weights) & ~answer.acted_rows]

    def marked(self, answer: CheckedWeights, start: int, stop: int) -> int:
        """How many of the rows have new weights."""
        first = max(start - 1, 0)
        return int(np.count_nonzero(_new_weights(answer.weights[first:stop])[start - first :]))


def _new_weights(weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows whose weights are not those of the row before; the first, where it has any."""
    new = np.empty(len(weights), dtype=np.bool_)
    new[:1] = ~np.isnan(weights[:1]).all(axis=1)
    before, after = weights[:-1], weights[1:]
    new[1:] = ((before != after) & ~(np.isnan(before) & np.isnan(after))).any(axis=1)
    return new
