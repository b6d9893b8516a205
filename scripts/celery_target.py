"""Celery as a service that is measured, with a Redis of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import celery_job
import proc
from scratch_service import free_port
from service_measures import TaskLost
from service_targets import request_of

from backtest_pipeline.service.process import Process

SCRIPTS = Path(__file__).resolve().parent


class CeleryTarget:
    """Celery with one worker of two processes."""

    def __init__(self, data_root: Path, redis_url: str, started: Sequence[int]) -> None:
        self._app = celery_job.app_of(redis_url)
        self._request = request_of(data_root).to_dict()
        self._started = started

    def submit(self) -> str:
        return str(self._app.send_task(celery_job.JOB, [self._request]).id)

    def completed_at(self, ids: Sequence[str]) -> dict[str, float]:
        ended = {}
        for job_id in ids:
            job = self._app.AsyncResult(job_id)
            if job.failed():
                raise TaskLost(f"job {job_id} failed: {job.result!r}")
            if job.ready():
                ended[job_id] = job.date_done.replace(tzinfo=UTC).timestamp()
        return ended

    def most_at_once(self, ids: Sequence[str]) -> int | None:
        held, most = 0, 0
        results = [self._app.AsyncResult(job_id).result for job_id in ids]
        changes = [(one["started"], 1) for one in results] + [(one["ended"], -1) for one in results]
        for _, change in sorted(changes):
            held += change
            most = max(most, held)
        return most

    def pids(self) -> list[int]:
        return [pid for started in self._started for pid in proc.family(started)]

    def worker_pids(self) -> list[int]:
        """The largest process of the pool: the others are kept for other jobs."""
        pool = proc.children(self._started[-1])
        return [max(pool, key=proc.private_mib)] if pool else []


@contextmanager
def celery(packages: Path, data_root: Path, *, fresh: bool) -> Iterator[CeleryTarget]:
    """Celery with a Redis of its own on a free port, running.

    Args:
        packages: where `celery` and what it needs are installed.
        data_root: candles; results go there too.
        fresh: each job gets a new process, forked from one that has done the imports.
    """
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    env = {**os.environ, "CELERY_PACKAGES": str(packages), "CELERY_REDIS": url, "DATA_ROOT": str(data_root)}
    server = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    worker = [sys.executable, str(SCRIPTS / "celery_job.py"), *(["--fresh"] if fresh else [])]
    sys.path.append(str(packages))
    log = data_root / "celery.log"
    processes = [Process("celery", command, env=env, log=log) for command in (server, worker)]
    try:
        for process in processes:
            process.start()
        yield CeleryTarget(data_root, url, [process.pid for process in processes if process.pid])
    finally:
        for process in reversed(processes):
            process.stop(20)
        sys.path.remove(str(packages))
