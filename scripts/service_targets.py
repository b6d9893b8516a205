"""The services that are measured: ours, a stock Dagster, and RQ. All run the same backtests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import proc
from chaos_verdict import most_at_once
from redis_service import redis_service
from scratch_service import ScratchService, scratch_service
from service_measures import TaskLost, most_held

from backtest_pipeline import BacktestRequest
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.local_service.process import Process
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.model import tags

SCRIPTS = Path(__file__).resolve().parent
CANDLES = 1_000
WORKERS = 2
_ENDED = """
query Ended($ids: [String]) {
  runsOrError(filter: {runIds: $ids}) { ... on Runs { results { runId status endTime } } }
}
"""
_STOCK_CONFIG = """
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {max_concurrent_runs: %d}
"""


def request_of(data_root: Path) -> BacktestRequest:
    """A crossing of two averages over the first 1,000 daily candles of IBM."""
    candles = CandleStore(data_root).load(["IBM"], "1d", start=None, end=None)["IBM"]
    last = candles.timestamp[CANDLES - 1].item()
    params = {"fast": 10, "slow": 30}
    return BacktestRequest(strategy="sma_cross", params=params, symbols=["IBM"], end=last.date())


class DagsterTarget:
    """A pipeline behind Dagster's web server, ours or a stock one."""

    def __init__(self, scene: ScratchService) -> None:
        self.scene = scene
        self.request = request_of(scene.store.layout.data_root)

    def submit(self) -> str:
        return self.scene.client.submit(self.request, reuse=False).task_id

    def completed_at(self, ids: Sequence[str]) -> dict[str, float]:
        runs = self.scene.ask(_ENDED, ids=list(ids))["runsOrError"]["results"]
        for run in runs:
            if run["status"] in {"FAILURE", "CANCELED"}:
                raise TaskLost(f"run {run['runId']} ended as {run['status']}")
        return {run["runId"]: run["endTime"] for run in runs if run["status"] == "SUCCESS"}

    def most_at_once(self, ids: Sequence[str]) -> int | None:
        return most_at_once(self.scene, list(ids))

    def pids(self) -> list[int]:
        return [pid for name in self.scene.service.processes for pid in proc.family(self.scene.pid(name))]

    def worker_pids(self) -> list[int]:
        return proc.workers(self.scene.pid("code"))


class StockTarget(DagsterTarget):
    """A stock Dagster, whose workers are spawned by the code server."""

    def worker_pids(self) -> list[int]:
        code = self.scene.pid("code")
        return [pid for pid in proc.family(code) if pid != code and not proc.is_resource_tracker(pid)]


class StockService(LocalService):
    """Stock web server, daemon and code server, with default launcher and the executor of STOCK_EXECUTOR."""

    def _made_processes(self, socket_path: Path, workspace: Path) -> dict[str, Process]:
        ours = super()._made_processes(socket_path, workspace)
        env = {**os.environ, "DAGSTER_HOME": str(self._home), "DATA_ROOT": str(self._settings.data_root)}
        code = ["dagster", "api", "grpc", "--socket", str(socket_path), "--module-name", "stock_definitions"]
        code += ["--location-name", tags.CODE_LOCATION, "--working-directory", str(SCRIPTS)]
        web = ["dagster_webserver", "--host", self._host, "--port", str(self._port)]
        commands = {
            "code": code,
            "web": [*web, "--workspace", str(workspace)],
            "daemon": ["dagster._daemon", "run", "--workspace", str(workspace)],
        }
        for name, arguments in commands.items():
            command = [sys.executable, "-m", *arguments]
            ours[name] = Process(name, command, env=env, log=ours[name].log)
        return ours


@contextmanager
def ours(*, database: dict[str, str], most_runs: int = WORKERS) -> Iterator[DagsterTarget]:
    """This pipeline, running."""
    with scratch_service(env={}, database=database, most_runs=most_runs) as scene:
        yield DagsterTarget(scene)


@contextmanager
def stock_dagster(executor: str) -> Iterator[StockTarget]:
    """A stock Dagster with the same job, running; `executor` is `in_process` or `multiprocess`."""
    env = {"STOCK_EXECUTOR": executor}
    with scratch_service(env=env, database={}, service=StockService, config=_STOCK_CONFIG % WORKERS) as scene:
        if proc.fork_servers(scene.pid("code")):
            raise RuntimeError("this is our code server; StockService has to follow LocalService")
        yield StockTarget(scene)


class RqTarget:
    """RQ with `WORKERS` workers."""

    def __init__(self, data_root: Path, redis_url: str, started: Sequence[int]) -> None:
        from redis import Redis  # noqa: PLC0415  on the path only while RQ is measured
        from rq import Queue  # noqa: PLC0415  as above

        self._connection = Redis.from_url(redis_url)
        self._queue = Queue("default", connection=self._connection)
        self._request = request_of(data_root).to_dict()
        self._started = started

    def submit(self) -> str:
        return str(self._queue.enqueue("rq_job.run", self._request).id)

    def completed_at(self, ids: Sequence[str]) -> dict[str, float]:
        jobs = self._jobs(ids)
        for job in jobs:
            if job.is_failed:
                raise TaskLost(f"job {job.id} failed: {job.latest_result().exc_string}")
        return {job.id: job.ended_at.timestamp() for job in jobs if job.ended_at}

    def most_at_once(self, ids: Sequence[str]) -> int | None:
        changes = [(job.started_at, 1) for job in self._jobs(ids)]
        changes += [(job.ended_at, -1) for job in self._jobs(ids)]
        return most_held(changes)

    def pids(self) -> list[int]:
        return [pid for started in self._started for pid in proc.family(started)]

    def worker_pids(self) -> list[int]:
        return [pid for started in self._started for pid in proc.children(started)]

    def _jobs(self, ids: Sequence[str]) -> list[Any]:
        from rq.job import Job  # noqa: PLC0415  as above

        return [job for job in Job.fetch_many(list(ids), connection=self._connection) if job is not None]


@contextmanager
def rq(packages: Path, data_root: Path, *, warm: bool) -> Iterator[RqTarget]:
    """RQ with a Redis of its own on a free port, running.

    Args:
        packages: where `rq` and `redis` are installed.
        data_root: candles; results go there too.
        warm: the workers import the pipeline and load its kernels before the first job.
    """
    worker = ["rq_job.py", *(["--warm"] if warm else [])]
    with redis_service("rq", packages, data_root, [worker] * WORKERS) as (url, started):
        yield RqTarget(data_root, url, started)
