"""Whatever the README tells people to type works as printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from backtest_pipeline import BacktestRequest, CandleStore
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port, run_backtest_command
from backtest_pipeline_tests.exchanges.exchange_files import FIRST_S
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MARKETS = ("KRW-BTC", "KRW-ETH")
PRINTED_URL = "http://127.0.0.1:3000"

# Each has a test of its own, or is what runs this test.
ELSEWHERE = {
    "./scripts/demo",  # below
    "./scripts/demo --keep",  # the same, left running
    "./scripts/demo --exchange upbit --symbols KRW-BTC,KRW-ETH",  # below
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


# These go on from one another, on an exchange's candles.
ON_CANDLES_OF_UPBIT = ("candles download", "candles update", "candles resample")
COMMANDS = [
    command
    for command in _commands()
    if command not in ELSEWHERE and not any(name in command for name in ON_CANDLES_OF_UPBIT)
]


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


@pytest.fixture
def upbit_urls() -> Iterator[str]:
    """Upbit on loopback, as `EXCHANGE_URLS` names it, with a year of days and their hours."""
    markets = {name: MadeMarket.of(FIRST_S, 366 * 24, seed=seed) for seed, name in enumerate(MARKETS)}
    with LoopbackExchange("upbit", markets, FIRST_S + 366 * 86_400 + 60).serving() as url:
        yield f"upbit={url}"


def test_the_readmes_downloads_go_on_from_one_another(upbit_urls: str, tmp_path: Path) -> None:
    env = {**os.environ, "DATA_ROOT": str(tmp_path / "data"), "EXCHANGE_URLS": upbit_urls}
    found = [one for one in _commands() if any(name in one for name in ON_CANDLES_OF_UPBIT)]
    assert len(found) == 3
    for command in found:
        done = run_backtest_command(shlex.split(command)[1:], env, folder=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    rows = {(one.symbol, one.timeframe): one.rows for one in CandleStore(tmp_path / "data").inventory()}
    assert rows == {("KRW-BTC", "1h"): 8_784, ("KRW-BTC", "4h"): 2_196, ("KRW-ETH", "1h"): 8_784}


def test_one_command_leads_from_nothing_to_backtests_on_candles_of_an_exchange(
    upbit_urls: str, tmp_path: Path
) -> None:
    command = next(one for one in _commands() if "--exchange upbit" in one and one.startswith("./scripts"))
    env = {
        **os.environ,
        "DATA_ROOT": str(tmp_path / "data"),
        "DAGSTER_HOME": str(tmp_path / "home"),
        "EXCHANGE_URLS": upbit_urls,
    }
    done = subprocess.run(
        [*shlex.split(command), "--port", str(free_port())],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    manifests = [json.loads(path.read_text()) for path in tmp_path.glob("data/tasks/*/manifest.json")]
    assert sorted(manifest["kind"] for manifest in manifests) == ["backtest", "backtest", "backtest", "sweep"]
    for manifest in manifests:
        assert manifest["status"] == "completed"
        assert {seen["symbol"]: seen["rows"] for seen in manifest["candles"]} == dict.fromkeys(MARKETS, 366)


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
