"""Worker processes of this machine that go on where one of them is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar

from backtest_pipeline.compute.forked_worker import (
    ForkedWorker,
    fork_worker,
    packed_call,
    unpacked_outcome,
)
from backtest_pipeline.model.errors import WorkersDied

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")

MOST_TRIES = 3
"""How many workers may die at one call before it is given up."""


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(eq=False, slots=True)
class _Call:
    content: bytes
    future: Future[Any]
    tries: int = 0


class LocalProcesses(Executor):
    """Runs calls in processes forked from this one, which therefore begin with all that it has loaded.

    As `concurrent.futures.ProcessPoolExecutor`, but a worker that is killed costs nothing but time: another
    takes its place and its call is made again, so calls must bear to be repeated. Workers end with the
    process that has forked them. Leaving the block by an exception kills them at once.

    Args:
        max_workers: how many processes.
        initializer: called in each worker before its first call.
        initargs: what it is called with; inherited by the fork and never pickled.
    """

    def __init__(
        self,
        max_workers: int,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        self._enter = (initializer, initargs)
        self._count = max_workers
        self._waiting: deque[_Call] = deque()
        self._lock = threading.Lock()
        self._state: Literal["open", "finishing", "killed"] = "open"
        self._bell, self._ring = Pipe(duplex=False)
        self._workers: dict[ForkedWorker, _Call | None] = {}
        self._deaths = 0
        self._problem: Exception | None = None
        started: Future[None] = Future()
        self._manager = threading.Thread(
            target=self._manage, args=(started,), name="local-processes", daemon=True
        )
        self._manager.start()
        started.result()  # while this thread waits, it holds no lock that a worker might inherit

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that there are now."""
        return [worker.pid for worker in list(self._workers)]

    def submit(
        self, fn: Callable[Arguments, Outcome], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Outcome]:
        """Makes a call in a worker; function and arguments are pickled, the outcome as well.

        The future raises what the call raises, or `WorkersDied` where one worker after another dies at it.

        Raises:
            RuntimeError: the processes have been shut down.
            WorkersDied: the workers ended before they were given anything, one after another.
        """
        call = _Call(packed_call(fn, args, kwargs), Future())
        with self._lock:
            if self._problem is not None:
                raise self._problem
            if self._state != "open":
                raise RuntimeError("cannot submit a call after the processes have been shut down")
            self._waiting.append(call)
        self._wake()
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls and ends the workers when what has been submitted is done; may be repeated."""
        with self._lock:
            if self._state == "open":
                self._state = "finishing"
            dropped = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
        for call in dropped:
            _give_up(call.future)
        self._wake()
        if wait:
            self._manager.join()

    def kill(self) -> None:
        """Ends the workers at once, whatever they are at; futures that are not done are cancelled."""
        with self._lock:
            self._state = "killed"
        self._wake()
        self._manager.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.shutdown()
        else:
            self.kill()

    def _wake(self) -> None:
        with suppress(OSError):  # the manager has ended
            self._ring.send_bytes(b"")

    def _manage(self, started: Future[None]) -> None:
        """Forks the workers, hands calls out and takes outcomes in, in a thread of its own.

        That thread forks them all, as a worker ends with the thread that it comes from.
        """
        problem: Exception | None = None
        try:
            for _ in range(self._count):
                self._add_worker()
            started.set_result(None)
            while self._hand_out():
                self._take_in_all()
        except Exception as error:  # noqa: BLE001  told by every future that waits
            problem = error
        finally:
            self._end(problem)
            if problem is not None and not started.done():
                started.set_exception(problem)

    def _add_worker(self) -> None:
        others = [self._bell, self._ring, *(worker.connection for worker in self._workers)]
        self._workers[fork_worker(*self._enter, others)] = None

    def _hand_out(self) -> bool:
        """Gives waiting calls to idle workers; returns whether there is anything left to wait for."""
        for worker in [one for one, call in self._workers.items() if call is None]:
            call = self._next_call()
            if call is None:
                break
            self._workers[worker] = call
            with suppress(OSError):  # it has just died, as its connection will say
                worker.connection.send_bytes(call.content)
        with self._lock:
            if self._state == "finishing":
                return bool(self._waiting) or any(self._workers.values())
            return self._state == "open"

    def _next_call(self) -> _Call | None:
        while True:
            with self._lock:
                call = self._waiting.popleft() if self._waiting and self._state != "killed" else None
            if call is None or call.tries or call.future.set_running_or_notify_cancel():
                return call

    def _take_in_all(self) -> None:
        ready = wait([self._bell, *(worker.connection for worker in self._workers)])
        while self._bell.poll():
            self._bell.recv_bytes()
        for worker in [one for one in self._workers if one.connection in ready]:
            try:
                value, error = unpacked_outcome(worker.connection.recv_bytes())
            except (EOFError, OSError):
                self._replace(worker)
            else:
                self._settle(worker, value, error)

    def _settle(self, worker: ForkedWorker, value: object, error: BaseException | None) -> None:
        call, self._workers[worker], self._deaths = self._workers[worker], None, 0
        if call is not None and error is None:
            call.future.set_result(value)
        elif call is not None:
            call.future.set_exception(error)

    def _replace(self, worker: ForkedWorker) -> None:
        """Puts another worker in the place of a dead one, and its call first in the queue.

        Raises:
            WorkersDied: workers die without a call, as where the initializer raises.
        """
        call = self._workers.pop(worker)
        worker.connection.close()
        ended = _reaped(worker.pid)
        self._deaths += 1
        if call is not None:
            call.tries += 1
            if call.tries == MOST_TRIES:
                call.future.set_exception(WorkersDied(call.tries, ended))
            else:
                with self._lock:
                    self._waiting.appendleft(call)
        if self._deaths > MOST_TRIES * (self._count + 1):
            raise WorkersDied(self._deaths, ended)
        self._add_worker()

    def _end(self, problem: Exception | None) -> None:
        with self._lock:
            gently = self._state == "finishing" and problem is None
            self._state, self._problem = "killed", problem
            left = [*(call for call in self._workers.values() if call), *self._waiting]
            self._waiting.clear()
        for worker in self._workers:
            if not gently:
                os.kill(worker.pid, signal.SIGKILL)  # not reaped yet, so the id is still its own
            worker.connection.close()
        for worker in self._workers:
            _reaped(worker.pid)
        self._workers.clear()
        for call in left:
            _give_up(call.future, problem)
        self._bell.close()
        self._ring.close()


def _give_up(future: Future[Any], problem: Exception | None = None) -> None:
    """Lets nobody wait for a call that will not be made."""
    if future.done():
        return
    if problem is not None and (future.running() or future.set_running_or_notify_cancel()):
        future.set_exception(problem)
    elif future.cancel():
        future.set_running_or_notify_cancel()
    else:
        future.set_exception(CancelledError())


def _reaped(pid: int) -> str:
    """Waits for the end of a process and tells how it came."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:  # somebody else has waited for it
        return "in an unknown way"
    code = os.waitstatus_to_exitcode(status)
    return f"by signal {-code}" if code < 0 else f"with status {code}"
