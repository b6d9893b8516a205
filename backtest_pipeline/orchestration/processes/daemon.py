"""Dagster's daemon, starting runs under our lock, losing no retry: `python -m …orchestration.daemon run`."""

from __future__ import annotations

from typing import Any

from dagster import DagsterInstance
from dagster._daemon import controller
from dagster._daemon.cli import cli
from dagster._daemon.daemon import DagsterDaemon

from backtest_pipeline.orchestration.dagster_internals.compat import check_all, replace
from backtest_pipeline.orchestration.dagster_internals.daemon_loops import attended
from backtest_pipeline.orchestration.dagster_internals.pooled_postgres import keep_connections
from backtest_pipeline.orchestration.dagster_internals.queue_daemon import PromptQueueDaemon
from backtest_pipeline.orchestration.dagster_internals.retry_daemon import LastingRetryDaemon
from backtest_pipeline.settings import get_settings
from backtest_pipeline.web.monitoring.liveness import sign_file
from backtest_pipeline.web.monitoring.watch import StandingThreads, Watch

_LOOP = "dagster-daemon-"
_create_daemon_of_type = controller.create_daemon_of_type


def install() -> None:
    """Puts our daemons where Dagster's controller looks its own up.

    Raises:
        InternalsChanged: the controller looks elsewhere.
    """
    looked_up_by = _create_daemon_of_type
    replace(controller, "QueuedRunCoordinatorDaemon", PromptQueueDaemon, used_by=looked_up_by)
    replace(controller, "EventLogConsumerDaemon", LastingRetryDaemon, used_by=looked_up_by)
    replace(controller, "create_daemon_of_type", _created, used_by=controller.create_daemons_from_instance)


def _created(daemon_type: str, instance: DagsterInstance) -> DagsterDaemon[Any]:
    return attended(_create_daemon_of_type(daemon_type, instance))


def part_of(thread_name: str) -> str:
    """How people call a thread that has to go on; empty for the others."""
    if thread_name == "MainThread":
        return "the main thread"
    return f"the loop {thread_name.removeprefix(_LOOP).lower()}" if thread_name.startswith(_LOOP) else ""


if __name__ == "__main__":
    Watch(sign_file(get_settings().dagster_home, "daemon"), StandingThreads(part_of)).start()
    install()
    keep_connections()
    check_all()
    cli()
