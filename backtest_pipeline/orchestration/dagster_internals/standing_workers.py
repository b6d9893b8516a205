"""Workers that stand by before there is a run for them: their renewal, and how a run is handed over."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize

from backtest_pipeline.orchestration.dagster_internals.standby import READY, TAKEN, HandedRun

LOOK_EVERY_S = 1.0
RENEW_AFTER_S = 0.4
"""So long has a run the processors for itself before the next worker prepares; a short one is over then."""
TAKES_WITHIN_S = 1.0
"""One that stands by answers in a millisecond, if it is neither dead nor stopped."""


class StandingWorker:
    """A worker's process and the pipe to it.

    Attributes:
        process: the process.
    """

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.process = process
        self._pipe = pipe
        self._ready = False

    def is_ready(self) -> bool:
        """Whether it has prepared itself."""
        if not self._ready:
            self._ready = self._says(READY, within_s=0)
        return self._ready

    def takes(self, run: HandedRun) -> bool:
        """Hands it a run.

        One that was ready has to say that it takes it. One that does not, as it has died or is stopped, is
        killed before this returns, so that somebody else may have the run. One that is still preparing takes
        it when it is ready.
        """
        was_ready = self.is_ready()
        try:
            self._pipe.send_bytes(run.to_bytes())
        except OSError:
            return False
        if not was_ready or self._says(TAKEN, within_s=TAKES_WITHIN_S):
            return True
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)  # `kill()` spares whom its fork server left behind
        return self._says(TAKEN, within_s=TAKES_WITHIN_S)

    def report(self) -> object | None:
        """The next of Dagster's reports of its run; `None` where there is none, or no more."""
        try:
            while self._pipe.poll():
                said: object = self._pipe.recv()
                if not isinstance(said, str):  # the worker's own words
                    return said
        except (EOFError, OSError):
            pass
        return None

    def dismiss(self) -> None:
        """Lets it end, which it does unless it has a run."""
        self._pipe.close()

    def _says(self, word: str, *, within_s: float) -> bool:
        try:
            return self._pipe.poll(within_s) and self._pipe.recv() == word
        except (EOFError, OSError):
            return False


class StandingWorkers:
    """Keeps workers ready, and replaces those that are taken or die.

    Args:
        start: starts one; raises where that is not possible now.
        count: how many.
        logger: hears where one cannot be started.
    """

    def __init__(self, start: Callable[[], StandingWorker], count: int, logger: logging.Logger) -> None:
        self._start = start
        self._count = count
        self._logger = logger
        self._standing: list[StandingWorker] = []
        self._lock = threading.Lock()
        self._taken = threading.Event()
        self._closed = threading.Event()
        # Before multiprocessing waits for them at the end of this process.
        self._at_end = Finalize(self, self.close, exitpriority=10)
        if count > 0:
            threading.Thread(target=self._renew, name="renew-workers", daemon=True).start()

    def take(self) -> StandingWorker | None:
        """One of them, which is no longer theirs: rather one that is ready; `None` where none is left."""
        with self._lock:
            self._standing.sort(key=lambda worker: not worker.is_ready())
            taken = self._standing.pop(0) if self._standing else None
        self._taken.set()
        return taken

    def close(self) -> None:
        """Dismisses them all; nobody stands by any more."""
        self._closed.set()
        self._taken.set()
        with self._lock:
            dismissed, self._standing = self._standing, []
        for worker in dismissed:
            worker.dismiss()

    def _renew(self) -> None:
        while not self._closed.is_set():
            try:
                self._bury_dead()
                self._fill()
            except Exception as error:  # noqa: BLE001  a run starts its own worker then; the next look may do better
                self._logger.warning("no worker stands by for the next run yet: %r", error)
            if self._taken.wait(LOOK_EVERY_S):
                self._taken.clear()
                self._closed.wait(RENEW_AFTER_S)

    def _bury_dead(self) -> None:
        with self._lock:
            dead = [worker for worker in self._standing if not worker.process.is_alive()]
            self._standing = [worker for worker in self._standing if worker not in dead]
        for worker in dead:
            worker.dismiss()

    def _fill(self) -> None:
        while not self._closed.is_set() and len(self._standing) < self._count:
            started = self._start()
            with self._lock:
                if not self._closed.is_set():
                    self._standing.append(started)
                    continue
            started.dismiss()
