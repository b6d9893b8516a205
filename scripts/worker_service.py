"""A pipeline whose backtests run on workers behind a broker, each a process of its own, to be maltreated."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backtest_pipeline.local_service.process import Process
from backtest_pipeline.local_service.service import LocalService


class WorkerService(LocalService):
    """Web server, daemon, code server, and workers `worker-0` and on, each as on a machine of its own."""

    workers = 2
    concurrency = 1

    def _made_processes(self, socket_path: Path, workspace: Path) -> dict[str, Process]:
        made = super()._made_processes(socket_path, workspace)
        for number in range(self.workers):
            home = self._home.parent / f"machine-{number}"
            home.mkdir()
            name = f"worker-{number}"
            command = [str(Path(sys.executable).with_name("backtest")), "worker"]
            made[name] = Process(
                name,
                [*command, "--concurrency", str(self.concurrency)],
                env={**os.environ, "DATA_ROOT": str(self._settings.data_root), "DAGSTER_HOME": str(home)},
                log=home / "worker.log",
            )
        return made


@contextmanager
def broker_env(*, wanted: bool) -> Iterator[dict[str, str]]:
    """The environment for a Redis and a PostgreSQL that are started for the while, if they are wanted."""
    if not wanted:
        yield {}
        return
    from backtest_pipeline_tests.acceptance.postgres import postgres_server  # noqa: PLC0415  needs PostgreSQL
    from backtest_pipeline_tests.acceptance.redis_server import redis_server  # noqa: PLC0415  needs Redis

    with postgres_server() as postgres, redis_server() as redis:
        yield {**postgres.env, "BACKTEST_BROKER_URL": redis.url}
