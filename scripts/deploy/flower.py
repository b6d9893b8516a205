"""Runs Flower, Celery's page of workers and queues, with the broker that the settings name."""

from __future__ import annotations

import os
import sys

from backtest_pipeline.settings import get_settings

PORT = 5555
PREFIX = "flower"

if __name__ == "__main__":
    url = get_settings().backtest_broker_url
    if not url:
        sys.exit("there is no broker: `scripts/deploy/prepare cluster` writes its address")
    # Not among the arguments, which everybody on the machine may read.
    os.environ["CELERY_BROKER_URL"] = url
    arguments = ["flower", f"--port={PORT}", f"--url-prefix={PREFIX}", "--purge_offline_workers=60"]
    # The proxy asks who somebody is.
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "false"
    os.execv(sys.executable, [sys.executable, "-m", "celery", *arguments])  # noqa: S606  our own command
