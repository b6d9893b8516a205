"""A thread of each process that leaves signs of life and finds what stands still in it.

Time is counted by looks, each for two seconds at most: a process that was stopped for a minute, or a machine
that slept, has not stood still for that long.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from backtest_pipeline.web.monitoring.liveness import ENDED_AFTER_S, EVERY_S, NOTICED_AFTER_S, Beacon

HUNG = 70
"""Exit status of a process that has ended itself because a part of it hung."""

WAITING_FACTOR = 15
"""A part that waits for the database or another process gets so many times as long: it is not what hangs."""

_WAITS = {
    "sqlalchemy",
    "psycopg2",
    "grpc",
    "futures",
    "asyncio",
    "http",
    "socket.py",
    "ssl.py",
    "subprocess.py",
}
_log = logging.getLogger("dagster.backtest.watch")


@dataclass(frozen=True, slots=True)
class Still:
    """A part of this process that has not moved since the last look.

    Attributes:
        part: which one, for people.
        where: what it does, for people.
        noticed_after_s: how long it may stand still before that is reported.
        ended_after_s: how long before this process ends itself, so that it is started again.
    """

    part: str
    where: str
    noticed_after_s: float = NOTICED_AFTER_S
    ended_after_s: float = ENDED_AFTER_S


Look = Callable[[], Iterable[Still]]


class Patience:
    """Adds up for how long something has been the same, by looks of a bounded worth."""

    def __init__(self, most_s: float = 2 * EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins at nothing.

        Args:
            most_s: the most that one look adds, in seconds.
            clock: another clock, for tests.
        """
        self._most_s = most_s
        self._clock = clock
        self._looked_s = clock()
        self.seconds = 0.0

    def look(self, *, same: bool) -> float:
        """Adds the time since the last look, or begins again where something has changed."""
        now_s = self._clock()
        self.seconds = self.seconds + min(now_s - self._looked_s, self._most_s) if same else 0.0
        self._looked_s = now_s
        return self.seconds


class Watch:
    """Looks once a second."""

    def __init__(
        self, path: Path, look: Look, *, end: Callable[[str], object] | None = None, every_s: float = EVERY_S
    ) -> None:
        """Prepares; nothing is written yet.

        Args:
            path: where signs of life go.
            look: finds what has not moved since the last look.
            end: ends this process, given the reason; for tests.
            every_s: seconds between two looks.
        """
        self._beacon = Beacon(path)
        self._look = look
        self._end = end or _end_hung
        self._every_s = every_s
        self._still: dict[str, Patience] = {}

    def start(self) -> None:
        """Looks from now on, for as long as this process lives."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def look_once(self) -> None:
        """One look: leaves a sign, or ends the process."""
        found = {one.part: one for one in self._look()}
        self._still = {part: self._still.get(part) or Patience(2 * self._every_s) for part in found}
        reported = []
        for part, one in found.items():
            seconds = self._still[part].look(same=True)
            words = f"{part} has stood still for {seconds:.0f} s in {one.where}"
            if seconds > one.ended_after_s:
                self._end(words)
            if seconds > one.noticed_after_s:
                reported.append(words)
        with suppress(OSError):  # the silence is noticed from outside
            self._beacon.sign("; ".join(reported))

    def _run(self) -> None:
        while True:
            try:
                self.look_once()
            except Exception:  # noqa: BLE001  whatever it is, the next look may go well
                _log.exception("cannot look after this process now")
            time.sleep(self._every_s)


def _end_hung(words: str) -> None:
    _log.critical("%s; this process ends, so that it is started again. All stacks:", words)
    faulthandler.dump_traceback(all_threads=True)
    os._exit(HUNG)


class StandingThreads:
    """Which threads of this process have neither run nor waited anew since the last look.

    A thread that waits in pieces, computes or sleeps between tries moves; one that waits for a lock which
    nobody will give back does not.
    """

    def __init__(self, names: Callable[[str], str]) -> None:
        """Prepares.

        Args:
            names: how people call the thread of a name; empty for one that is not looked at.
        """
        self._names = names
        self._seen: dict[int, object] = {}

    def __call__(self) -> list[Still]:
        """Looks once."""
        frames = sys._current_frames()  # noqa: SLF001  documented, for debuggers as this is one
        found: list[Still] = []
        seen: dict[int, object] = {}
        for thread in threading.enumerate():
            part = self._names(thread.name)
            frame = frames.get(thread.ident or 0)
            if not part or frame is None:
                continue
            files, stack, innermost = [], [], frame
            while frame is not None:
                files.append(frame.f_code.co_filename)
                stack.append((id(frame), frame.f_lasti))
                frame = frame.f_back
            seen[thread.ident or 0] = now = (tuple(stack), _switches(thread.native_id))
            if self._seen.get(thread.ident or 0) != now:
                continue
            waits = any(_WAITS.intersection(Path(file).parts) for file in files)
            factor = WAITING_FACTOR if waits else 1
            code = innermost.f_code
            where = f"{code.co_qualname} ({Path(code.co_filename).name}, line {innermost.f_lineno})"
            found.append(Still(part, where, factor * NOTICED_AFTER_S, factor * ENDED_AFTER_S))
        self._seen = seen
        return found


def _switches(native_id: int | None) -> bytes:
    """How often a thread has been given and has left the processor; Linux alone counts that."""
    try:
        status = Path(f"/proc/self/task/{native_id}/status").read_bytes()
    except OSError:
        return b""
    return status[status.find(b"voluntary_ctxt_switches") :]


class BusyExecutor:
    """Whether an executor still has a thread for what comes in."""

    def __init__(self, executor: Executor, part: str, *, ended_after_s: float) -> None:
        """Prepares.

        Args:
            executor: whose threads do the work.
            part: how people call them.
            ended_after_s: how long none may be free.
        """
        self._executor = executor
        self._part = part
        self._ended_after_s = ended_after_s
        self._asked: Future[None] | None = None

    def __call__(self) -> list[Still]:
        """Looks whether the last question was answered, and asks again."""
        if self._asked is not None and not self._asked.done():
            return [Still(self._part, "requests that do not end", ended_after_s=self._ended_after_s)]
        with suppress(RuntimeError):  # it is shut down
            self._asked = self._executor.submit(_nothing)
        return []


def _nothing() -> None:
    """Takes a thread for a moment."""


class EventLoop:
    """Whether a server's event loop goes round: ASGI middleware that ticks while the server lives."""

    def __init__(self, app: ASGIApp, *, every_s: float = EVERY_S / 4) -> None:
        """Stands before an app; ticks from the server's start to its end."""
        self._app = app
        self._every_s = every_s
        self._ticks = 0
        self._seen = 0
        self._lives = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands everything on."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        ticking = asyncio.create_task(self._tick())
        try:
            await self._app(scope, receive, send)
        finally:
            self._lives = False
            ticking.cancel()

    async def _tick(self) -> None:
        self._lives = True
        while True:
            self._ticks += 1
            await asyncio.sleep(self._every_s)

    def look(self) -> list[Still]:
        """The loop, where it has not gone round since the last look."""
        seen, self._seen = self._seen, self._ticks
        if not self._lives or seen != self._ticks:
            return []
        return [Still("the event loop", "one request or callback that does not end")]
