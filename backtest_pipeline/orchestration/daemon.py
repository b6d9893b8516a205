"""Dagster's daemon, starting runs under our lock: `python -m backtest_pipeline.orchestration.daemon run`."""

from __future__ import annotations

from dagster._daemon import controller
from dagster._daemon.cli import cli

from backtest_pipeline.orchestration.queue_daemon import PromptQueueDaemon

if __name__ == "__main__":
    controller.QueuedRunCoordinatorDaemon = PromptQueueDaemon  # type: ignore[assignment, attr-defined]  # looked up there
    cli()
