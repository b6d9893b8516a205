"""How many runs may be at work at once, as the instance is configured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.instance.ref import InstanceRef
from dagster._core.run_coordinator import QueuedRunCoordinator

from backtest_pipeline.orchestration.dagster_internals.compat import uses

if TYPE_CHECKING:
    from dagster import DagsterInstance

uses(QueuedRunCoordinator, "get_run_queue_config")
uses(ConcurrencyConfig, "from_concurrency_settings")
uses(InstanceRef, "from_dir", "run_coordinator", "settings")


def configured_instance(home: Path) -> InstanceRef:
    """What `dagster.yaml` in the instance's folder says; no database is asked."""
    return InstanceRef.from_dir(str(home))


def run_slots(instance: InstanceRef, *, at_most: int) -> int:
    """How many runs the queue lets work at once.

    Args:
        instance: whose queue.
        at_most: the answer where the queue knows no limit, or a higher one.
    """
    coordinator = instance.run_coordinator
    queue: QueuedRunCoordinator[DagsterInstance] | None = (
        coordinator if isinstance(coordinator, QueuedRunCoordinator) else None
    )
    settings: Any = (instance.settings or {}).get("concurrency", {})
    limits = ConcurrencyConfig.from_concurrency_settings(
        settings, queue.get_run_queue_config() if queue else None
    ).run_queue_config
    most = limits.max_concurrent_runs if limits is not None else -1
    return at_most if most < 0 else min(most, at_most)
