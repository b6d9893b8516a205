"""Dagster's daemon, starting runs under our lock, losing no retry: `python -m …orchestration.daemon run`."""

from __future__ import annotations

from dagster._daemon import controller
from dagster._daemon.cli import cli

from backtest_pipeline.orchestration.dagster_internals.compat import check_all, replace
from backtest_pipeline.orchestration.pooled_postgres import keep_connections
from backtest_pipeline.orchestration.queue_daemon import PromptQueueDaemon
from backtest_pipeline.orchestration.retry_daemon import LastingRetryDaemon


def install() -> None:
    """Puts our daemons where Dagster's controller looks its own up.

    Raises:
        InternalsChanged: the controller looks elsewhere.
    """
    looked_up_by = controller.create_daemon_of_type
    replace(controller, "QueuedRunCoordinatorDaemon", PromptQueueDaemon, used_by=looked_up_by)
    replace(controller, "EventLogConsumerDaemon", LastingRetryDaemon, used_by=looked_up_by)


if __name__ == "__main__":
    install()
    keep_connections()
    check_all()
    cli()
