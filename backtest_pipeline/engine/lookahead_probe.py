"""One question to a strategy: do signals up to a bar change when other bars follow it, or none?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from backtest_pipeline.engine.continuation import Manner, continued
from backtest_pipeline.engine.inputs import signals_of, signals_of_read_only
from backtest_pipeline.engine.signal_comparison import first_change
from backtest_pipeline.model.errors import StrategyFaulty

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.signal_checks import CheckedSignals
    from backtest_pipeline.model.strategy import Strategy, StrategyParams

FOLLOWED_BY = {
    Manner.CUT: "nothing",
    Manner.OPPOSITE: "opposite bars",
    Manner.CALM: "calm bars",
    Manner.AGAINST: "a move against what came",
    Manner.ALONG: "a move beyond what came",
    Manner.EXTREME: "extreme bars",
}
NOT_REPEATABLE = (
    "signals() gives two answers to the same candles, so nothing can be said about look-ahead; it must keep "
    "no state, and draw from the generator that it gets as `rng`"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A signal that changed when other candles followed a bar, or none did.

    Attributes:
        signal: `entry`, `exit`, `short_entry`, `short_exit` or `confidence`.
        timestamp: ISO 8601, UTC, of the bar whose signal changed.
        cut_after: ISO 8601, UTC, of the last true bar that the strategy saw when it said otherwise.
        followed_by: what it saw after that one: `nothing`, or made-up bars (see `continuation.Manner`).
    """

    signal: str
    timestamp: str
    cut_after: str
    followed_by: str = FOLLOWED_BY[Manner.CUT]


@dataclass(frozen=True, slots=True)
class LookAhead:
    """The verdict of a look-ahead check.

    Attributes:
        passed: no signal changed.
        symbol: whose candles were used; of several, where a signal changed, else the first.
        bars: how many of them were looked at.
        cuts: after how many bars all the candles before were followed by others, or by none.
        signals: bars with a signal among those compared; with 0 the check says little.
        difference: the first that was found, or `None`.
        stretch_cuts: the same on stretches of the candles, which are quicker to recompute.
        refused: how many of both the strategy could not answer.
    """

    passed: bool
    symbol: str
    bars: int
    cuts: int
    signals: int
    difference: Difference | None
    stretch_cuts: int = 0
    refused: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"difference": None if self.difference is None else asdict(self.difference)}


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks one strategy about one symbol's candles.

    Attributes:
        strategy: the strategy.
        params: an instance of its `Params`.
        candles: all bars.
        seed: of the generator that the strategy gets.
        jitters: how often a difference has to show again, see `confirmed`.
    """

    strategy: Strategy
    params: StrategyParams
    candles: Candles
    seed: int
    jitters: int

    def true_signals(self, start: int, stop: int) -> CheckedSignals:
        """What the strategy says on the bars `start` to `stop` (excluded) as they are."""
        return signals_of(self.strategy, self.params, self.candles.slice(start, stop), self.seed)

    def signals(self, start: int, bar: int, manner: Manner, *, jitter: int = 0) -> CheckedSignals:
        """What it says when the candles from `start` on go on in this manner after the bar."""
        candles = continued(self.candles, start, bar, manner, jitter=jitter)
        return signals_of_read_only(self.strategy, self.params, candles, self.seed)

    def difference(self, change: tuple[str, int], start: int, bar: int, manner: Manner) -> Difference:
        """A change, counted from `start`, in words for users."""
        timestamp = self.candles.timestamp
        name, place = change
        return Difference(name, f"{timestamp[start + place]}Z", f"{timestamp[bar]}Z", FOLLOWED_BY[manner])

    def confirmed(self, answer: CheckedSignals, start: int, stop: int, bar: int, manner: Manner) -> bool:
        """Whether signals up to the bar depend on what follows and not on rounding.

        A sum that comes out differently in its last digit, because it is computed over more or other bars,
        turns a flag where two values would be equal but for rounding: prices that stand still have an
        average of exactly themselves, or nearly so. Moved by a millionth, bar by bar, such prices are no
        longer equal, while a strategy that knows the future still does.

        Args:
            answer: what the strategy said when the candles went on differently.
            start: of the candles in both answers.
            stop: end (excluded) of the true ones.
            bar: the last true one behind `answer`.
            manner: how they go on.

        Raises:
            StrategyFaulty: the strategy answers differently when asked the same again.
        """
        if first_change(answer, self.signals(start, bar, manner), bar + 1 - start):
            raise StrategyFaulty(self.strategy.name, NOT_REPEATABLE)
        for jitter in range(1, self.jitters + 1):
            true = self.signals(start, stop - 1, Manner.CUT, jitter=jitter)
            other = self.signals(start, bar, manner, jitter=jitter)
            if not first_change(true, other, bar + 1 - start):
                return False
        return True
