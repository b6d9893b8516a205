"""What each loop of the daemon gets besides: short sleeps, and errors that are forgotten once they passed.

Dagster keeps a loop's errors in its heartbeats for five minutes, whatever the loop does afterwards, and calls
the whole daemon ill for as long. Here a loop that has gone well again says so at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from threading import Event
from typing import Any

from dagster import DagsterInstance
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType, TickStatus
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon, SpanMarker
from dagster_shared.error import SerializableErrorInfo

QUIET_S = 10.0
"""A loop whose errors come every second or so, with good rounds between, is still failing."""

SLEEP_S = 1.0
_INSTIGATORS = {
    "SENSOR": InstigatorType.SENSOR,
    "ASSET": InstigatorType.SENSOR,
    "SCHEDULER": InstigatorType.SCHEDULE,
}
_TICKS_IN_FLIGHT = 5


def attended(daemon: DagsterDaemon[Any], clock: Callable[[], float] = time.monotonic) -> DagsterDaemon[Any]:
    """The same daemon, its loop as this module has it.

    Args:
        daemon: one of Dagster's or ours.
        clock: another clock, for tests.
    """
    loop = daemon.core_loop

    def core_loop(context: IWorkspaceProcessContext[Any], shutdown_event: Event) -> DaemonIterator:
        rounds = loop(context, Naps(shutdown_event))  # type: ignore[arg-type]  # as much of an event as is asked
        yield from _Memory(daemon, context.instance, clock).watching(rounds)

    daemon.core_loop = core_loop  # type: ignore[method-assign, assignment]  # of this one daemon
    return daemon


class Naps:
    """A shutdown event whose waits are naps of a second: who sleeps moves, who hangs does not."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def wait(self, timeout: float | None = None) -> bool:
        """Waits as an event does, in pieces."""
        until_s = float("inf") if timeout is None else time.monotonic() + timeout
        while (left_s := until_s - time.monotonic()) > 0:
            if self._event.wait(min(left_s, SLEEP_S)):
                return True
        return self._event.is_set()

    def is_set(self) -> bool:
        """Whether the daemon is to end."""
        return self._event.is_set()


class _Memory:
    """A loop's errors, until it has gone well again."""

    def __init__(
        self, daemon: DagsterDaemon[Any], instance: DagsterInstance, clock: Callable[[], float]
    ) -> None:
        self._daemon = daemon
        self._instance = instance
        self._clock = clock
        self._erred_s = clock()
        self._well = True

    def watching(self, rounds: DaemonIterator) -> DaemonIterator:
        """Hands the loop's results on."""
        with closing(rounds):
            try:
                for result in rounds:
                    if isinstance(result, SerializableErrorInfo):
                        self._has_erred()
                    elif result is SpanMarker.START_SPAN:
                        self._well = True
                    elif result is SpanMarker.END_SPAN and self._well:
                        self._has_gone_well()
                    yield result
            except Exception:
                self._has_erred()
                raise

    def _has_erred(self) -> None:
        self._well = False
        self._erred_s = self._clock()

    def _has_gone_well(self) -> None:
        """Forgets the errors, and has the next heartbeat say so now instead of in half a minute."""
        if not self._daemon._errors or self._clock() - self._erred_s < QUIET_S:  # noqa: SLF001  no public name
            return
        if self._still_fails():
            return
        self._daemon._errors.clear()  # noqa: SLF001  as above
        self._daemon._last_heartbeat_time = None  # noqa: SLF001  as above

    def _still_fails(self) -> bool:
        """Whether a sensor or schedule failed when it was evaluated last: most rounds evaluate none."""
        kind = _INSTIGATORS.get(self._daemon.daemon_type())
        if kind is None:
            return False
        try:
            return any(
                self._failed_last(state.instigator_origin_id, state.selector_id)
                for state in self._instance.all_instigator_state(instigator_type=kind)
                if state.status != InstigatorStatus.STOPPED
            )
        except Exception:  # noqa: BLE001  whatever a database driver raises: nothing is known to be well
            return True

    def _failed_last(self, origin_id: str, selector_id: str) -> bool:
        ticks = self._instance.get_ticks(origin_id, selector_id, limit=_TICKS_IN_FLIGHT)
        ended = [tick.status for tick in ticks if tick.status != TickStatus.STARTED]
        return bool(ended) and ended[0] == TickStatus.FAILURE
