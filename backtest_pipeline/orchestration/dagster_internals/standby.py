"""What a worker does while it stands by: it prepares itself, waits for a run, and executes it.

The code server speaks with it through a pipe: it sends one `HandedRun`, and reads first what the worker says
of itself, then what Dagster's function reports of the run. When the code server closes its end, the worker is
not needed any more and ends.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance
from dagster._core.instance import factory

from backtest_pipeline.orchestration.dagster_internals.compat import replaced
from backtest_pipeline.orchestration.dagster_internals.run_storage import is_postgres, run_storage_of

if TYPE_CHECKING:
    from dagster._core.instance.ref import InstanceRef

READY, TAKEN = "ready", "taken"
STANDING_BY, RUNNING = "bt-standing-by", "bt-running"
"""Names that the system shows for the process."""


@dataclass(frozen=True, slots=True)
class HandedRun:
    """A run for a worker.

    Attributes:
        execute: Dagster's function; it takes the arguments, where to report to, and an event that interrupts.
        arguments: what says which run it is.
    """

    execute: Callable[..., object]
    arguments: tuple[Any, ...]

    @classmethod
    def from_bytes(cls, content: bytes) -> HandedRun:
        """What `to_bytes` has made; it comes from the code server alone."""
        run: HandedRun = pickle.loads(content)  # noqa: S301  see above
        return run

    def to_bytes(self) -> bytes:
        """The run as it goes through the pipe."""
        return pickle.dumps(self)


class _Reports:
    """Looks to Dagster's function like the queue that it puts its reports into."""

    def __init__(self, pipe: Connection) -> None:
        self.put = pipe.send


def stand_by(pipe: Connection, instance: InstanceRef | None) -> None:
    """Executes the run that comes through the pipe, if one does.

    Args:
        pipe: to the code server.
        instance: the instance to be opened before; `None` prepares nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is no run yet that could be cancelled
    prepared = opened(instance)
    interrupting = multiprocessing.Event()
    gc.freeze()
    show(STANDING_BY)
    try:
        pipe.send(READY)
        content = pipe.recv_bytes()
        pipe.send(TAKEN)  # before anything is imported to make a run of it
    except (EOFError, OSError):
        return
    show(RUNNING)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    handed = HandedRun.from_bytes(content)
    with _given(prepared):
        handed.execute(*handed.arguments, _Reports(pipe), interrupting)


def opened(reference: InstanceRef | None) -> DagsterInstance | None:
    """Opens the instance and asks each of its databases once; what is away now, the run will meet."""
    if reference is None:
        return None
    with suppress(Exception):
        instance = DagsterInstance.from_ref(reference)
        storage = run_storage_of(instance)
        instance.get_run_by_id("")
        if is_postgres(storage):
            with storage.connect(), storage.connect():
                pass  # a run's row is written by one while the other holds its lock
        instance.all_logs("")
        instance.compute_log_manager  # noqa: B018  loaded when it is first asked for
        instance.get_concurrency_config()
        return instance
    return None


@contextmanager
def _given(prepared: DagsterInstance | None) -> Iterator[None]:
    """Lets the first who opens this instance in the block have it as it is; others open their own."""
    waiting = [prepared] if prepared is not None else []
    usual = factory.create_instance_from_ref

    def opened(reference: InstanceRef) -> DagsterInstance:
        if waiting and waiting[0].get_ref() == reference:
            return waiting.pop()
        return usual(reference)

    with replaced(factory, "create_instance_from_ref", opened, used_by=DagsterInstance.from_ref):
        yield


def show(name: str) -> None:
    """Has the system show a name for this process."""
    with suppress(OSError):  # no Linux
        Path("/proc/self/comm").write_text(name)
