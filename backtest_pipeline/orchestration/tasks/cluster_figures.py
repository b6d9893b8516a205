"""Workers and broker, for `/metrics`, `/healthz` and `backtest doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backtest_pipeline.compute.broker import CHUNKS, QUEUES, RUNS, client_of, waiting
from backtest_pipeline.model.counted import counted
from backtest_pipeline.orchestration.tasks.worker_leases import (
    GONE_AFTER_S,
    RENEW_EVERY_S,
    WorkerLease,
    WorkersSeen,
)
from backtest_pipeline.storage.shared_volume import mark_problem
from backtest_pipeline.web.monitoring.health_checks import Check
from backtest_pipeline.web.monitoring.prometheus import WorkerFigures

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from redis import Redis

    from backtest_pipeline.settings import Settings

_MOST_BEHIND = int(GONE_AFTER_S / RENEW_EVERY_S)


@dataclass(frozen=True)
class ClusterFigures:
    """Looks at the workers of all machines and at the broker.

    Attributes:
        seen: the workers.
        client: of the broker.
        data_root: the volume, as it is mounted here.
    """

    seen: WorkersSeen
    client: Redis
    data_root: Path

    def workers(self) -> dict[str, WorkerFigures]:
        """Those that renew their leases."""
        return {
            name: WorkerFigures(
                host=lease.host,
                slots={RUNS: lease.run_slots, CHUNKS: lease.chunk_slots},
                busy={RUNS: len(lease.runs), CHUNKS: lease.chunks},
                chunks=lease.chunks_done,
                chunk_seconds=lease.chunk_seconds,
            )
            for name, lease in self.seen.alive().items()
        }

    def waiting(self) -> dict[str, int]:
        """How many messages wait, by queue; empty where the broker does not answer."""
        try:
            return {queue: waiting(self.client, queue) for queue in QUEUES}
        except Exception:  # noqa: BLE001  its errors are many, and `checks` tells of them
            return {}

    def checks(self) -> list[Check]:
        """Whether tasks that are submitted now will run."""
        try:
            self.client.ping()
            broker = Check("broker", ok=True, detail="answers")
        except Exception as error:  # noqa: BLE001  as above
            detail = f"does not answer ({error}), so tasks wait; start it, see BACKTEST_BROKER_URL"
            broker = Check("broker", ok=False, detail=detail)
        try:
            leases = self.seen.alive()
        except Exception:  # noqa: BLE001  another check tells of the database
            return [broker]
        slots = self.seen.run_slots()
        hosts = {lease.host for lease in leases.values()}
        told = (
            f"{counted(len(leases), 'worker')} on {counted(len(hosts), 'machine')}, {counted(slots, 'slot')}"
        )
        advice = "" if slots else ", so tasks wait; start `backtest worker` on a machine"
        return [broker, Check("workers", ok=slots > 0, detail=told + advice), self._volume(leases)]

    def _volume(self, leases: Mapping[str, WorkerLease]) -> Check:
        """Whether what workers write, and lock, is seen here."""
        for name, lease in leases.items():
            if problem := mark_problem(self.data_root, name, lease.renewed, _MOST_BEHIND):
                return Check("shared volume", ok=False, detail=f"the worker {name} on {lease.host} {problem}")
        return Check("shared volume", ok=True, detail=f"{self.data_root} is the same for all of them")


def cluster_figures(instance: DagsterInstance, settings: Settings) -> ClusterFigures | None:
    """What looks at workers and broker; nothing where everything runs on this machine."""
    if not settings.backtest_broker_url:
        return None
    return ClusterFigures(WorkersSeen(instance), client_of(settings.backtest_broker_url), settings.data_root)
