"""Whether runs wait for the processor that a worker would still use once its own run has ended."""

from __future__ import annotations

from functools import cached_property

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter


class OthersWait:
    """Asks an instance's queue; the instance is opened by the first question and kept until `close`."""

    def __init__(self, home: str | None) -> None:
        """Takes the instance's folder; `None`: there is no queue, and nobody waits."""
        self._home = home

    def __call__(self) -> bool:
        """Whether a run is queued now."""
        if self._home is None:
            return False
        return bool(self._instance.get_run_ids(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=1))

    def close(self) -> None:
        """Gives the connections back."""
        if "_instance" in self.__dict__:
            self._instance.dispose()

    @cached_property
    def _instance(self) -> DagsterInstance:
        return DagsterInstance.from_config(self._home or "")
