"""What `/healthz` and `/metrics` say of workers and broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from backtest_pipeline.orchestration.tasks.cluster_figures import ClusterFigures, cluster_figures
from backtest_pipeline.orchestration.tasks.worker_leases import WorkerLease, WorkersSeen, registered, renew
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.shared_volume import WorkerMark
from backtest_pipeline.web.monitoring.health_checks import Check

NOW_S = 1e12


class Broker:
    """As much of Redis as is asked."""

    def __init__(self, lengths: list[int] | None = None) -> None:
        self._lengths = lengths

    def ping(self) -> bool:
        if self._lengths is None:
            raise ConnectionError("refused")
        return True

    def pipeline(self, *, transaction: bool) -> Broker:
        self.ping()
        return self

    def llen(self, name: str) -> None:
        """Asks for a length that `execute` answers."""

    def execute(self) -> list[int]:
        return self._lengths or []


@pytest.fixture
def instance(tmp_path: Path) -> DagsterInstance:
    return DagsterInstance.local_temp(str(tmp_path))


def figures(instance: DagsterInstance, root: Path, broker: Any) -> ClusterFigures:
    return ClusterFigures(WorkersSeen(instance, wall=lambda: NOW_S), broker, root)


@pytest.fixture
def worker(instance: DagsterInstance, tmp_path: Path) -> Iterator[WorkerMark]:
    lease = WorkerLease(
        "w", "h", renewed=3, at_s=NOW_S, run_slots=2, chunk_slots=4, runs=["a"], chunks=3,
        chunks_done=10, chunk_seconds=2.5,
    )  # fmt: skip
    mark = WorkerMark(tmp_path, "w")
    mark.number(3)
    with registered(instance, "w"):
        renew(instance, lease)
        yield mark
    mark.remove()


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_without_a_broker_there_is_nothing_to_look_at(instance: DagsterInstance, tmp_path: Path) -> None:
    assert cluster_figures(instance, Settings(data_root=tmp_path)) is None


def test_workers_and_queues_are_counted(
    instance: DagsterInstance, tmp_path: Path, worker: WorkerMark
) -> None:
    found = figures(instance, tmp_path, Broker([1, 0, 5, 0]))
    assert found.waiting() == {"runs": 6, "chunks": 6}
    [(name, told)] = found.workers().items()
    assert (name, told.host, told.slots, told.busy) == (
        "w", "h", {"runs": 2, "chunks": 4}, {"runs": 1, "chunks": 3},
    )  # fmt: skip
    assert (told.chunks, told.chunk_seconds) == (10, 2.5)
    checks = by_name(found.checks())
    assert all(check.ok for check in checks.values()), checks
    assert checks["workers"].detail == "1 worker on 1 machine, 2 slots"


def test_a_broker_that_is_away_and_no_worker_are_no_good(instance: DagsterInstance, tmp_path: Path) -> None:
    found = figures(instance, tmp_path, Broker())
    assert found.waiting() == {}
    checks = by_name(found.checks())
    assert not checks["broker"].ok
    assert "so tasks wait; start it, see BACKTEST_BROKER_URL" in checks["broker"].detail
    assert not checks["workers"].ok
    assert "so tasks wait; start `backtest worker` on a machine" in checks["workers"].detail


def test_a_worker_with_another_folder_under_the_same_name_is_found_out(
    instance: DagsterInstance, tmp_path: Path, worker: WorkerMark
) -> None:
    check = by_name(figures(instance, tmp_path / "other", Broker([0])).checks())["shared volume"]
    assert not check.ok
    assert "its DATA_ROOT is not this folder" in check.detail
