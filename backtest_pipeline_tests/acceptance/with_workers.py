"""Every service of the acceptance tests with a worker behind a broker, where ACCEPTANCE_WORKERS is set.

So the tests of queue, cancelling, retries and time limits are those of several machines as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline_tests.acceptance.redis_server import RedisServer, redis_server
from backtest_pipeline_tests.polling import until

WANTED = bool(os.environ.get("ACCEPTANCE_WORKERS"))
OF_THE_CODE_SERVER = {
    "test_killing_the_workers_that_stand_by_costs_no_attempt_and_others_take_their_place",
    "test_a_task_survives_the_death_of_the_code_server",  # which has no runs to take along
    "test_a_sweep_goes_on_after_the_death_of_the_code_server",
    "test_a_worker_that_is_stuck_in_native_code_is_killed_at_its_timeout_and_not_tried_again",  # says its log
    "test_every_task_ends_well_after_all_processes_were_killed_at_once",  # the worker is not among them
    "test_workers_are_forked_warm_unless_a_thread_makes_that_unsafe",
}
"""Tests that look for workers where there are none then, or count an attempt that nothing costs."""
_DATABASES_OF_REDIS = 16
_PROGRAM = str(Path(sys.executable).with_name("backtest"))


@contextmanager
def workers_behind_every_service() -> Iterator[None]:
    """Gives each service that is started in the block a worker and a database of Redis."""
    usual_running = LocalService.running
    numbers = count()
    with redis_server() as redis, pytest.MonkeyPatch.context() as patch:

        @contextmanager
        def running(self: LocalService, timeout_s: float = 90.0) -> Iterator[None]:
            number = next(numbers) % _DATABASES_OF_REDIS
            url = f"redis://127.0.0.1:{redis.port}/{number}"
            settings: Any = self._settings
            self._settings = settings.model_copy(update={"backtest_broker_url": url})
            with usual_running(self, timeout_s), _worker(self, redis, url):
                yield

        patch.setattr(LocalService, "running", running)
        yield


@contextmanager
def _worker(service: LocalService, redis: RedisServer, url: str) -> Iterator[None]:
    home = service._home
    log = home / "service_logs" / "worker.log"
    env = {
        **os.environ,
        "BACKTEST_BROKER_URL": url,
        "DATA_ROOT": str(service._settings.data_root),
        "DAGSTER_HOME": str(home),
        "REPORTS_AHEAD": str(service._settings.reports_ahead),
    }
    with log.open("ab") as file:
        process = subprocess.Popen(
            [_PROGRAM, "worker", "--concurrency", "2"], env=env, stdout=file, stderr=file
        )
    try:
        until(lambda: "is ready" in log.read_text(), f"a worker, see {log}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.terminate()  # the second time it does not wait for its runs
            process.wait(30)
