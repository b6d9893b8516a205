"""Calls that are made on other machines, behind the interface of `concurrent.futures`.

A call goes to the broker as a message; whoever makes it leaves the outcome under the call's own key. The
broker may lose either, and a machine may vanish with a call: what has been lost is sent again, so calls must
bear to be made more than once.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from backtest_pipeline.compute.local_processes import MOST_TRIES
from backtest_pipeline.model.errors import WorkersDied

if TYPE_CHECKING:
    from redis import Redis

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")

LOOK_EVERY_S = 0.02
LOOK_FOR_LOSSES_EVERY_S = 1.0
SEND_AGAIN_AFTER_S = 1.0
KEPT_S = 86_400
"""So long Redis keeps an outcome that nobody has taken."""


class CallForm(Protocol):
    """How calls and outcomes look as JSON."""

    def message(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> dict[str, Any]:
        """A call."""

    def outcome(self, message: Mapping[str, Any]) -> Any:
        """What a call has returned; raises what it has raised."""


class Workers(Protocol):
    """Who makes the calls."""

    def is_lost(self, worker: str) -> bool:
        """Whether a worker is gone, or cannot leave an outcome any more."""


def outcome_key(call_id: str) -> str:
    """Where in Redis it stands who makes a call, and then what has come of it."""
    return f"backtest:call:{call_id}"


def tries_key(call_id: str) -> str:
    """Where in Redis it is counted how often a call has been begun."""
    return f"backtest:tries:{call_id}"


@dataclass(eq=False, slots=True)
class _Call:
    message: dict[str, Any]
    future: Future[Any]
    call_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    sent: bool = False
    worker: str = ""
    deaths: int = 0


class BrokerCalls(Executor):
    """Makes calls where there is a worker for them.

    Args:
        send: sends a message under a call's id; raises where the broker does not take it.
        client: asks the broker for outcomes.
        form: how calls look.
        workers: who makes them.
    """

    def __init__(
        self, send: Callable[[str, dict[str, Any]], object], client: Redis, form: CallForm, workers: Workers
    ) -> None:
        self._send = send
        self._client = client
        self._form = form
        self._workers = workers
        self._sentinel = f"backtest:caller:{uuid.uuid4().hex}"
        self._broker = ""
        self._new: deque[_Call] = deque()
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._state = "open"
        self._manager = threading.Thread(target=self._manage, name="broker-calls", daemon=True)
        self._manager.start()

    def submit(
        self, fn: Callable[Arguments, Outcome], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Outcome]:
        """Makes a call somewhere.

        The future raises what the call raises, or `WorkersDied` where one worker after another dies at it.

        Raises:
            RuntimeError: the executor has been shut down.
        """
        if kwargs:
            raise TypeError("calls to other machines take arguments by their place")
        call = _Call(self._form.message(fn, args), Future())
        with self._lock:
            if self._state != "open":
                raise RuntimeError("cannot submit a call after the executor has been shut down")
            self._new.append(call)
        self._bell.set()
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls; returns when those that were submitted are done; may be repeated."""
        with self._lock:
            if self._state == "open":
                self._state = "killed" if cancel_futures else "finishing"
        self._bell.set()
        if wait:
            self._manager.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(cancel_futures=kind is not None)

    def _manage(self) -> None:
        """Sends calls and takes outcomes in, in a thread of its own; while the broker is away, it waits."""
        calls: dict[str, _Call] = {}
        looked_s = float("-inf")
        while True:
            with self._lock:
                state = self._state
                while self._new:
                    call = self._new.popleft()
                    if call.future.set_running_or_notify_cancel():
                        calls[call.call_id] = call
            if state == "killed" or (state == "finishing" and not calls):
                break
            try:
                if calls and time.monotonic() - looked_s > LOOK_FOR_LOSSES_EVERY_S:
                    self._look_for_losses(calls)
                    looked_s = time.monotonic()
                self._send_all(calls)
                self._take_in(calls)
            except Exception:  # noqa: BLE001  the broker's errors are many; a call is not lost by any of them
                time.sleep(SEND_AGAIN_AFTER_S)
            self._bell.wait(LOOK_EVERY_S if calls else None)
            self._bell.clear()
        for call in [*calls.values(), *self._new]:
            if not call.future.done() and not call.future.cancel():
                call.future.set_exception(CancelledError())

    def _send_all(self, calls: Mapping[str, _Call]) -> None:
        for call in calls.values():
            if not call.sent:
                self._send(call.call_id, call.message)
                call.sent = True

    def _take_in(self, calls: dict[str, _Call]) -> None:
        ids = list(calls)
        if not ids:
            return
        answers: list[Any] = self._client.mget([outcome_key(one) for one in ids])
        done = []
        for call_id, answer in zip(ids, answers, strict=True):
            if answer is None:
                continue
            call, reply = calls[call_id], json.loads(answer)
            call.worker = reply["worker"]
            if "outcome" in reply:
                done.append(call_id)
                self._settle(calls.pop(call_id), reply["outcome"])
        if done:
            self._client.delete(*(name(one) for one in done for name in (outcome_key, tries_key)))

    def _settle(self, call: _Call, outcome: Mapping[str, Any]) -> None:
        try:
            value = self._form.outcome(outcome)
        except BaseException as error:  # noqa: BLE001  whose it is, is asked where the call was made
            call.future.set_exception(error)
        else:
            call.future.set_result(value)

    def _look_for_losses(self, calls: dict[str, _Call]) -> None:
        """Sends again what the broker has forgotten, or who made it has taken along."""
        lives: Any = self._client.info("server")
        broker = str(lives["run_id"])
        forgot = not self._client.exists(self._sentinel) or broker != self._broker
        if forgot:
            self._client.set(self._sentinel, "1", ex=KEPT_S)
            self._broker = broker
        for call in list(calls.values()):
            died = bool(call.worker) and self._workers.is_lost(call.worker)
            if not (died or forgot) or not call.sent:
                continue
            del calls[call.call_id]
            call.deaths += died
            if call.deaths == MOST_TRIES:
                call.future.set_exception(WorkersDied(call.deaths, f"with {call.worker}"))
                continue
            call.call_id, call.sent, call.worker = uuid.uuid4().hex, False, ""
            calls[call.call_id] = call
