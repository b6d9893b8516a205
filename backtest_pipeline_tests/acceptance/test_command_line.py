"""The command line against the real processes."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest

from backtest_pipeline_tests.acceptance.live import (
    Pipeline,
    broken_candles,
    free_port,
    run_backtest_command,
)
from backtest_pipeline_tests.polling import until

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def test_run_shows_progress_prints_the_metrics_and_says_where_the_results_are(
    sqlite_pipeline: Pipeline,
) -> None:
    done = sqlite_pipeline.command(
        "run", "sma_cross", "--symbols", "AAPL,MSFT", "-p", "fast=10", "-p", "slow=20",
        "--start", "2005-01-01", "--end", "2012-12-31", "--label", "desk=a",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = {line.split("\t")[0]: line.split("\t")[1:] for line in done.stdout.splitlines() if "\t" in line}
    assert table["metric"] == ["account", "AAPL", "MSFT", "unit"]
    counts = [int(cell.replace(",", "")) for cell in table["trades"][:-1]]
    assert counts[0] == counts[1] + counts[2]
    assert table["max_drawdown_days"][-1] == "days"
    assert re.search(r"^completed 100% completed$", done.stderr, re.MULTILINE)
    assert re.search(rf"results in {re.escape(str(sqlite_pipeline.data_root))}/tasks/{UUID}", done.stderr)


def test_submit_status_wait_result_and_list_speak_of_the_same_task(sqlite_pipeline: Pipeline) -> None:
    task_id = sqlite_pipeline.command("submit", "buy_and_hold", "--symbols", "IBM").stdout.strip()
    assert re.fullmatch(UUID, task_id)
    waited = sqlite_pipeline.command("wait", task_id, "--timeout-s", "60", "--json")
    assert waited.returncode == 0
    status = json.loads(sqlite_pipeline.command("status", task_id, "--json").stdout)
    assert status == json.loads(waited.stdout)
    assert (status["state"], status["strategy"], status["symbols"]) == ("completed", "buy_and_hold", ["IBM"])
    stored = Path(status["result_path"]) / "manifest.json"

    def printed_as_stored() -> bool:  # picture and report may be added in between
        printed = json.loads(sqlite_pipeline.command("result", task_id, "--json").stdout)
        return bool(printed == json.loads(stored.read_text()))

    until(printed_as_stored, "what is printed to be what is stored")
    manifest = json.loads(stored.read_text())
    assert manifest["robustness"]["trials"] >= 1
    listed = json.loads(sqlite_pipeline.command("list", "--strategy", "buy_and_hold", "--json").stdout)
    [row] = [row for row in listed if row["task_id"] == task_id]
    assert row.items() >= status.items()
    assert row["metrics"] == manifest["metrics"]


def test_a_failed_task_ends_the_command_with_1_and_its_message(sqlite_pipeline: Pipeline) -> None:
    with broken_candles(sqlite_pipeline.data_root):
        done = sqlite_pipeline.command("run", "sma_cross", "--symbols", "BROKEN")
    assert done.returncode == 1
    assert "failed: BROKEN: cannot read" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--symbols", "TSLA"], "the store has no 1d candles of TSLA; it has AAPL"),
        (["--symbols", "aapl"], "'aapl' is not a symbol (did you mean AAPL?)"),
        (["--symbols", "IBM", "--timeframe", "1h"], "no 1h candles of IBM; it has candles of 1d only"),
        (["--symbols", "IBM", "--end", "1990-01-01"], "no IBM 1d candles from the first to 1990-01-01"),
    ],
)
def test_candles_that_the_server_lacks_are_told_at_once_and_make_no_task(
    sqlite_pipeline: Pipeline, arguments: list[str], says: str
) -> None:
    before = sqlite_pipeline.command("list", "--json", "--limit", "1000").stdout
    done = sqlite_pipeline.command("run", "sma_cross", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert sqlite_pipeline.command("list", "--json", "--limit", "1000").stdout == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["run", "sma_crossing", "--symbols", "AAPL"],
            "there is no 'sma_crossing' (did you mean sma_cross?); choose one of",
        ),
        (["run", "sma_cross", "--symbols", "AAPL", "-p", "quick=3"], "quick: there is no such parameter"),
        (["run", "sma_cross", "--symbols", "AAPL", "-p", "fast"], "write NAME=VALUE, not 'fast'"),
        (["submit", "sma_cross", "--symbols", "../AAPL"], "'../AAPL' is not a symbol"),
        (
            ["submit", "sma_cross", "--symbols", "AAPL", "--fee-bps", "-1"],
            "fee_bps: Input should be greater than",
        ),
        (["submit", "sma_cross", "--symbols", "AAPL", "--start", "2012", "--end", "2011"], "no ISO date"),
        (["submit", "sma_cross"], "Missing option"),
        (["run", "sma_cross"], "symbols: say which, or name a sweep's trial with --from"),
        (
            ["run", "--trial", "3", "sma_cross", "--symbols", "AAPL"],
            "name the sweep's task as well, with --from",
        ),
        (
            ["list", "--state", "done"],
            "there is no 'done'; choose one of queued, running, completed, failed, cancelled",
        ),
        (["strategies", "nope"], "there is no 'nope'"),
    ],
)
def test_bad_usage_ends_with_2_and_says_what_to_do(arguments: list[str], says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # it is there, and need not be asked
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        done = run_backtest_command(arguments, {**os.environ, "BACKTEST_URL": url})
    assert done.returncode == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_running_ends_with_1_and_says_how_to_start_it() -> None:
    done = run_backtest_command(["list"], {**os.environ, "BACKTEST_URL": f"http://127.0.0.1:{free_port()}"})
    assert done.returncode == 1
    assert "start it with `backtest up` or set BACKTEST_URL" in done.stderr


def test_a_wrong_setting_is_named() -> None:
    done = run_backtest_command(["list"], {**os.environ, "CANDLE_TIMEZONE": "Mars/Olympus"})
    assert done.returncode == 1
    assert "CANDLE_TIMEZONE: 'Mars/Olympus' is no time zone" in done.stderr


def test_strategies_lists_parameters_with_defaults_and_ranges() -> None:
    listed = json.loads(run_backtest_command(["strategies", "--json"], dict(os.environ)).stdout)
    params = listed["volume_long_candle"]["params"]
    assert params["vol_ma_window"]["default"] == 20
    assert params["vol_ma_window"]["range"] == "1 to 500"
    text = run_backtest_command(["strategies", "volume_long_candle"], dict(os.environ)).stdout
    assert "vol_ma_window\t20\t1 to 500\t" in text


def test_a_file_of_settings_is_read_where_a_command_is_started(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CANDLE_TIMEZONE=Mars/Olympus\nDATA_ROOT=./mine\nHTTP_PROXY=http://no\n")
    done = run_backtest_command(["candles", "list"], dict(os.environ), folder=tmp_path)
    assert "CANDLE_TIMEZONE: 'Mars/Olympus' is no time zone" in done.stderr
    env = {**os.environ, "CANDLE_TIMEZONE": "UTC"}
    assert run_backtest_command(["candles", "demo"], env, folder=tmp_path).returncode == 0
    assert (tmp_path / "mine" / "AAPL").is_dir()


def test_a_file_of_settings_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    done = run_backtest_command(["strategies"], dict(os.environ), folder=tmp_path)
    assert (done.returncode, "backtest: .env: " in done.stderr) == (1, True)
