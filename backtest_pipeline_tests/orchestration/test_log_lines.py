"""Every line is a JSON object that says whose it is."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from backtest_pipeline.orchestration.tasks.log_lines import JsonLines, json_line, lines_about

PRINTING = """
import sys
from dagster import instance_for_test
from dagster._core.test_utils import create_run_for_test

module = "backtest_pipeline.orchestration.dagster_internals.compute_logs"
mine = {"module": module, "class": "BacktestComputeLogManager"}
with instance_for_test({"compute_logs": mine}, temp_dir=sys.argv[1]) as instance:
    root = create_run_for_test(instance, job_name="backtest")
    run = create_run_for_test(
        instance, job_name="backtest", root_run_id=root.run_id, parent_run_id=root.run_id,
        tags={"dagster/root_run_id": root.run_id},
    )
    print(root.run_id)
    with instance.compute_log_manager.capture_logs([run.run_id, "compute_logs", "step"]):
        print("what a strategy\\nprints", end="")
        sys.stdout.flush()
"""


def _record(message: str, **changes: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"msg": message, "levelname": "INFO", "name": "n", "created": 1.5, **changes}
    )


def test_a_line_says_when_where_and_by_whom() -> None:
    line = json.loads(JsonLines().format(_record("said %s", args=("so",))))
    assert line == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "level": "INFO",
        "logger": "n",
        "message": "said so",
        "host": platform.node(),
        "process": os.getpid(),
    }


def test_lines_of_a_task_have_it_and_its_attempt_as_long_as_it_is_at_work() -> None:
    with lines_about({"task": "t", "attempt": 2}):
        inside = json.loads(json_line("x", level="INFO", logger="n", at_s=0))
    outside = json.loads(json_line("x", level="INFO", logger="n", at_s=0))
    assert (inside["task"], inside["attempt"]) == ("t", 2)
    assert "task" not in outside


def test_a_traceback_is_one_line() -> None:
    try:
        int("broken\nin two")
    except ValueError:
        text = JsonLines().format(_record("failed", exc_info=sys.exc_info()))
    assert "\n" not in text
    assert "ValueError: invalid literal" in json.loads(text)["stack"]


@pytest.mark.slow
def test_what_a_run_prints_is_in_the_log_with_its_task_and_attempt(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTING, str(tmp_path)],
        env={**os.environ, "BACKTEST_LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=True,
    )
    task, *lines = done.stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert [one["message"] for one in told] == ["what a strategy", "prints"]
    assert {(one["task"], one["attempt"], one["host"]) for one in told} == {(task, 2, platform.node())}
