"""Runs and chunks on workers of other machines: the same states and the same bytes as on one."""

from __future__ import annotations

import base64
import json
import platform
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline import BacktestRequest, CandleStore, IntRange, SweepRequest, TaskStatus, run_backtest
from backtest_pipeline.compute.broker import CHUNKS, RUNS, lists_of
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.acceptance.machines import Machines, running_machines
from backtest_pipeline_tests.acceptance.redis_server import redis_server
from backtest_pipeline_tests.acceptance.running_workers import table_digests
from backtest_pipeline_tests.polling import PATIENCE_S, until

TABLES = ("signals", "trades", "equity")


@pytest.fixture(scope="module")
def machines(
    tmp_path_factory: pytest.TempPathFactory, demo_candles: Path, own_postgres: dict[str, str]
) -> Iterator[Machines]:
    """A service on PostgreSQL and Redis with one machine."""
    folder = tmp_path_factory.mktemp("machines")
    with (
        redis_server() as redis,
        running_machines(folder, demo_candles, redis, own_postgres) as machines,
    ):
        machines.add()
        yield machines


def submit(machines: Machines, strategy: str, **changes: Any) -> str:
    request = BacktestRequest(**{"strategy": strategy, "symbols": ["IBM"], **changes})
    return machines.client.submit(request, reuse=False).task_id


def wait(machines: Machines, task_id: str) -> TaskStatus:
    return machines.client.wait(task_id, timeout_s=PATIENCE_S)


def until_at_work(machines: Machines, task_id: str) -> None:
    until(lambda: machines.client.status(task_id).stage == "signals", "the strategy to be at work")


def a_sweep(trials: int = 6_000, **changes: Any) -> SweepRequest:
    return SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL"], **changes),
        space={"params.fast": IntRange(2, 200), "params.slow": IntRange(201, 600)},
        search="random",
        trials=trials,
        keep_best=2,
    )


def test_a_backtest_on_a_worker_has_the_bytes_of_one_in_this_process(
    machines: Machines, tmp_path: Path
) -> None:
    request = BacktestRequest(strategy="sma_cross", symbols=["AAPL", "IBM"], direction="both")
    ended = wait(machines, machines.client.submit(request, reuse=False).task_id)
    assert (ended.state, ended.attempt) == ("completed", 1)
    assert ended.result_path is not None
    candles = CandleStore(machines.data_root).load(request.symbols, "1d", None, None)
    TaskStore(tmp_path).write_tables(tmp_path, run_backtest(candles, request))
    for name in TABLES:
        theirs = (Path(ended.result_path) / f"{name}.parquet").read_bytes()
        assert theirs == (tmp_path / f"{name}.parquet").read_bytes(), name


def test_what_runs_strategies_has_no_address_of_the_broker_in_its_environment(machines: Machines) -> None:
    keeper, *others = machines.machines[0].pids
    told = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in (keeper, *others)}
    assert machines.redis.url.encode() in told.pop(keeper)  # so it would be seen
    assert len(told) >= 5  # what the pools are forked from, both pools and their processes
    assert all(b"DAGSTER_HOME=" in one and machines.redis.url.encode() not in one for one in told.values())


def test_a_running_task_is_cancelled_and_one_that_is_stuck_is_killed(machines: Machines) -> None:
    slow, stuck = (submit(machines, name, params={"seconds": 300}) for name in ("slow", "stuck"))
    waiting = submit(machines, "slow", params={"seconds": 300})
    for task_id in (slow, stuck):
        until_at_work(machines, task_id)
    assert machines.client.status(waiting).state == "queued"
    for task_id in (waiting, slow, stuck):
        machines.client.cancel(task_id, timeout_s=60)
        assert wait(machines, task_id).state == "cancelled"
    assert wait(machines, submit(machines, "buy_and_hold")).state == "completed"


def test_a_task_past_its_time_fails_and_is_not_tried_again(machines: Machines) -> None:
    ended = wait(machines, submit(machines, "stuck", params={"seconds": 300}, timeout_s=2))
    assert (ended.state, ended.attempt) == ("failed", 1)
    assert ended.error == "took longer than its timeout_s of 2 s; raise it, or ask for less at once"


def test_a_task_whose_process_dies_is_tried_again(machines: Machines, tmp_path: Path) -> None:
    ended = wait(machines, submit(machines, "dies_once", params={"mark": str(tmp_path / "mark")}))
    assert (ended.state, ended.attempt) == ("completed", 2)


def test_a_message_that_comes_again_runs_nothing_twice(machines: Machines) -> None:
    task_id = submit(machines, "slow", params={"seconds": 3})
    until_at_work(machines, task_id)
    kept = [json.loads(one)[0] for one in machines.redis.client.hvals("unacked")]
    [message] = [one for one in kept if task_id in base64.b64decode(one["body"]).decode()]
    machines.redis.client.lpush(lists_of(RUNS)[0], json.dumps(message))  # as a redelivery does
    ended = wait(machines, task_id)
    assert (ended.state, ended.attempt) == ("completed", 1)
    until(lambda: f"run {task_id} is not executed" in machines.machines[0].log.read_text(), "the refusal")
    until(lambda: not machines.redis.client.hvals("unacked"), "all messages to be acknowledged")


def test_a_sweep_on_workers_has_the_bytes_of_one_on_this_machine(
    machines: Machines, sqlite_pipeline: Pipeline
) -> None:
    ended = wait(machines, machines.client.submit(a_sweep(), reuse=False).task_id)
    assert (ended.state, ended.attempt) == ("completed", 1)
    with sqlite_pipeline.client() as client:
        here = client.wait(client.submit(a_sweep(), reuse=False).task_id, timeout_s=PATIENCE_S)
        assert table_digests(client, here.task_id) == table_digests(machines.client, ended.task_id)


def test_a_broker_that_forgets_everything_costs_no_attempt(machines: Machines) -> None:
    sweep = machines.client.submit(a_sweep(60_000), reuse=False).task_id
    slow = submit(machines, "slow", params={"seconds": 3})
    until(lambda: " of 60,000 trials" in machines.client.status(sweep).stage, "the first trials")
    for _ in range(3):
        machines.redis.client.flushall()
        time.sleep(0.5)  # some messages are lost on their way
    assert [wait(machines, task_id).attempt for task_id in (sweep, slow)] == [1, 1]
    assert machines.client.status(sweep).state == "completed"
    assert not any(machines.redis.client.llen(name) for name in lists_of(CHUNKS))


def test_a_machine_whose_logs_are_json_writes_nothing_else_and_says_whose_lines_they_are(
    machines: Machines,
) -> None:
    json_machine = machines.add(env={"BACKTEST_LOG_FORMAT": "json"})
    machines.machines[0].signal_all(signal.SIGSTOP)  # the run is to be the other's
    try:
        task_id = submit(machines, "buy_and_hold")
        assert wait(machines, task_id).state == "completed"
    finally:
        machines.machines[0].signal_all(signal.SIGCONT)

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in json_machine.log.read_text().splitlines()]

    until(lambda: any(line.get("task") == task_id for line in lines()), "the run's own lines")
    own = next(line for line in lines() if line.get("task") == task_id)
    assert own["attempt"] == 1
    assert {line["host"] for line in lines()} == {platform.node()}
