"""What is measured of a service that runs backtests, whoever made it: latency, throughput, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import proc

_FIRST_POLL_S = 0.04
_PAUSE_PER_WAITED = 0.1
_ALONE_S = 1.0
_LAST_POLL_S = 0.5
_PATIENCE_S = 900.0
_BATCH = 200


class TaskLost(RuntimeError):
    """A backtest that ought to complete did not."""


def most_held(changes: Iterable[tuple[Any, int]]) -> int:
    """The most that was ever held at once; each change is a moment and 1 for taken or -1 for given back."""
    held = most = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    return most


class Target(Protocol):
    """A running service. Moments are seconds since 1970, by the clock of this machine."""

    def submit(self) -> str:
        """Asks for one backtest of 1,000 candles; returns its id."""

    def completed_at(self, ids: Sequence[str]) -> dict[str, float]:
        """When those backtests completed that have; raises `TaskLost` when one has failed."""

    def most_at_once(self, ids: Sequence[str]) -> int | None:
        """How many of the backtests ran at the same time at most, by the service's own record of them."""

    def pids(self) -> list[int]:
        """Every process of the service."""

    def worker_pids(self) -> list[int]:
        """The processes that run backtests now."""


def latency(target: Target, count: int) -> dict[str, Any]:
    """Backtests one after another on an idle system.

    `completed` ends when the service has written the end down; `seen` when a client that polls as the SDK
    does (every 40 ms, more rarely the longer it waits) has seen it.
    """
    completed, seen = [], []
    for _ in range(count):
        started = time.time()
        task = target.submit()
        ended = wait(target, [task])[task]
        completed.append(ended - started)
        seen.append(time.time() - started)
    return {
        "backtests": count,
        "completed_p50_s": percentile(completed, 50),
        "completed_p95_s": percentile(completed, 95),
        "seen_p50_s": percentile(seen, 50),
        "seen_p95_s": percentile(seen, 95),
    }


def throughput(target: Target, count: int) -> dict[str, Any]:
    """Many backtests at once, from the first submission to the last end."""
    started = time.time()
    tasks = [target.submit() for _ in range(count)]
    submitted_s = time.time() - started
    ended = wait(target, tasks)
    return {
        "backtests": count,
        "per_minute": 60 * count / (max(ended.values()) - started),
        "submitted_per_s": count / submitted_s,
        "lost": count - len(ended),
        "most_at_once": target.most_at_once(tasks),
    }


def memory(target: Target, count: int, settle_s: float = 5.0) -> dict[str, Any]:
    """Memory of the whole service while nothing runs, and the private memory of what runs one backtest."""
    time.sleep(settle_s)
    pids = target.pids()
    idle_mib = proc.pss_mib(pids)
    return {
        "processes": len(pids),
        "idle_pss_mib": idle_mib,
        "worker_private_mib": statistics.median(_worker_mib(target) for _ in range(count)),
    }


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which `percent` of a hundred lie, interpolated."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def wait(target: Target, tasks: Sequence[str]) -> dict[str, float]:
    """Waits until all backtests have completed; returns when each has.

    Raises:
        TaskLost: one has failed, or they take too long.
    """
    waiting, ended = list(tasks), {}
    started, pause_s = time.monotonic(), _FIRST_POLL_S
    deadline = started + _PATIENCE_S
    while waiting:
        if time.monotonic() > deadline:
            raise TaskLost(f"{len(waiting)} backtests have not ended after {_PATIENCE_S:g} s")
        time.sleep(pause_s)
        pause_s = min(max(_PAUSE_PER_WAITED * (time.monotonic() - started), _FIRST_POLL_S), _LAST_POLL_S)
        ended.update(target.completed_at(waiting[:_BATCH]))
        waiting = [task for task in waiting if task not in ended]
    return ended


def _worker_mib(target: Target) -> float:
    """The most private memory that the processes of one backtest have together.

    The one before has ended by then: ours goes on for a moment to draw its report.
    """
    time.sleep(_ALONE_S)
    task, most = target.submit(), 0.0
    while not target.completed_at([task]):
        for _ in range(10):
            most = max(most, sum(proc.private_mib(pid) for pid in target.worker_pids()))
            time.sleep(0.01)
    return most
