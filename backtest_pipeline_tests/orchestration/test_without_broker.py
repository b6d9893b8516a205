"""Where no broker is set, nobody pays for Celery."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROCESSES = """
import sys
from backtest_pipeline.orchestration.dagster_internals import (
    code_server_command, daemon_command, web_server_command,
)
import backtest_pipeline.cli.commands.worker_command
import backtest_pipeline.definitions
daemon_command.prepare()
web_server_command.prepare()
code_server_command.prepare()
print(sorted({"celery", "dagster_celery", "kombu", "redis"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_no_process_of_the_service_imports_celery() -> None:
    env = {name: value for name, value in os.environ.items() if name != "BACKTEST_BROKER_URL"}
    done = subprocess.run(
        [sys.executable, "-c", PROCESSES], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
