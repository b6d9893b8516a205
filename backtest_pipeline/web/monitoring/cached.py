"""What is expensive to find out, found out at most once in a while and by one asker at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")

GIVE_UP_FACTOR = 3
"""An asking that takes so many times the patience of `get` is given up, and another one begun."""
MOST_GIVEN_UP = 3
"""Each holds a thread for as long as it hangs."""


class Cached(Generic[T]):
    """The value of a slow function, kept for some seconds."""

    def __init__(
        self,
        make: Callable[[], T],
        *,
        keep_s: float,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares; nothing is asked yet.

        Args:
            make: finds the value out, in a thread.
            keep_s: how long a value stays good, in seconds.
            patience_s: how long `get` waits, in seconds; the asking goes on and is not started twice.
            clock: another clock, for tests.
        """
        self._make = make
        self._keep_s = keep_s
        self._patience_s = patience_s
        self._clock = clock
        self._kept: tuple[float, T] | None = None
        self._asking: asyncio.Task[T] | None = None
        self._asked_s = 0.0
        self._given_up: set[asyncio.Task[T]] = set()

    async def get(self) -> T:
        """The value, at most `keep_s` old.

        Raises:
            TimeoutError: there is none in time.
        """
        if self._kept is not None and self._clock() - self._kept[0] < self._keep_s:
            return self._kept[1]
        if self._asking is not None and self._hangs():
            self._give_up(self._asking)
            self._asking = None
        if self._asking is None or self._asking.done():
            self._asked_s = self._clock()
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.wait_for(asyncio.shield(self._asking), self._patience_s)

    def _hangs(self) -> bool:
        """Whether the asking may never end, as with a connection whose other side is gone; a new one may."""
        old = self._clock() - self._asked_s > GIVE_UP_FACTOR * self._patience_s
        return old and len(self._given_up) < MOST_GIVEN_UP

    def _give_up(self, asking: asyncio.Task[T]) -> None:
        self._given_up.add(asking)
        asking.add_done_callback(self._given_up.discard)
        asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody else looks

    async def _ask(self) -> T:
        value = await run_in_threadpool(self._make)
        if asyncio.current_task() is self._asking:  # else it is older than what is kept
            self._kept = (self._clock(), value)
        return value
