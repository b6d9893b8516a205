"""One question to a strategy: does its answer up to a bar change when other bars follow it, or none?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from backtest_pipeline.engine.continuation import Manner
from backtest_pipeline.model.errors import StrategyFaulty

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Answer = TypeVar("Answer")

FOLLOWED_BY = {
    Manner.CUT: "nothing",
    Manner.OPPOSITE: "opposite bars",
    Manner.CALM: "calm bars",
    Manner.AGAINST: "a move against what came",
    Manner.ALONG: "a move beyond what came",
    Manner.EXTREME: "extreme bars",
}
NOT_REPEATABLE = (
    "{0}() gives two answers to the same candles, so nothing can be said about look-ahead; it must keep "
    "no state, and draw from the generator that it gets as `rng`"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """An answer that changed when other candles followed a bar, or none did.

    Attributes:
        signal: `entry`, `exit`, `short_entry`, `short_exit`, `confidence` or a level; of a portfolio strategy
            `weight`.
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
        passed: nothing changed.
        symbol: whose candles were used; of several, where an answer changed, else the first.
        bars: how many of them were looked at; of a portfolio strategy, rows.
        cuts: after how many bars all the candles before were followed by others, or by none.
        signals: bars with a signal, or rows with new weights, among those compared; with 0 the check says
            little.
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
class Change:
    """Where two answers differ.

    Attributes:
        signal: what differs, as `Difference.signal`.
        place: the first bar at which it does, counted from where the comparison starts.
        symbol: whose it is.
    """

    signal: str
    place: int
    symbol: str


class Probe(ABC, Generic[Answer]):
    """Asks one strategy about the same bars, or rows of a panel, again and again.

    Attributes:
        method: of the strategy, that is asked.
        seed: of the generator that the strategy gets.
        jitters: how often a difference has to show again, see `confirmed`.
    """

    __slots__ = ()

    method: ClassVar[str]
    seed: int
    jitters: int

    @property
    @abstractmethod
    def strategy_name(self) -> str:
        """The strategy's name."""

    @property
    @abstractmethod
    def symbol(self) -> str:
        """Whose candles these are; of several, the first."""

    @property
    @abstractmethod
    def timestamp(self) -> NDArray[np.datetime64]:
        """Opens of the bars."""

    @property
    def bars(self) -> int:
        """How many bars there are."""
        return len(self.timestamp)

    @abstractmethod
    def true_answer(self, start: int, stop: int) -> Answer:
        """What the strategy says on the bars `start` to `stop` (excluded) as they are."""

    @abstractmethod
    def answer(self, start: int, bar: int, manner: Manner, *, jitter: int = 0) -> Answer:
        """What it says when the candles from `start` on go on in this manner after the bar."""

    @abstractmethod
    def first_change(
        self, left: Answer, right: Answer, bars: int, *, left_start: int = 0, right_start: int = 0
    ) -> Change | None:
        """The first difference of two answers over a number of bars, each from its own start."""

    @abstractmethod
    def flags(self, answer: Answer) -> list[NDArray[np.bool_]]:
        """The bars at which the answer asks for something, a kind of it each."""

    @abstractmethod
    def marked(self, answer: Answer, start: int, stop: int) -> int:
        """How many of the bars have a mark of any kind."""

    def difference(self, change: Change, start: int, bar: int, manner: Manner) -> Difference:
        """A change, counted from `start`, in words for users."""
        changed, cut_after = self.timestamp[start + change.place], self.timestamp[bar]
        return Difference(change.signal, f"{changed}Z", f"{cut_after}Z", FOLLOWED_BY[manner])

    def not_repeatable(self) -> StrategyFaulty:
        """Says that the strategy answers differently when asked the same again."""
        return StrategyFaulty(self.strategy_name, NOT_REPEATABLE.format(self.method))

    def confirmed(self, answer: Answer, start: int, stop: int, bar: int, manner: Manner) -> bool:
        """Whether answers up to the bar depend on what follows and not on rounding.

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
        if self.first_change(answer, self.answer(start, bar, manner), bar + 1 - start):
            raise self.not_repeatable()
        for jitter in range(1, self.jitters + 1):
            true = self.answer(start, stop - 1, Manner.CUT, jitter=jitter)
            other = self.answer(start, bar, manner, jitter=jitter)
            if not self.first_change(true, other, bar + 1 - start):
                return False
        return True
