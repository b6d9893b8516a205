"""Dagster's command for its daemon, with our queue and our retries in it."""

from __future__ import annotations

from typing import Any

from dagster import DagsterInstance
from dagster._daemon import controller
from dagster._daemon.cli import cli
from dagster._daemon.daemon import DagsterDaemon

from backtest_pipeline.orchestration.dagster_internals.compat import check_all, replace
from backtest_pipeline.orchestration.dagster_internals.daemon_loops import attended
from backtest_pipeline.orchestration.dagster_internals.instance_databases import (
    create_databases,
    use_databases_well,
)
from backtest_pipeline.orchestration.dagster_internals.queue_daemon import PromptQueueDaemon
from backtest_pipeline.orchestration.dagster_internals.retry_daemon import LastingRetryDaemon
from backtest_pipeline.orchestration.dagster_internals.unopened_instance import start_runs_without_it
from backtest_pipeline.settings import get_settings

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


def prepare() -> None:
    """Install our daemons and check everything that they rely on.

    Raises:
        InternalsChanged: Dagster is not as this package knows it.
    """
    install()
    if get_settings().backtest_broker_url:
        from backtest_pipeline.orchestration.dagster_internals import (  # noqa: PLC0415  Celery, an extra
            starting_runs,
        )

        starting_runs.install()
    use_databases_well()
    start_runs_without_it()
    check_all()


def run() -> None:
    """Run `dagster-daemon` with this process's arguments, until it is stopped."""
    create_databases()
    cli()
