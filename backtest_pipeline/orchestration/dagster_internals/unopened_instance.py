"""Starting runs without opening the instance once more.

Dagster's client opens the whole instance for each start of a run, only to write down what goes wrong in it:
on PostgreSQL that is six connections, a tenth of a second for the task that waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from dagster import DagsterInstance
from dagster._grpc import client

from backtest_pipeline.orchestration.dagster_internals.compat import replace, uses

if TYPE_CHECKING:
    from dagster._core.instance.ref import InstanceRef

uses(DagsterInstance, "from_ref", "dispose")


class UnopenedInstance:
    """Stands for an instance, which is opened when something of it is asked for."""

    def __init__(self, reference: InstanceRef) -> None:
        self._reference = reference
        self._instance: DagsterInstance | None = None

    @classmethod
    def from_ref(cls, reference: InstanceRef) -> Self:
        """As of `DagsterInstance`."""
        return cls(reference)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._instance is not None:
            self._instance.dispose()

    def __getattr__(self, name: str) -> Any:
        if self._instance is None:
            self._instance = DagsterInstance.from_ref(self._reference)
        return getattr(self._instance, name)


def start_runs_without_it() -> None:
    """Lets the runs that this process starts be started without an instance, unless that fails.

    Raises:
        InternalsChanged: Dagster's client opens it another way.
    """
    replace(client, "DagsterInstance", UnopenedInstance, used_by=client.DagsterGrpcClient.start_run)
