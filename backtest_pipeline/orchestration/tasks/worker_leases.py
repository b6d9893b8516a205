"""Which workers there are, on all machines: each renews a lease in Dagster's database every two seconds.

The database rather than the broker, as it is what a run cannot do without: a worker that the broker has lost
sight of goes on with its runs, one that the database has lost sight of could end none. No clock of one
machine is compared with that of another, but for whom was never seen before: a lease counts as long as
whoever looks sees it renewed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from backtest_pipeline.orchestration.tasks.launch_locks import worker_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster import DagsterInstance

RENEW_EVERY_S = 2.0
GONE_AFTER_S = 20.0
_LOOK_EVERY_S = 1.0
_FORGOTTEN_AFTER_S = 86_400.0
_INDEX = "backtest/workers"


@dataclass(frozen=True)
class WorkerLease:
    """What a worker says of itself.

    Attributes:
        worker: its name, which no other has, nor has had.
        host: the machine.
        renewed: how often it has renewed its lease.
        at_s: when, by the machine's own clock.
        run_slots: how many runs it takes at a time; 0 while it takes none, as without the broker.
        chunk_slots: the same of chunks.
        runs: what it is at work on.
        chunks: how many chunks it is at work on.
        chunks_done: how many it has done.
        chunk_seconds: what they have taken, all together.
        has_broker: whether the broker answers it.
    """

    worker: str
    host: str
    renewed: int = 0
    at_s: float = 0.0
    run_slots: int = 0
    chunk_slots: int = 0
    runs: Sequence[str] = ()
    chunks: int = 0
    chunks_done: int = 0
    chunk_seconds: float = 0.0
    has_broker: bool = True


def _key(worker: str) -> str:
    return f"backtest/worker/{worker}"


@contextmanager
def registered(instance: DagsterInstance, worker: str) -> Iterator[None]:
    """Lets a worker be found for the block; forgets those that have not been heard of for a day."""
    _change_index(instance, add=worker)
    try:
        yield
    finally:
        _change_index(instance, remove=worker)


def _names(instance: DagsterInstance) -> list[str]:
    names: list[str] = json.loads(
        instance.daemon_cursor_storage.get_cursor_values({_INDEX}).get(_INDEX) or "[]"
    )
    return names


def _change_index(instance: DagsterInstance, *, add: str = "", remove: str = "") -> None:
    with worker_lock(instance):
        too_old_s = time.time() - _FORGOTTEN_AFTER_S
        forgotten = {name for name, lease in read_leases(instance).items() if lease.at_s < too_old_s}
        names = {*_names(instance), add} - {*forgotten, remove, ""}
        instance.daemon_cursor_storage.set_cursor_values({_INDEX: json.dumps(sorted(names))})


def renew(instance: DagsterInstance, lease: WorkerLease) -> None:
    """Writes what a worker says of itself."""
    instance.daemon_cursor_storage.set_cursor_values({_key(lease.worker): json.dumps(asdict(lease))})


def read_leases(instance: DagsterInstance) -> dict[str, WorkerLease]:
    """The leases of all workers that have registered, by name, whether or not they are renewed."""
    names = _names(instance)
    if not names:
        return {}
    found = instance.daemon_cursor_storage.get_cursor_values({_key(name) for name in names})
    return {name: WorkerLease(**json.loads(found[_key(name)])) for name in names if _key(name) in found}


@dataclass
class WorkersSeen:
    """The workers that renew their leases, as seen by one process.

    Attributes:
        instance: whose database.
        clock: monotonic.
        wall: seconds since 1970.
    """

    instance: DagsterInstance
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    _looked_s: float = float("-inf")
    _leases: Mapping[str, WorkerLease] = field(default_factory=dict)
    _renewed_s: dict[str, float] = field(default_factory=dict)

    def alive(self) -> dict[str, WorkerLease]:
        """Those whose lease was renewed not long ago; looks once a second at most."""
        now_s = self.clock()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._look(now_s)
        return {
            name: lease
            for name, lease in self._leases.items()
            if now_s - self._renewed_s[name] <= GONE_AFTER_S
        }

    def is_lost(self, worker: str) -> bool:
        """Whether a worker is gone, or cannot answer through the broker."""
        lease = self.alive().get(worker)
        return lease is None or not lease.has_broker

    def run_slots(self) -> int:
        """How many runs all of them take at a time."""
        return sum(lease.run_slots for lease in self.alive().values())

    def chunk_slots(self) -> int:
        """How many chunks all of them take at a time."""
        return sum(lease.chunk_slots for lease in self.alive().values())

    def _look(self, now_s: float) -> None:
        found = read_leases(self.instance)
        for name, lease in found.items():
            before = self._leases.get(name)
            if before is None:
                age_s = max(0.0, self.wall() - lease.at_s)
                self._renewed_s[name] = now_s - (age_s if age_s > GONE_AFTER_S else 0.0)
            elif before.renewed != lease.renewed:
                self._renewed_s[name] = now_s
        self._leases, self._looked_s = found, now_s
