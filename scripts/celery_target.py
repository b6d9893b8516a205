"""Celery as a service that is measured, with a Redis of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import celery_job
import proc
from redis_service import redis_service
from service_measures import TaskLost, most_held
from service_targets import request_of


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
        results = [self._app.AsyncResult(job_id).result for job_id in ids]
        changes = [(one["started"], 1) for one in results] + [(one["ended"], -1) for one in results]
        return most_held(changes)

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
    worker = ["celery_job.py", *(["--fresh"] if fresh else [])]
    with redis_service("celery", packages, data_root, [worker]) as (url, started):
        yield CeleryTarget(data_root, url, started)
