"""Connections to PostgreSQL: how few a process makes, and when."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.acceptance.postgres import postgres_server
from backtest_pipeline_tests.polling import PATIENCE_S

RENEWED_WITHIN_S = 1.5

WORK = """
import os
import dagster_postgres
from dagster import DagsterInstance
from sqlalchemy import text
from backtest_pipeline.orchestration.dagster_internals.pooled_postgres import keep_connections
from backtest_pipeline.local_service.home import prepare
from pathlib import Path

home = Path(os.environ["DAGSTER_HOME"])
prepare(home)
if os.environ["POOLED"] == "yes":
    keep_connections()
with DagsterInstance.from_config(str(home)) as instance:
    seen = set()
    for _ in range(20):
        instance.get_runs_count()
        instance.event_log_storage.get_maximum_record_id()
        with instance.run_storage.connect() as connection:
            seen.add(connection.execute(text("SELECT pg_backend_pid()")).scalar())
print(len(seen))
"""


def test_a_worker_asks_all_over_few_connections_and_dagster_over_one_each(tmp_path: Path) -> None:
    with postgres_server() as server:
        counts = {}
        for pooled in ("yes", "no"):
            env = {**os.environ, **server.env, "DAGSTER_HOME": str(tmp_path / pooled), "POOLED": pooled}
            command = [sys.executable, "-W", "ignore", "-c", WORK]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 0, done.stderr
            counts[pooled] = int(done.stdout)
    assert counts["yes"] <= 2
    assert counts["no"] == 20


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_task_makes_no_connection_but_those_of_the_worker_that_stands_by_next(pipeline: Pipeline) -> None:
    tasks = 4
    with pipeline.client() as client, closing(_connected(pipeline.database)) as database:
        _complete(client, 3, first_seed=0)  # what the processes keep is there then
        time.sleep(2 * RENEWED_WITHIN_S)
        before = _sessions(database)
        _complete(client, tasks, first_seed=3)
        time.sleep(2 * RENEWED_WITHIN_S)
        made = _sessions(database) - before
    assert 0 < made <= 3 * tasks  # two each, and one where two questions of the web server fall together


def _complete(client: BacktestClient, count: int, first_seed: int) -> None:
    for seed in range(first_seed, first_seed + count):
        request = BacktestRequest(strategy="sma_cross", symbols=["AAPL"], seed=seed)
        task = client.submit(request, reuse=False)
        assert client.wait(task.task_id, timeout_s=PATIENCE_S).state == "completed"
        time.sleep(RENEWED_WITHIN_S)


def _connected(env: dict[str, str]) -> Any:
    names = {"host": "HOST", "port": "PORT", "user": "USERNAME", "password": "PASSWORD", "dbname": "DB"}
    connection = psycopg2.connect(**{name: env[f"DAGSTER_PG_{of}"] for name, of in names.items()})
    connection.autocommit = True
    return connection


def _sessions(database: Any) -> int:
    """How many connections have ever been made."""
    with database.cursor() as cursor:
        cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
