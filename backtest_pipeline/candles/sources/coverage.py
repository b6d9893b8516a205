"""`.source.json` beside a symbol's candles: where they come from, and for which time that was asked.

Candles alone cannot say it: where nobody traded there is none, and an empty stretch that was asked for must
not be asked for again and again. It is written after the candles that it speaks of, so what it says is there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from backtest_pipeline.model.errors import CandleFileUnreadable
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe
from backtest_pipeline.storage.atomic import make_folder_durably, write_bytes_durably

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.storage.layout import Layout


class Coverage(BaseModel):
    """The one stretch of time for which a market was asked; candles within it are stored where there are any.

    Attributes:
        source: name of the source, as `upbit`.
        market: what the source calls the market.
        first: from when on, UTC.
        until: up to before when, UTC.
        from_beginning: whether the source has nothing older.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str
    market: str
    first: datetime
    until: datetime
    from_beginning: bool = False

    @property
    def first_ms(self) -> int:
        """`first` in milliseconds since 1970."""
        return round(self.first.timestamp() * 1_000)

    @property
    def until_ms(self) -> int:
        """`until` in milliseconds since 1970."""
        return round(self.until.timestamp() * 1_000)


def read_coverage(layout: Layout, symbol: str, timeframe: Timeframe) -> Coverage | None:
    """What is recorded of a symbol's source, or `None` where its candles came otherwise.

    Raises:
        CandleFileUnreadable: the record is there and cannot be used.
    """
    return read_record_at(layout.coverage(symbol, timeframe), symbol)


def read_record_at(path: Path, symbol: str) -> Coverage | None:
    """What a file records of a symbol's source, or `None` where there is none.

    Raises:
        CandleFileUnreadable: it is there and cannot be used.
    """
    try:
        return Coverage.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        advice = "delete the record and download again; the candles stay, and only what is missing is added"
        raise CandleFileUnreadable(symbol, path, reason, advice=advice) from error


def write_coverage(layout: Layout, symbol: str, timeframe: Timeframe, coverage: Coverage) -> None:
    """Record it in one step; the same record again changes nothing."""
    write_record_at(layout.coverage(symbol, timeframe), coverage)


def write_record_at(path: Path, coverage: Coverage) -> None:
    """As `write_coverage`, in a file of any name."""
    content = (coverage.model_dump_json() + "\n").encode()
    make_folder_durably(path.parent)
    if not path.exists() or path.read_bytes() != content:
        write_bytes_durably(path, content)


def recorded_series(store: CandleStore) -> Iterator[tuple[str, Timeframe, Coverage]]:
    """Every symbol and timeframe of the store whose source is recorded, in order.

    Raises:
        CandleFileUnreadable: a record cannot be used.
    """
    for symbol in store.folders():
        for timeframe in TIMEFRAMES:
            if coverage := read_coverage(store.layout, symbol, timeframe):
                yield symbol, timeframe, coverage


def recorded_funding(store: CandleStore) -> Iterator[tuple[str, Coverage]]:
    """Every symbol whose funding rates came from a source, in order.

    Raises:
        CandleFileUnreadable: a record cannot be used.
    """
    for symbol in store.folders():
        if coverage := read_record_at(store.layout.funding_coverage(symbol), symbol):
            yield symbol, coverage


def moment(moment_ms: int) -> datetime:
    """Milliseconds since 1970 as a moment in UTC."""
    return datetime.fromtimestamp(moment_ms / 1_000, tz=UTC)
