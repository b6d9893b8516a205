"""Expired results and records go from a running system, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.orchestration.tasks.expiry import clean_up
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port, run_backtest_command
from backtest_pipeline_tests.polling import PATIENCE_S, until

REQUEST = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])


@pytest.fixture
def cleaned(tmp_path: Path, demo_candles: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A pipeline that cleans up every minute."""
    monkeypatch.setenv("CLEANUP_SCHEDULE", "* * * * *")
    shutil.copytree(demo_candles / "AAPL", tmp_path / "data" / "AAPL")
    home = tmp_path / "home"
    service = LocalService(
        Settings(data_root=tmp_path / "data", dagster_home=home, reports_ahead=False), port=free_port()
    )
    with service.running():
        yield Pipeline(service.url, tmp_path / "data", home)


def _made_older(pipeline: Pipeline, task_id: str, days: int) -> None:
    """Sets a task's finish back, as if the time had passed."""
    layout = Layout(pipeline.data_root)
    with publishing(layout):  # its worker may be about to add the report
        manifest = json.loads(layout.manifest(task_id).read_text())
        for moment in ("finished_at", "expires_at"):
            if manifest["timestamps"][moment]:
                earlier = datetime.fromisoformat(manifest["timestamps"][moment]) - timedelta(days=days)
                manifest["timestamps"][moment] = earlier.isoformat()
        layout.manifest(task_id).write_text(json.dumps(manifest))


def _completed(client: BacktestClient, count: int) -> list[str]:
    tasks = client.submit_many([REQUEST.model_copy(update={"seed": number}) for number in range(count)])
    ended = client.wait_many([task.task_id for task in tasks], timeout_s=PATIENCE_S)
    assert {task.state for task in ended} == {"completed"}
    return [task.task_id for task in tasks]


def _instance_bytes(home: Path) -> int:
    for path in home.rglob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return sum(path.stat().st_size for path in (home / "history").rglob("*") if path.is_file())


def test_the_schedule_deletes_expired_results_and_the_records_shrink_later(cleaned: Pipeline) -> None:
    tasks = cleaned.data_root / "tasks"
    with cleaned.client() as client:
        expired, pinned, young, *others = _completed(client, 20)
        client.pin(pinned)
        for task_id in (expired, pinned):
            _made_older(cleaned, task_id, days=8)
        until(
            lambda: not (tasks / expired).exists() and (tasks / ".last_cleanup.json").exists(),
            "the schedule to fire",
        )
        assert {path.name for path in tasks.iterdir() if path.name[0] != "."} == {pinned, young, *others}
        assert client.status(expired).state == "completed", "its record is kept for a month"
        assert client.result(pinned).manifest is not None

        before = _instance_bytes(cleaned.dagster_home)
        settings = Settings(data_root=cleaned.data_root, dagster_home=cleaned.dagster_home)
        with dg.DagsterInstance.from_config(str(cleaned.dagster_home)) as instance:
            assert clean_up(instance, settings).records == []
            in_a_month = datetime.now(UTC) + timedelta(days=31)
            report = clean_up(instance, settings, now=lambda: in_a_month)
        assert set(report.records) >= {expired, young, *others}
        assert pinned not in report.records
        assert [task.task_id for task in client.list_tasks()] == [pinned]
        assert _instance_bytes(cleaned.dagster_home) < before
        assert report.shrunk_bytes > 0
        assert not [path for path in (cleaned.dagster_home / "storage").rglob("*") if expired in str(path)]
        assert _completed(client, 1), "the system goes on"


def test_command_and_script_clean_up_beside_a_running_system(pipeline: Pipeline) -> None:
    with pipeline.client() as client:
        expired, pinned = _completed(client, 2)
        for task_id in (expired, pinned):
            _made_older(pipeline, task_id, days=8)
        assert pipeline.command("pin", pinned).returncode == 0
        dry = json.loads(pipeline.command("cleanup", "--dry-run", "--json").stdout)
        assert [one["name"] for one in dry["deleted"]] == [expired]
        assert client.result(expired).metrics, "nothing is gone yet"
        done = json.loads(pipeline.command("cleanup", "--json").stdout)
        assert [one["name"] for one in done["deleted"]] == [expired]
        assert done["kept"]["pinned"] == 1
        unpinned = json.loads(pipeline.command("unpin", pinned, "--json").stdout)
        finished_at = datetime.fromisoformat(unpinned[0]["timestamps"]["finished_at"])
        expires_at = datetime.fromisoformat(unpinned[0]["timestamps"]["expires_at"])
        assert expires_at - finished_at == timedelta(days=7)
        assert f"deleted\t{pinned}" in pipeline.command("cleanup").stdout
        refused = pipeline.command("cleanup", "--older-than-days", "0")
        assert (refused.returncode, "above 0" in refused.stderr) == (2, True)


_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { ... on LaunchRunSuccess { run { runId } } }
}
"""
_PAGE = """
query Page($runId: ID!) {
  runOrError(runId: $runId) {
    ... on Run { status assetMaterializations { metadataEntries { label } } }
  }
}
"""


def test_a_cleanup_from_the_web_ui_tells_on_its_page_what_it_did(pipeline: Pipeline) -> None:
    selector = {
        "repositoryLocationName": "backtest_pipeline",
        "repositoryName": "__repository__",
        "jobName": "cleanup_task_results",
    }
    config = {"ops": {"delete_expired": {"config": {"dry_run": True}}}}
    params = {"selector": selector, "runConfigData": config}
    with pipeline.graphql() as graphql:
        run_id = graphql.ask(_LAUNCH, {"params": params})["launchRun"]["run"]["runId"]
        deadline = time.monotonic() + PATIENCE_S
        while (run := graphql.ask(_PAGE, {"runId": run_id})["runOrError"])["status"] != "SUCCESS":
            assert run["status"] != "FAILURE"
            assert time.monotonic() < deadline
            time.sleep(0.2)
    [materialization] = run["assetMaterializations"]
    shown = {entry["label"] for entry in materialization["metadataEntries"]}
    assert {"deleted", "freed MB", "kept, by reason", "could not be deleted"} <= shown


def test_nothing_is_deleted_while_the_database_is_away(tmp_path: Path) -> None:
    task = tmp_path / "data" / "tasks" / "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
    task.mkdir(parents=True)
    os.utime(task, (0, 0))
    env = {
        **os.environ,
        "DATA_ROOT": str(tmp_path / "data"),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_PORT": str(free_port()),
        "DAGSTER_PG_USERNAME": "nobody",
        "DAGSTER_PG_PASSWORD": "secret-word",
        "DAGSTER_PG_DB": "nothing",
    }
    done = run_backtest_command(["cleanup"], env)
    assert done.returncode == 1
    assert "start the database" in done.stderr
    assert "secret-word" not in done.stderr
    assert task.exists()
