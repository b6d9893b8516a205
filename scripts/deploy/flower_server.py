"""Runs Flower, Celery's page of workers and queues, with the broker that the settings name.

The file must not be called `flower`, as Python looks for Flower itself beside it.
"""

from __future__ import annotations

import os
import sys

from celery import Celery

from backtest_pipeline.compute.broker import celery_settings
from backtest_pipeline.settings import get_settings

PORT = 5555
PREFIX = "flower"

if __name__ == "__main__":
    settings = get_settings()
    if not settings.backtest_broker_url:
        sys.exit("there is no broker: `scripts/deploy/prepare cluster` writes its address")
    # The proxy asks who somebody is.
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "false"
    # Neither an argument nor an environment, which others may read, has the broker's password.
    app = Celery("backtest", broker=settings.backtest_broker_url)
    app.conf.update(celery_settings(settings.broker_visibility_timeout_s))
    app.start(["flower", f"--port={PORT}", f"--url-prefix={PREFIX}", "--purge_offline_workers=60"])
