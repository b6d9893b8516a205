"""Whatever the README tells people to type works as printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port, run_backtest_command

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PRINTED_URL = "http://127.0.0.1:3000"

# Each has a test of its own, or is what runs this test.
ELSEWHERE = {
    "./scripts/demo",  # below
    "./scripts/demo --keep",  # the same, left running
    "source .venv/bin/activate",
    "backtest up",  # test_service
    "./scripts/check",
    "./scripts/test",
}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _commands() -> list[str]:
    lines = [line for block in _blocks("console") for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


COMMANDS = [command for command in _commands() if command not in ELSEWHERE]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_works(command: str, sqlite_pipeline: Pipeline, tmp_path: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program == "backtest"
    days = pd.date_range("2024-01-01", periods=48, freq="h")
    pd.DataFrame({"Date": days, "Open": 10.0, "High": 12.0, "Low": 9.0, "Close": 11.0, "Volume": 5.0}).to_csv(
        tmp_path / "prices.csv", index=False
    )
    stands_for = {"prices.csv": str(tmp_path / "prices.csv")}
    if "TASK" in arguments:
        stands_for |= dict(zip(("TASK", "ANOTHER_TASK"), _two_tasks(sqlite_pipeline), strict=True))
    arguments = [stands_for.get(argument, argument) for argument in arguments]
    own_candles = {"DATA_ROOT": str(tmp_path / "data")} if "import" in arguments else {}
    done = run_backtest_command(arguments, {**sqlite_pipeline.env, **own_candles}, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def _two_tasks(pipeline: Pipeline) -> list[str]:
    with pipeline.client() as client:
        requests = [BacktestRequest(strategy=name, symbols=["IBM"]) for name in ("momentum", "buy_and_hold")]
        return [client.wait(client.submit(request).task_id, timeout_s=60).task_id for request in requests]


def test_the_readmes_python_runs_against_a_server_and_without_one(
    sqlite_pipeline: Pipeline, tmp_path: Path
) -> None:
    submit, alone = _blocks("python")[:2]
    for block in (submit.replace(PRINTED_URL, sqlite_pipeline.url), alone):
        script = tmp_path / "example.py"
        script.write_text(block)
        (tmp_path / "data").unlink(missing_ok=True)
        (tmp_path / "data").symlink_to(sqlite_pipeline.data_root)
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=sqlite_pipeline.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_readmes_strategy_is_found_where_the_readme_says(tmp_path: Path) -> None:
    block = _blocks("python")[2]
    body = block[block.index("class ") :].strip().splitlines()
    assert len(body) <= 15
    (tmp_path / "my_strategies.py").write_text(block)
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "BACKTEST_STRATEGIES": "my_strategies"}
    listed = json.loads(run_backtest_command(["strategies", "close_above_yesterday", "--json"], env).stdout)
    assert listed["close_above_yesterday"]["params"]["rise_frac"]["default"] == 0.01


def test_the_demo_runs_three_strategies_and_a_sweep_and_ends_with_0(tmp_path: Path) -> None:
    env = {**os.environ, "DATA_ROOT": str(tmp_path / "data"), "DAGSTER_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [str(ROOT / "scripts" / "demo"), "--port", str(free_port())],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("total_return") == 3 + 1  # in tables of metrics, and as a column of the best
    manifests = [json.loads(path.read_text()) for path in tmp_path.glob("data/tasks/*/manifest.json")]
    assert sorted((manifest["kind"], manifest["strategy_id"]) for manifest in manifests) == [
        ("backtest", "sma_cross"),
        ("backtest", "volume_long_candle"),
        ("backtest", "volume_zone_breakout"),
        ("sweep", "sma_cross"),
    ]
    assert str(tmp_path / "data") in done.stdout


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
