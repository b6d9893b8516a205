"""Machines that die, are cut off or stand still, and a broker that loses everything: every task ends true."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest
from backtest_pipeline.compute.broker import CHUNKS, lists_of
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline_tests.acceptance.machines import Machine, Machines, running_machines
from backtest_pipeline_tests.acceptance.redis_server import redis_server
from backtest_pipeline_tests.acceptance.running_workers import table_digests
from backtest_pipeline_tests.acceptance.wires import Wire, wire
from backtest_pipeline_tests.polling import PATIENCE_S, until

pytestmark = pytest.mark.machines

VISIBILITY_TIMEOUT_S = 5
SLOW_S = 12
RUNS = """
query Runs($task: String!) {
  runsOrError(filter: {tags: [{key: "dagster/root_run_id", value: $task}]}) {
    ... on Runs { results { runId status } }
  }
}
"""


@dataclass
class Watched:
    """Machines, a wire from the first to each server, and what undisturbed tasks yield."""

    machines: Machines
    to_redis: Wire
    to_database: Wire
    first: Machine
    slow_digests: dict[str, str]
    sweep_digests: dict[str, str]

    def submit_both(self) -> tuple[list[str], str]:
        """Three runs that take their time, and a sweep; once all are at work."""
        client = self.machines.client
        slow = [client.submit(slow_request(), reuse=False).task_id for _ in range(3)]
        sweep = client.submit(sweep_request(), reuse=False).task_id
        until(lambda: any(client.status(one).stage == "signals" for one in slow), "a run to be at work")
        until(lambda: " of 60,000 trials" in client.status(sweep).stage, "the first trials")
        return slow, sweep

    def require_truth(self, slow: list[str], sweep: str) -> None:
        """All completed, once each, and their bytes are those of undisturbed ones."""
        client = self.machines.client
        for task_id in (*slow, sweep):
            ended = client.wait(task_id, timeout_s=PATIENCE_S)
            assert ended.state == "completed", ended
            manifest = client.result(task_id).manifest
            assert manifest.attempt == ended.attempt
            wanted = self.sweep_digests if task_id == sweep else self.slow_digests
            assert table_digests(client, task_id) == wanted
            self._require_one_success(task_id, ended.attempt)
        store = TaskStore(self.machines.data_root)
        staging = store.layout.tasks / ".staging"
        until(lambda: not [*staging.glob("*")] if staging.exists() else True, "no half-written folder", 60)

    def _require_one_success(self, task_id: str, attempts: int) -> None:
        graphql = GraphQL(self.machines.service.url)
        try:
            later = graphql.ask(RUNS, {"task": task_id})["runsOrError"]["results"]
        finally:
            graphql.close()
        succeeded = [run["status"] for run in later].count("SUCCESS")
        assert len(later) == attempts - 1
        assert succeeded == (attempts > 1)


def slow_request() -> BacktestRequest:
    return BacktestRequest(strategy="slow", params={"seconds": SLOW_S}, symbols=["IBM"], max_retries=5)


def sweep_request() -> SweepRequest:
    return SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL"], max_retries=5),
        space={"params.fast": IntRange(2, 200), "params.slow": IntRange(201, 600)},
        search="random",
        trials=60_000,
        keep_best=2,
    )


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, demo_candles: Path, own_postgres: dict[str, str]
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("faults")
    with (
        redis_server() as redis,
        wire(redis.port) as to_redis,
        wire(int(own_postgres["DAGSTER_PG_PORT"])) as to_database,
        running_machines(
            folder, demo_candles, redis, own_postgres, visibility_timeout_s=VISIBILITY_TIMEOUT_S
        ) as machines,
    ):
        machines.add()
        client = machines.client
        slow, sweep = (
            client.submit(asked, reuse=False).task_id
            for asked in (slow_request().model_copy(update={"params": {"seconds": SLOW_S}}), sweep_request())
        )
        client.wait_many([slow, sweep], timeout_s=PATIENCE_S)
        yield Watched(
            machines,
            to_redis,
            to_database,
            _cut_off_machine(machines, to_redis, to_database),
            table_digests(client, slow),
            table_digests(client, sweep),
        )


def _cut_off_machine(machines: Machines, to_redis: Wire, to_database: Wire) -> Machine:
    """A machine behind wires that can be cut."""
    return machines.add(
        env={
            "BACKTEST_BROKER_URL": f"redis://127.0.0.1:{to_redis.port}/0",
            "DAGSTER_PG_PORT": str(to_database.port),
        }
    )


def test_a_machine_that_is_cut_off_from_the_broker_ends_its_runs_and_its_chunks_go_to_others(
    watched: Watched,
) -> None:
    slow, sweep = watched.submit_both()
    watched.to_redis.cut()
    time.sleep(8)
    watched.to_redis.mend()
    watched.require_truth(slow, sweep)


def test_a_machine_that_is_cut_off_from_the_database_is_given_up_and_comes_back(watched: Watched) -> None:
    slow, sweep = watched.submit_both()
    watched.to_database.cut()
    time.sleep(25)  # longer than a lease
    watched.to_database.mend()
    watched.require_truth(slow, sweep)


def test_a_machine_that_stands_still_past_visibility_timeout_and_lease_spoils_nothing(
    watched: Watched,
) -> None:
    slow, sweep = watched.submit_both()
    watched.first.signal_all(signal.SIGSTOP)
    time.sleep(max(VISIBILITY_TIMEOUT_S, 25))
    watched.first.signal_all(signal.SIGCONT)
    watched.require_truth(slow, sweep)


def test_a_machine_that_loses_its_power_takes_nothing_along(watched: Watched) -> None:
    slow, sweep = watched.submit_both()
    watched.first.signal_all(signal.SIGKILL)
    watched.require_truth(slow, sweep)
    watched.first = _cut_off_machine(watched.machines, watched.to_redis, watched.to_database)


def _restarted(watched: Watched) -> None:
    watched.machines.redis.stop()
    time.sleep(3)
    watched.machines.redis.start()


def _emptied(watched: Watched) -> None:
    for _ in range(5):
        watched.machines.redis.client.flushall()
        time.sleep(0.3)


def _full(watched: Watched) -> None:
    client = watched.machines.redis.client
    client.config_set("maxmemory", "1mb")
    time.sleep(5)
    client.config_set("maxmemory", "0")


def _standing_still(watched: Watched) -> None:
    pid = watched.machines.redis.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(15)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("trouble", [_restarted, _emptied, _full, _standing_still])
def test_whatever_becomes_of_the_broker_nothing_is_lost(
    watched: Watched, trouble: Callable[[Watched], None]
) -> None:
    slow, sweep = watched.submit_both()
    trouble(watched)
    after = watched.machines.client.submit(slow_request(), reuse=False).task_id
    watched.require_truth([*slow, after], sweep)
    until(
        lambda: not any(watched.machines.redis.client.llen(name) for name in lists_of(CHUNKS)),
        "no message to be left",
    )
