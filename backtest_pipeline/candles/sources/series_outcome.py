"""What is to be downloaded of one symbol in one timeframe, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from backtest_pipeline.candles.sources.market_data import Market
from backtest_pipeline.model.timeframe import Timeframe

if TYPE_CHECKING:
    from backtest_pipeline.candles.merge import CandleChange

MOST_SENTENCES = 20


@dataclass(frozen=True, slots=True)
class Series:
    """What is to be downloaded.

    Attributes:
        market: where it comes from.
        symbol: its name in the store.
        timeframe: length of its bars.
        since_ms: from when on (milliseconds since 1970); `None`: from the market's first candle.
        until_ms: up to before when; `None`: up to now.
        only_newer: leave earlier history alone that was never asked for.
        refresh: ask for everything again, and let what differs replace what is stored.
        renamed: the exchange has renamed the market from which the symbol's candles came so far.
    """

    market: Market
    symbol: str
    timeframe: Timeframe
    since_ms: int | None = None
    until_ms: int | None = None
    only_newer: bool = False
    refresh: bool = False
    renamed: bool = False


@dataclass(slots=True)
class SeriesOutcome:
    """What a download of one series did so far.

    Attributes:
        rows_new: candles stored at times of which there were none.
        rows_replaced: candles that a refresh replaced.
        rows_differing: candles that the source gives otherwise than they are stored; the stored ones stayed.
        rows_gone: stored candles that the source does not give any more; they stayed.
        changes: in which values candles were replaced or differ, at most `MOST_CHANGES`.
        remarks: what was left out and what is gone, a sentence each, at most `MOST_SENTENCES`.
        requests: how often the source was asked.
        until: up to before when the source has been asked, UTC.
    """

    rows_new: int = 0
    rows_replaced: int = 0
    rows_differing: int = 0
    rows_gone: int = 0
    changes: list[CandleChange] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    requests: int = 0
    until: datetime | None = None

    def remark(self, sentence: str) -> None:
        """Keep a sentence, as long as there are few."""
        if len(self.remarks) < MOST_SENTENCES:
            self.remarks.append(sentence)


OnPage = Callable[[int, int, int], object]
"""Called after every page with its number of candles, and the milliseconds done and to do in all."""
