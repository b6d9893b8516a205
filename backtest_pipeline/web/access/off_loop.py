"""Work on large bodies, done in threads of its own so that the event loop goes on answering."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

SMALL_BYTES = 8_192
"""Work on less is done at once: it takes less time than handing it over."""

_AT_ONCE = 4
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("backtest_large_bodies")

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


async def by_size(
    size_bytes: int,
    work: Callable[Parameters, Answer],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Answer:
    """Calls a function here where its input is small, else in one of four threads.

    These are not the threads that answer queries and look at the service's health: a client that sends large
    bodies waits for its own kind only.
    """
    if size_bytes <= SMALL_BYTES:
        return work(*args, **kwargs)
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=_own_limiter())


async def in_thread(
    work: Callable[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Answer:
    """Calls a function that waits, as for the database, in one of the same threads."""
    return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=_own_limiter())


def _own_limiter() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        _limiter.set(limiter)
        return limiter
