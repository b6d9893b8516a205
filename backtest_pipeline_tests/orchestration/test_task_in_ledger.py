"""Completed tasks in the ledger: once each, kept past the cleanup, carried by archives."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from backtest_pipeline import BacktestRequest
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.model.tags import USER
from backtest_pipeline.orchestration.jobs.backtest import backtest
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.results.archive import export_task
from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings, get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import store_candles

pytestmark = pytest.mark.slow

REQUEST = BacktestRequest(strategy="sma_cross", symbols=["A"], params={"fast": 3, "slow": 9})


def _run(data_root: Path, instance: dg.DagsterInstance, request: BacktestRequest = REQUEST) -> str:
    context = RunContext(Settings(data_root=data_root))
    done = backtest.execute_in_process(
        to_run_config(request), instance=instance, resources={"run_context": context}, tags={USER: "ann"}
    )
    return done.run_id


def test_a_backtest_leaves_a_row_that_says_what_was_tried(tmp_path: Path) -> None:
    store_candles(tmp_path, walk("A", 300))
    with dg.instance_for_test() as instance:
        task_id = _run(tmp_path, instance)
        _run(tmp_path, instance, REQUEST.model_copy(update={"priority": 3}))
    [row, again] = sorted(Ledger(Layout(tmp_path)).table("sma_cross").to_pylist(), key=lambda one: one["at"])
    assert (row["task_id"], row["user"], row["kind"], row["symbols"]) == (task_id, "ann", "backtest", "A")
    assert row["settings_sha256"] == again["settings_sha256"]  # a priority changes no outcome
    equity = pq.read_table(TaskStore(tmp_path).layout.task(task_id) / "equity.parquet").column("equity")
    returns = np.diff(np.log([REQUEST.initial_cash, *equity.to_pylist()]))
    simple = np.expm1(returns)
    assert row["sharpe"] == pytest.approx(simple.mean() / simple.std(ddof=1))
    assert row["bars"] == 300
    assert row["sharpe_variance"] == 0.0


def test_a_sweep_leaves_one_row_of_all_that_was_run(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    [row] = Ledger(layout).table("sma_cross").to_pylist()
    trials = pq.read_table(layout.task(task_id) / "trials.parquet").to_pandas()
    ran = trials[trials["state"] == "completed"]
    assert row["trials"] == len(ran) < len(trials)  # what is invalid was never run
    assert row["symbols"] == "A,B"
    sharpes = ran["sharpe"].dropna() / np.sqrt(ran["periods_per_year"].iloc[0])
    assert row["rated"] == len(sharpes)
    assert row["sharpe"] == pytest.approx(sharpes.max())
    assert row["sharpe_variance"] == pytest.approx(sharpes.var(ddof=0))


def test_the_ledger_outlives_the_tasks_folder_and_goes_with_an_archive(
    task: tuple[Layout, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, task_id = task
    archive = tmp_path / "task.tar.zst"
    export_task(layout, task_id, archive)
    shutil.rmtree(layout.tasks)
    rows = Ledger(layout).table("sma_cross").drop_columns(["key", "settings"]).to_pylist()
    assert len(rows) == 1
    other = tmp_path / "other"
    monkeypatch.setenv("DATA_ROOT", str(other))
    get_settings.cache_clear()
    for _ in range(2):
        assert CliRunner().invoke(app, ["import-result", str(archive)]).exit_code == 0
    assert Ledger(Layout(other)).table("sma_cross").drop_columns(["key", "settings"]).to_pylist() == rows
    told = CliRunner().invoke(app, ["ledger", "sma_cross"])
    assert told.exit_code == 0
    assert told.output.splitlines()[1].split("\t")[:5] == [
        "sma_cross", "A,B", "1d", f"{rows[0]['trials']}", "1",
    ]  # fmt: skip
    get_settings.cache_clear()


def test_a_full_disk_keeps_no_task_from_completing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store_candles(tmp_path, walk("A", 300))
    Layout(tmp_path).ledger.write_text("no folder")
    with dg.instance_for_test() as instance:
        task_id = _run(tmp_path, instance)
    assert TaskStore(tmp_path).manifest(task_id).status == "completed"
    assert "is not in the ledger" in caplog.text
