"""Sweeps through the real processes: by Python and the command line, cancelled, killed and continued."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest, IntRange, SweepRequest, SweepResult, TaskStatus
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port
from backtest_pipeline_tests.acceptance.running_workers import (
    table_digests,
    trials_told,
    until_some_trials_are_done,
    worker_pid,
)
from backtest_pipeline_tests.polling import PATIENCE_S, until
from backtest_pipeline_tests.processes import descendants_of, is_alive

_SMALL = [
    "sweep", "sma_cross", "--symbols", "AAPL,MSFT", "--vary", "fast=5:25:5", "--vary", "slow=20:100:20",
    "--vary", "stop_loss_frac=none,0.05", "--where", "trades>=5", "--keep-best", "3",
]  # fmt: skip


def _large() -> SweepRequest:
    """Some seconds' work: 60,000 trials on 3,270 candles."""
    return SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL"], labels={"size": "large"}),
        space={"params.fast": IntRange(2, 200), "params.slow": IntRange(201, 600)},
        search="random",
        trials=60_000,
        keep_best=2,
        seed=0,
    )


@pytest.fixture(scope="module")
def uninterrupted(sqlite_pipeline: Pipeline) -> dict[str, str]:
    """The digests of the large sweep's files where nothing stops it."""
    with sqlite_pipeline.client() as client:
        task = client.submit(_large(), reuse=False)
        client.wait(task.task_id, timeout_s=PATIENCE_S)
        return table_digests(client, task.task_id)


def test_a_sweep_by_the_command_line_can_be_looked_at_run_again_and_handed_on(
    sqlite_pipeline: Pipeline, tmp_path: Path
) -> None:
    done = sqlite_pipeline.command(*_SMALL, "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    task_id = manifest["task_id"]
    # 5 fast, 5 slow, 2 stops; of slow 20 only three fast ones are below: 20 and 25 are not
    assert manifest["summary"]["trials"] | {"ranked": 0} == {
        "completed": 46, "invalid": 4, "failed": 0, "ranked": 0,
    }  # fmt: skip
    assert "of 50 trials" in done.stderr

    asked_again = sqlite_pipeline.command(*_SMALL, "--json")
    assert json.loads(asked_again.stdout)["task_id"] == task_id
    assert f"task {task_id} has this result already; --fresh runs it again" in asked_again.stderr

    rows = json.loads(sqlite_pipeline.command("best", task_id, "--top", "4", "--json").stdout)
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["trial"] == manifest["summary"]["best_trial"]
    single = sqlite_pipeline.command("run", "--from", task_id, "--trial", str(rows[2]["trial"]), "--json")
    metrics = json.loads(single.stdout)["metrics"]
    assert metrics == {name: rows[2][name] for name in metrics}

    [status] = [json.loads(sqlite_pipeline.command("status", task_id, "--json").stdout)]
    assert (status["kind"], status["state"], status["symbols"]) == ("sweep", "completed", ["AAPL", "MSFT"])
    listed = json.loads(sqlite_pipeline.command("list", "--json").stdout)
    assert {"sweep", "backtest"} <= {one["kind"] for one in listed}
    again = sqlite_pipeline.command("verify", task_id, "--rerun", "--json")
    assert again.returncode == 0, again.stdout
    assert json.loads(again.stdout)[0]["rerun"]["verdict"] == "identical"
    archive = tmp_path / "sweep.tar.zst"
    assert sqlite_pipeline.command("export", task_id, "--to", str(archive)).returncode == 0
    assert "already" in sqlite_pipeline.command("import-result", str(archive)).stdout


def test_a_sweep_by_the_client_tells_how_far_it_is_and_can_be_read_back(pipeline: Pipeline) -> None:
    seen: list[TaskStatus] = []
    backtest = _large().backtest.model_copy(
        update={"initial_cash": 12_345.0}
    )  # nobody has left parts of this
    with pipeline.client() as client:
        task = client.submit(_large().model_copy(update={"backtest": backtest}), reuse=False)
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S, on_progress=seen.append)
        result = client.result(task.task_id)
        single = client.trial(task.task_id, int(result.trials["trial"].iloc[-1]))
    assert (ended.kind, ended.state, ended.attempt) == ("sweep", "completed", 1)
    stages = [one.stage for one in seen if " of 60,000 trials" in one.stage]
    assert any(" left, best sharpe " in stage for stage in stages), stages
    assert [one.progress for one in seen] == sorted(one.progress for one in seen)
    assert isinstance(result, SweepResult)
    assert len(result.trials) == 60_000
    assert result.best is not None
    assert result.best.metrics == result.manifest.metrics  # type: ignore[union-attr]  # a task has one
    assert result.best_equity is not None
    assert list(result.best_equity.columns)[1] == f"trial_{result.manifest.summary.best_trial}"  # type: ignore[union-attr]  # as above
    assert single.params["slow"] == result.trials["params.slow"].iloc[-1]


def test_a_cancelled_sweep_goes_on_where_it_was_when_the_same_is_asked_for_again(
    sqlite_pipeline: Pipeline, uninterrupted: dict[str, str]
) -> None:
    before = _parts(sqlite_pipeline)
    with sqlite_pipeline.client() as client:
        task = client.submit(_large(), reuse=False)
        until_some_trials_are_done(client, task.task_id, 60_000)
        began_s = time.monotonic()
        cancelled = client.cancel(task.task_id)
        took_s = time.monotonic() - began_s
        done = _parts(sqlite_pipeline) - before
        seen: list[TaskStatus] = []
        again = client.submit(_large(), reuse=False)
        ended = client.wait(again.task_id, timeout_s=PATIENCE_S, on_progress=seen.append)
        assert table_digests(client, again.task_id) == uninterrupted
    assert cancelled.state == "cancelled"
    assert took_s < 10  # 2 s on a quiet machine: nobody waits for a chunk
    assert ended.state == "completed"
    assert done > 0
    told = [trials_told(one.stage) for one in seen if " of 60,000 trials" in one.stage]
    assert min(told) >= done
    assert _parts(sqlite_pipeline) == before


@pytest.mark.usefixtures("processes_here")
def test_a_sweep_whose_worker_is_killed_goes_on_in_another_attempt(
    sqlite_pipeline: Pipeline, uninterrupted: dict[str, str]
) -> None:
    with sqlite_pipeline.client() as client, sqlite_pipeline.graphql() as graphql:
        task = client.submit(_large(), reuse=False)
        until_some_trials_are_done(client, task.task_id, 60_000)
        os.kill(worker_pid(graphql, task.task_id), signal.SIGKILL)
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S)
        assert table_digests(client, task.task_id) == uninterrupted
    assert (ended.state, ended.attempt) == ("completed", 2)


@pytest.mark.usefixtures("processes_here")
def test_a_sweep_goes_on_after_the_death_of_the_code_server(
    demo_candles: Path, tmp_path: Path, uninterrupted: dict[str, str]
) -> None:
    service = LocalService(
        Settings(data_root=demo_candles, dagster_home=tmp_path, reports_ahead=False), port=free_port()
    )
    with service.running(), BacktestClient(service.url, data_root=demo_candles) as client:
        task = client.submit(_large(), reuse=False)
        until_some_trials_are_done(client, task.task_id, 60_000)
        code = service.processes["code"]
        workers = descendants_of(code.pid or 0)
        code.kill()
        code.start()
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S)
        assert (ended.state, ended.attempt) == ("completed", 2)
        assert not any(is_alive(pid) for pid in workers)  # none goes on by itself
        assert table_digests(client, task.task_id) == uninterrupted


def test_a_sweep_past_its_time_fails_and_leaves_what_is_done_to_the_next(
    sqlite_pipeline: Pipeline,
) -> None:
    before = _parts(sqlite_pipeline)
    long = _large().model_copy(update={"trials": 3_000_000})
    hurried = long.model_copy(update={"backtest": long.backtest.model_copy(update={"timeout_s": 3})})
    with sqlite_pipeline.client() as client:
        task = client.submit(hurried)
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S)
        done = _parts(sqlite_pipeline) - before
        again = client.submit(long)
        until(lambda: " of 3,000,000 trials" in client.status(again.task_id).stage, "the first trials")
        resumed = trials_told(client.status(again.task_id).stage)
        client.cancel(again.task_id)
    assert (ended.state, ended.attempt) == ("failed", 1)
    assert ended.error == "took longer than its timeout_s of 3 s; raise it, or ask for less at once"
    assert resumed >= done > 0


def test_a_sweep_that_makes_no_sense_is_refused_before_there_is_a_run(sqlite_pipeline: Pipeline) -> None:
    with sqlite_pipeline.client() as client:
        before = len(client.list_tasks(limit=1_000))
        request = _large().model_copy(update={"space": {"params.fats": (1, 2)}})
        with pytest.raises(RequestInvalid, match="did you mean fast"):
            client.submit(request)
        refused = sqlite_pipeline.command(*_SMALL, "--vary", "fees=1,2")
        assert refused.returncode == 2
        assert "no such parameter" in refused.stderr
        assert len(client.list_tasks(limit=1_000)) == before


def _parts(pipeline: Pipeline) -> int:
    """How many trials unfinished sweeps have left, in parts that are whole: those have a record."""
    records = (pipeline.data_root / "tasks" / ".sweeps").glob("*/*-*.json")
    return sum(pq.read_metadata(path.with_suffix(".trials.parquet")).num_rows for path in records)
