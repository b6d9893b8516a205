"""What a source of candles has to be able to do: name its markets, and give one page of candles of one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtest_pipeline.model.errors import DownloadStopped, SourceLacks
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe

if TYPE_CHECKING:
    from backtest_pipeline.candles.year_file import Columns


# No exchange pays more often than each hour, and all answer 200 rates where so many are asked for.
FUNDING_SPAN_MS = 200 * 3_600_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument, so that tests need not wait.

    Attributes:
        now_s: seconds since 1970, UTC.
        sleep_s: waits for some seconds, or raises `DownloadStopped`.
        stop: lets every sleep end so.
    """

    now_s: Callable[[], float]
    sleep_s: Callable[[float], object]
    stop: Callable[[], object] = lambda: None

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return int(self.now_s() * 1_000)


def stoppable_clock(now_s: Callable[[], float], stop: threading.Event) -> Clock:
    """A clock whose sleep raises `DownloadStopped` once somebody has set `stop`.

    Args:
        now_s: seconds since 1970, UTC.
        stop: ends every sleep, those that have begun too.
    """

    def sleep_s(seconds: float) -> None:
        if stop.wait(seconds):
            raise DownloadStopped

    return Clock(now_s, sleep_s, stop.set)


@dataclass(frozen=True, slots=True)
class Market:
    """One market of a source.

    Attributes:
        name: what the source calls it, as `KRW-BTC`.
        symbol: the name that its candles get in the store, where nobody asks for another.
        quote: currency of its prices, or `None`.
        calendar: `24/7`, an exchange's MIC, or `None` where the source does not know.
    """

    name: str
    symbol: str
    quote: str | None = None
    calendar: str | None = "24/7"


@dataclass(frozen=True, slots=True)
class Page:
    """All candles of one market that opened within a stretch of time.

    Attributes:
        columns: as `CandleRows.columns`: sorted by time, unique, each row keeps the rules of candles.
        complete_until_ms: candles that opened before this moment are complete, by the source's own clock; the
            page has none that opened later.
        left_out: what the source gave and no candle can be, a sentence each.
        requests: how often the source was asked for this.
    """

    columns: Columns
    complete_until_ms: int
    left_out: tuple[str, ...] = ()
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """All funding rates of one market within a stretch of time.

    Attributes:
        by_ms: the rate (a fraction of the position's value, paid by longs to shorts where it is positive) by
            its moment in milliseconds since 1970, UTC.
        known_until_ms: rates before this moment are there, by the source's own clock.
    """

    by_ms: dict[int, float]
    known_until_ms: int


class MarketDataSource(ABC):
    """Where candles come from.

    A source is asked by several threads at once. It keeps whatever limits there are on how often it may be
    asked, tries again where that helps, and raises a `SourceError` where it does not.

    Attributes:
        name: recorded with the candles, as `upbit`; whoever updates them later finds the source by it.
        whole_each_time: whether asking costs nothing, so that everything is asked for at each time.
    """

    name: str
    whole_each_time = False

    @abstractmethod
    def markets(self, asked: Sequence[str]) -> list[Market | None]:
        """Find markets by the names that people use for them; `None` for each that is not there."""

    @abstractmethod
    def market_names(self) -> list[str]:
        """The names of all markets, for messages."""

    @abstractmethod
    def require(self, timeframe: Timeframe) -> None:
        """Raise `SourceLacks` where the source has no candles of this length."""

    @abstractmethod
    def page_bars(self) -> int:
        """How many bars long the stretch of one page may be."""

    @abstractmethod
    def first_ms(self, market: Market, timeframe: Timeframe) -> int | None:
        """A moment at or before the first candle of a market and not long before it; `None` without any."""

    @abstractmethod
    def page(self, market: Market, timeframe: Timeframe, first_ms: int, stop_ms: int) -> Page:
        """Give all complete candles with `first_ms <= open time < stop_ms`, which may be none.

        Args:
            market: one that `markets` gave.
            timeframe: one that `require` let pass.
            first_ms: milliseconds since 1970, UTC.
            stop_ms: at most `page_bars` bars later.

        Raises:
            SourceError: the source cannot be asked, refuses, or answers what no candles can be.
        """

    def rates(self, market: Market, first_ms: int, stop_ms: int) -> Rates:
        """Give all funding rates from one moment to before another.

        Args:
            market: a perpetual.
            first_ms: milliseconds since 1970, UTC.
            stop_ms: at most `FUNDING_SPAN_MS` later.

        Raises:
            SourceLacks: the source or the market has none.
            SourceError: as `page`.
        """
        raise SourceLacks(self.name, f"funding rates of {market.name} after {first_ms} to {stop_ms}", [])


def bar_ms(timeframe: Timeframe) -> int:
    """Length of a bar in milliseconds."""
    return BAR_SECONDS[timeframe] * 1_000
