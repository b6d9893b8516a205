"""How often an exchange is asked, by all threads and processes that share this `DATA_ROOT`.

An exchange counts the requests of an address, whoever sends them: a command, the schedule and a second
command together. So the next free moment is kept in a small file, which is locked for as long as it takes to
book the moment after it. ccxt's own limiter knows the requests of one object only, and lets two threads that
ask at once pass at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from backtest_pipeline.model.errors import SourceBlocked
from backtest_pipeline.storage.atomic import make_folder
from backtest_pipeline.storage.locks import file_lock

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.market_data import Clock

# Requests that leave evenly arrive unevenly: of ten a second, one may so be a quarter of a second late.
MARGIN = 1.25
# A clock that was set back must not make anybody wait for hours.
LONGEST_QUEUE_S = 600.0


@dataclass(frozen=True, slots=True)
class _Booked:
    """Seconds since 1970, UTC: when the next request is free, and until when nobody may ask."""

    free_at_s: float = 0.0
    paused_until_s: float = 0.0
    blocked_until_s: float = 0.0


_FORM = TypeAdapter(_Booked)


class RateLimiter:
    """Lets requests to one exchange leave one after the other, at a distance."""

    def __init__(self, folder: Path, exchange: str, clock: Clock) -> None:
        """Share the pace with everybody who names the same folder and exchange.

        Args:
            folder: for the file, made where there is none.
            exchange: its name.
            clock: whose sleep may end early; the request is then sent early only where somebody stops it.
        """
        self._exchange = exchange
        self._file = folder / f"{exchange}.json"
        self._lock = folder / f"{exchange}.lock"
        self._clock = clock

    def wait(self, distance_s: float) -> None:
        """Wait until a request may leave, and book the time that it costs.

        Args:
            distance_s: seconds from this request to the next one.

        Raises:
            SourceBlocked: the exchange refuses this address for now.
        """
        while True:
            slot_s = self._book(distance_s * MARGIN)
            self._clock.sleep_s(max(0.0, slot_s - self._clock.now_s()))
            if not self._paused():
                return

    def pause(self, pause_s: float) -> None:
        """Let nobody ask for some seconds, because the exchange says so."""
        with self._changing() as (booked, now_s):
            until_s = now_s + min(pause_s, LONGEST_QUEUE_S)
            self._write(replace(booked, paused_until_s=until_s, free_at_s=max(booked.free_at_s, until_s)))

    def block(self, block_s: float) -> datetime:
        """Let nobody ask for some seconds, and everybody who tries hear why; returns until when, UTC."""
        with self._changing() as (booked, now_s):
            until_s = max(booked.blocked_until_s, now_s + block_s)
            self._write(replace(booked, blocked_until_s=until_s))
        return datetime.fromtimestamp(until_s, tz=UTC)

    def _book(self, distance_s: float) -> float:
        with self._changing() as (booked, now_s):
            if booked.blocked_until_s > now_s:
                until = datetime.fromtimestamp(booked.blocked_until_s, tz=UTC)
                raise SourceBlocked(self._exchange, until)
            slot_s = max(now_s, min(booked.free_at_s, now_s + LONGEST_QUEUE_S))
            self._write(replace(booked, free_at_s=slot_s + distance_s))
            return slot_s

    def _paused(self) -> bool:
        """Whether somebody else was told to pause while this request was waiting."""
        return 0 < self._read().paused_until_s - self._clock.now_s() <= LONGEST_QUEUE_S

    @contextmanager
    def _changing(self) -> Iterator[tuple[_Booked, float]]:
        make_folder(self._file.parent)
        with file_lock(self._lock, f"asking {self._exchange}"):
            yield self._read(), self._clock.now_s()

    def _read(self) -> _Booked:
        with suppress(OSError, ValidationError):
            return _FORM.validate_json(self._file.read_bytes())
        return _Booked()

    def _write(self, booked: _Booked) -> None:
        # Nothing is lost with this file but a moment's distance, so nobody waits for the disk.
        tmp = self._file.with_suffix(".tmp")
        tmp.write_bytes(_FORM.dump_json(booked))
        tmp.replace(self._file)
