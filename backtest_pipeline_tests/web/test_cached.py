"""Values that are expensive to find out, and askings that never end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from backtest_pipeline.web.monitoring.cached import MOST_GIVEN_UP, Cached


def test_an_asking_that_hangs_is_given_up_and_another_one_finds_the_value_out() -> None:
    """As a question to a database whose machine is gone: it never ends, a new connection would answer."""
    now_s, over = 0.0, threading.Event()
    asked: list[None] = []

    def make() -> str:
        asked.append(None)
        if len(asked) == 1:
            over.wait()
            return "stale"
        return "fresh"

    async def main() -> None:
        nonlocal now_s
        cached = Cached(make, keep_s=2.0, patience_s=0.2, clock=lambda: now_s)
        for _ in range(3):
            now_s += 0.2
            with pytest.raises(TimeoutError):
                await cached.get()
        assert len(asked) == 1, "nothing is asked twice within three times the patience"
        now_s += 0.21
        assert await asyncio.wait_for(cached.get(), 30) == "fresh"
        over.set()
        await asyncio.sleep(0.2)
        assert await cached.get() == "fresh", "what comes too late replaces nothing"

    asyncio.run(main())


def test_askings_that_hang_do_not_take_all_threads() -> None:
    now_s, over = 0.0, threading.Event()
    asked: list[None] = []

    def make() -> None:
        asked.append(None)
        over.wait()

    async def main() -> None:
        nonlocal now_s
        cached = Cached(make, keep_s=2.0, patience_s=0.05, clock=lambda: now_s)
        for _ in range(10):
            now_s += 1
            with pytest.raises(TimeoutError):
                await cached.get()
        over.set()

    asyncio.run(main())
    assert len(asked) == MOST_GIVEN_UP + 1
