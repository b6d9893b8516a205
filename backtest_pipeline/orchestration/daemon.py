"""Dagster's daemon, starting runs under our lock, losing no retry: `python -m …orchestration.daemon run`."""

from __future__ import annotations

from dagster._daemon import controller
from dagster._daemon.cli import cli

from backtest_pipeline.orchestration.pooled_postgres import keep_connections
from backtest_pipeline.orchestration.queue_daemon import PromptQueueDaemon
from backtest_pipeline.orchestration.retry_daemon import LastingRetryDaemon


def install() -> None:
    """Puts our daemons where Dagster's controller looks its own up."""
    controller.QueuedRunCoordinatorDaemon = PromptQueueDaemon  # type: ignore[assignment, attr-defined]
    controller.EventLogConsumerDaemon = LastingRetryDaemon  # type: ignore[assignment, attr-defined]


if __name__ == "__main__":
    install()
    keep_connections()
    cli()
