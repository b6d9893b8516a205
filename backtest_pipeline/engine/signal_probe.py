"""Questions to a strategy of signals about one symbol's candles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from backtest_pipeline.engine.continuation import Manner, continued
from backtest_pipeline.engine.inputs import signals_of, signals_of_read_only
from backtest_pipeline.engine.lookahead_probe import Change, Probe
from backtest_pipeline.engine.signal_comparison import FLAGS, first_change, marked_bars
from backtest_pipeline.model.signal_checks import CheckedSignals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.strategy import Strategy, StrategyParams


@dataclass(frozen=True, slots=True)
class SignalProbe(Probe[CheckedSignals]):
    """Asks one strategy about one symbol's candles.

    Attributes:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: all bars.
        seed, jitters: as `Probe`.
    """

    strategy: Strategy
    params: StrategyParams
    candles: Candles
    seed: int
    jitters: int

    method: ClassVar[str] = "signals"

    @property
    def strategy_name(self) -> str:
        """The strategy's name."""
        return self.strategy.name

    @property
    def symbol(self) -> str:
        """Whose candles these are."""
        return self.candles.symbol

    @property
    def timestamp(self) -> NDArray[np.datetime64]:
        """Opens of the bars."""
        return self.candles.timestamp

    def true_answer(self, start: int, stop: int) -> CheckedSignals:
        """See `Probe`."""
        return signals_of(self.strategy, self.params, self.candles.slice(start, stop), self.seed)

    def answer(self, start: int, bar: int, manner: Manner, *, jitter: int = 0) -> CheckedSignals:
        """See `Probe`."""
        candles = continued(self.candles, start, bar, manner, jitter=jitter)
        return signals_of_read_only(self.strategy, self.params, candles, self.seed)

    def first_change(
        self,
        left: CheckedSignals,
        right: CheckedSignals,
        bars: int,
        *,
        left_start: int = 0,
        right_start: int = 0,
    ) -> Change | None:
        """See `Probe`."""
        change = first_change(left, right, bars, left_start=left_start, right_start=right_start)
        return change and Change(*change, self.symbol)

    def flags(self, answer: CheckedSignals) -> list[NDArray[np.bool_]]:
        """The four flags."""
        return [getattr(answer, name) for name in FLAGS]

    def marked(self, answer: CheckedSignals, start: int, stop: int) -> int:
        """See `Probe`."""
        return marked_bars(answer, start, stop)
