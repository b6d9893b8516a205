"""The job of a Celery worker, and the worker."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import plain_job

if __name__ == "__main__":
    sys.path.append(os.environ["CELERY_PACKAGES"])

JOB = "backtest"
WORKERS = 2


def app_of(redis_url: str) -> Any:
    """A Celery app with Redis as broker and as store of results."""
    from celery import Celery  # noqa: PLC0415  known once the path above is

    app = Celery("backtests", broker=redis_url, backend=redis_url)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=1,  # long jobs: whoever is free takes the next one
        task_acks_late=True,  # a job whose worker dies is delivered again
    )
    return app


def work(*, fresh: bool) -> None:
    """Runs a worker with two processes, kept for all jobs or `fresh` for each."""
    app = app_of(os.environ["CELERY_REDIS"])

    @app.task(bind=True, name=JOB)  # type: ignore[untyped-decorator]  # Celery ships no types
    def run(self: Any, request: dict[str, Any]) -> dict[str, Any]:
        started = time.time()
        checksums = plain_job.run_plain(request, self.request.id)
        return {"started": started, "ended": time.time(), "checksums": checksums}

    arguments = ["worker", "--concurrency", str(WORKERS), "--loglevel", "WARNING", "--without-gossip"]
    if fresh:
        plain_job.warm()
        arguments += ["--max-tasks-per-child", "1"]
    app.worker_main([*arguments, "--without-mingle"])


if __name__ == "__main__":
    work(fresh="--fresh" in sys.argv)
