"""Workers count as long as whoever looks sees their leases renewed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dagster import DagsterInstance

from backtest_pipeline.orchestration.tasks.worker_leases import (
    GONE_AFTER_S,
    WorkerLease,
    WorkersSeen,
    read_leases,
    registered,
    renew,
)

NOW_S = time.time()


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def instance(tmp_path: Path) -> DagsterInstance:
    return DagsterInstance.local_temp(str(tmp_path))


def lease(renewed: int, **changes: object) -> WorkerLease:
    fields = {"worker": "w", "host": "h", "at_s": NOW_S, "run_slots": 2, "chunk_slots": 3}
    return WorkerLease(**{**fields, "renewed": renewed, **changes})  # type: ignore[arg-type]  # of a test


def test_slots_of_all_workers_add_up_and_who_leaves_takes_its_own_along(instance: DagsterInstance) -> None:
    with registered(instance, "a"):
        renew(instance, lease(1, worker="a"))
        with registered(instance, "b"):
            renew(instance, lease(1, worker="b", run_slots=5))
            seen = WorkersSeen(instance, clock=Clock(), wall=lambda: NOW_S)
            assert (seen.run_slots(), seen.chunk_slots()) == (2 + 5, 3 + 3)
        assert set(read_leases(instance)) == {"a"}


def test_a_worker_that_renews_nothing_is_gone_after_a_while_and_back_when_it_does(
    instance: DagsterInstance,
) -> None:
    clock = Clock()
    seen = WorkersSeen(instance, clock=clock, wall=lambda: NOW_S)
    with registered(instance, "w"):
        renew(instance, lease(1))
        assert not seen.is_lost("w")
        clock.s += GONE_AFTER_S + 1
        assert seen.is_lost("w")
        renew(instance, lease(2))
        clock.s += 2
        assert not seen.is_lost("w")


def test_the_clock_of_another_machine_does_not_count_once_a_lease_is_seen_renewed(
    instance: DagsterInstance,
) -> None:
    clock = Clock()
    seen = WorkersSeen(instance, clock=clock, wall=lambda: NOW_S)
    with registered(instance, "w"):
        renew(instance, lease(1, at_s=NOW_S - 3_600))  # an hour behind, or dead for an hour
        assert seen.is_lost("w")
        renew(instance, lease(2, at_s=NOW_S - 3_598))
        clock.s += 2
        assert not seen.is_lost("w")


def test_a_worker_without_the_broker_answers_nobody(instance: DagsterInstance) -> None:
    with registered(instance, "w"):
        renew(instance, lease(1, has_broker=False))
        seen = WorkersSeen(instance, clock=Clock(), wall=lambda: NOW_S)
        assert seen.is_lost("w")
        assert "w" in seen.alive()
