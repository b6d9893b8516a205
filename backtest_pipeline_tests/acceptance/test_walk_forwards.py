"""Walk-forwards through the real processes: by Python and the command line, killed and continued."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from backtest_pipeline import (
    BacktestRequest,
    CandleStore,
    IntRange,
    SweepRequest,
    TaskStatus,
    WalkForwardRequest,
    WalkForwardResult,
    run_walk_forward,
)
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.acceptance.running_workers import (
    table_digests,
    trials_told,
    until_some_trials_are_done,
    worker_pid,
)
from backtest_pipeline_tests.polling import PATIENCE_S

_COMMAND = [
    "walk-forward", "sma_cross", "--symbols", "AAPL,MSFT", "--vary", "fast=5:15:5", "--vary", "slow=20,40",
    "--train", "3y", "--test", "1y", "--purge-bars", "2", "--label", "size=small",
]  # fmt: skip
_SMALL = WalkForwardRequest(
    sweep=SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL", "MSFT"], labels={"size": "small"}),
        space={"params.fast": IntRange(5, 15, step=5), "params.slow": [20, 40]},
    ),
    train="3y",
    test="1y",
    purge_bars=2,
)
_LARGE = WalkForwardRequest(
    sweep=SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL"]),
        space={"params.fast": IntRange(2, 100), "params.slow": IntRange(101, 300)},
        search="random",
        trials=8_000,
    ),
    train="4y",
    test="1y",
)
"""Some seconds' work: 10 folds of 8,000 trials on some 1,000 candles, the last with one bar to test."""


def test_one_by_the_command_line_is_what_memory_yields_and_can_be_looked_at(
    sqlite_pipeline: Pipeline, tmp_path: Path
) -> None:
    done = sqlite_pipeline.command(*_COMMAND, "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    task_id = manifest["task_id"]
    alone = run_walk_forward(CandleStore(sqlite_pipeline.data_root).load(["AAPL", "MSFT"], "1d"), _SMALL)
    assert manifest["metrics"] == alone.metrics
    assert manifest["summary"]["folds"] == len(alone.folds)
    assert manifest["robustness"]["verdict"].startswith("Out of sample")
    with sqlite_pipeline.client() as client:
        found = client.result(task_id)
        asked_again = client.submit(_SMALL)
    assert isinstance(found, WalkForwardResult)
    for name in ("folds", "equity", "trades"):
        pd.testing.assert_frame_equal(
            getattr(found, name), getattr(alone, name), check_exact=True, check_dtype=False
        )
    assert asked_again.task_id == task_id, "the command line and Python ask for the same"
    [status] = [json.loads(sqlite_pipeline.command("status", task_id, "--json").stdout)]
    assert (status["kind"], status["state"], status["symbols"]) == (
        "walk_forward",
        "completed",
        ["AAPL", "MSFT"],
    )
    listed = json.loads(sqlite_pipeline.command("list", "--label", "size=small", "--json").stdout)
    assert "walk_forward" in {one["kind"] for one in listed}
    again = sqlite_pipeline.command("verify", task_id, "--rerun", "--json")
    assert again.returncode == 0, again.stdout
    assert json.loads(again.stdout)[0]["rerun"]["verdict"] == "identical"
    archive = tmp_path / "walk.tar.zst"
    assert sqlite_pipeline.command("export", task_id, "--to", str(archive)).returncode == 0
    assert "already" in sqlite_pipeline.command("import-result", str(archive)).stdout
    ledger = json.loads(sqlite_pipeline.command("ledger", "sma_cross", "--json").stdout)
    assert any(line["trials"] >= len(alone.trials) for line in ledger)


@pytest.mark.usefixtures("processes_here")
def test_one_whose_worker_is_killed_goes_on_in_another_attempt(sqlite_pipeline: Pipeline) -> None:
    seen: list[TaskStatus] = []
    with sqlite_pipeline.client() as client, sqlite_pipeline.graphql() as graphql:
        task = client.submit(_LARGE)
        trials = until_some_trials_are_done(client, task.task_id, 80_000)
        os.kill(worker_pid(graphql, task.task_id), signal.SIGKILL)
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S, on_progress=seen.append)
        killed = table_digests(client, task.task_id)
        whole = client.submit(_LARGE, reuse=False)
        client.wait(whole.task_id, timeout_s=PATIENCE_S)
        assert killed == table_digests(client, whole.task_id)
    assert (ended.kind, ended.state, ended.attempt) == ("walk_forward", "completed", 2)
    second = [one.stage for one in seen if one.attempt == 2 and " trials" in one.stage]
    assert all(trials_told(stage) >= trials for stage in second), second
