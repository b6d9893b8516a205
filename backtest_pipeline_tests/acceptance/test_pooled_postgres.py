"""A worker's connections to PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from backtest_pipeline_tests.acceptance.postgres import postgres_server

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
