"""What is expensive to find out, found out at most once in a while and by one asker at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")


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

    async def get(self) -> T:
        """The value, at most `keep_s` old.

        Raises:
            TimeoutError: there is none in time.
        """
        if self._kept is not None and self._clock() - self._kept[0] < self._keep_s:
            return self._kept[1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.wait_for(asyncio.shield(self._asking), self._patience_s)

    async def _ask(self) -> T:
        value = await run_in_threadpool(self._make)
        self._kept = (self._clock(), value)
        return value
