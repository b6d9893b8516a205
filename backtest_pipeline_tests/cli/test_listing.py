"""`backtest list`: states from the server, numbers from the results; and what `--fresh` does."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from backtest_pipeline import BacktestClient
from backtest_pipeline.cli import connection, output, task_table
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, wandering
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run

THIRD = "2f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, data_root: Path) -> FakeServer:
    """Knows two tasks that completed, oldest first, and one that waits; the first did better."""
    server = FakeServer()

    def connected(**options: Any) -> BacktestClient:
        return server.client(StillClock(), **options)

    monkeypatch.setattr(connection, "BacktestClient", connected)
    for number, (task_id, sharpe) in enumerate([(TASK, 2.5), (OTHER, -0.5)]):
        manifest = publish(data_root, wandering(), task_id=task_id)
        rewrite(data_root, lambda of, to=sharpe: of["metrics"].update(sharpe=to), task_id)  # type: ignore[misc]  # bound now
        marks = {
            "backtest__strategy": "sma_cross",
            "backtest__symbols": "ACME",
            "backtest__request_digest": manifest.request_digest,
        }
        server.runs.append(run(task_id, status="SUCCESS", created=float(number), **marks))
    server.runs.append(run(THIRD, status="QUEUED", created=9.0, backtest__symbols="BETA"))
    return server


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def _table(*arguments: str) -> list[dict[str, str]]:
    done = _run("list", *arguments)
    assert done.exit_code == 0, done.exception
    head, *rows = (line.split("\t") for line in done.stdout.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_completed_tasks_have_their_numbers_beside_their_state(server: FakeServer, data_root: Path) -> None:
    waiting, other, first = _table()
    assert [row["task"] for row in (waiting, other, first)] == [THIRD, OTHER, TASK]
    metrics = TaskStore(data_root).manifest(TASK).metrics
    assert first["return"] == f"{metrics['total_return']:.2%}"
    assert (first["Sharpe"], other["Sharpe"]) == ("2.50", "-0.50")
    assert first["max drawdown"] == f"{metrics['max_drawdown']:.2%}"
    assert [waiting[name] for name in ("state", "return", "Sharpe", "max drawdown")] == [
        "queued",
        "-",
        "-",
        "-",
    ]


def test_sorting_looks_at_all_tasks_before_it_cuts(server: FakeServer) -> None:
    assert [row["task"] for row in _table("--limit", "1")] == [THIRD]
    assert [row["task"] for row in _table("--limit", "1", "--sort", "-sharpe")] == [TASK]
    assert [row["task"] for row in _table("--sort", "sharpe")] == [OTHER, TASK, THIRD]
    assert [row["task"] for row in _table("--sort", "submitted_at", "--limit", "2")] == [TASK, OTHER]


def test_a_column_that_is_none_is_refused_with_those_there_are(server: FakeServer) -> None:
    refused = _run("list", "--sort", "-beauty").exception
    assert isinstance(refused, RequestInvalid)
    assert "--sort: there is no 'beauty' (did you mean beta?); choose one of" in str(refused)
    assert "sharpe" in str(refused)
    assert "param.fast" in str(refused)


def test_a_symbol_is_found_also_among_more_than_a_runs_tag_names(server: FakeServer, data_root: Path) -> None:
    many = [wandering(f"S{number}", 5) for number in range(12)]
    publish(data_root, *many, task_id=OTHER)
    server.runs[1]["tags"][1]["value"] = "S0,S1,S2,S3,S4,S5,S6,S7,S8,S9 and 2 more"
    assert [row["task"] for row in _table("--symbol", "S11")] == [OTHER]
    assert [row["task"] for row in _table("--symbol", "ACME")] == [TASK]
    assert [row["task"] for row in _table("--symbol", "BETA")] == [THIRD]
    assert _table("--symbol", "S") == []


def test_json_is_the_status_with_parameters_and_metrics(server: FakeServer, data_root: Path) -> None:
    listed = json.loads(_run("list", "--sort", "-sharpe", "--json").stdout)
    assert [task["task_id"] for task in listed] == [TASK, OTHER, THIRD]
    assert listed[0].items() >= json.loads(_run("status", TASK, "--json").stdout).items()
    assert listed[0]["params"] == {"fast": 3, "slow": 8}
    assert listed[0]["metrics"] == TaskStore(data_root).manifest(TASK).metrics
    assert (listed[2]["params"], listed[2]["metrics"], listed[2]["looks_ahead"]) == (None, None, None)


def test_json_has_the_same_keys_with_a_server_and_without(server: FakeServer) -> None:
    online = json.loads(_run("list", "--json").stdout)
    offline = json.loads(_run("list", "--json", "--offline").stdout)
    assert {tuple(row) for row in online} == {tuple(row) for row in offline}
    same = ("task_id", "state", "progress", "strategy", "symbols", "params", "metrics", "start", "timeframe")
    by_id = {row["task_id"]: row for row in online}
    for row in offline:
        assert [row[name] for name in same] == [by_id[row["task_id"]][name] for name in same]


def test_what_was_asked_differently_has_a_column(server: FakeServer, data_root: Path) -> None:
    rewrite(data_root, lambda of: of["params"].update(fast=5), TASK)
    rewrite(data_root, lambda of: of["request"].update(end="2020-05-01", labels={"idea": "trend"}), OTHER)
    waiting, other, first = _table()
    assert [row["fast"] for row in (waiting, other, first)] == ["-", "3", "5"]
    assert (other["end"], first["end"], other["label.idea"]) == ("2020-05-01", "-", "trend")
    assert "slow" not in first, "it is the same"


def test_what_a_sweep_varies_stands_in_the_column_of_its_name(server: FakeServer, data_root: Path) -> None:
    def searched(manifest: dict[str, Any]) -> None:
        space = {"params.fast": {"low": 5, "high": 50, "step": 5}, "fee_bps": [0, 10]}
        manifest |= {"kind": "sweep", "params": {"slow": 8}}
        manifest["request"] = {"backtest": manifest["request"], "space": space}

    rewrite(data_root, searched, TASK)
    _, backtest, sweep = _table()
    assert (sweep["fast"], sweep["fee_bps"]) == ("5 to 50 by 5", "0, 10")
    assert (backtest["fast"], backtest["fee_bps"]) == ("3", "10")
    rows = {row["task_id"]: row for row in json.loads(_run("list", "--json").stdout)}
    assert rows[TASK]["space"]["fee_bps"] == [0, 10]
    assert rows[OTHER]["space"] is rows[THIRD]["space"] is None
    assert _run("list", "--sort", "-sharpe").exit_code == 0


def test_a_result_that_looks_ahead_says_so_and_is_never_the_best(server: FakeServer, data_root: Path) -> None:
    rewrite(data_root, lambda of: of["checks"].update(look_ahead={"passed": False}), TASK)
    ranked = _table("--sort", "-sharpe")
    assert [(row["task"], row["strategy"]) for row in ranked[:2]] == [
        (OTHER, "sma_cross"),
        (TASK, "sma_cross (looks ahead)"),
    ]
    assert [row["Sharpe"] for row in ranked[:2]] == ["-0.50", "2.50"]
    assert [row["looks_ahead"] for row in json.loads(_run("list", "--json").stdout)] == [None, False, True]


@pytest.mark.parametrize("differences", [1, 12])
def test_a_terminal_of_eighty_columns_shows_each_task_in_one_line_or_folds_what_differs(
    server: FakeServer, data_root: Path, monkeypatch: pytest.MonkeyPatch, differences: int
) -> None:
    sink = io.StringIO()
    terminal = Console(file=sink, width=80, force_terminal=True, no_color=True)
    for module in (output, task_table):
        monkeypatch.setattr(module, "console", terminal)
    many = {f"parameter_{number}": number for number in range(differences)}
    rewrite(data_root, lambda of: of["params"].update(many), TASK)
    assert _run("list").exit_code == 0
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", sink.getvalue()).splitlines()]
    assert all(len(line) <= 80 for line in lines)
    for task_id in (TASK, OTHER, THIRD):
        assert sum(line.startswith(task_id[:8]) for line in lines) == 1
    shown = sink.getvalue().replace("\n", " ")
    assert "parameter_0" in shown
    assert "2.50" in shown


def test_offline_lists_what_lies_there_and_asks_nobody(server: FakeServer, data_root: Path) -> None:
    rewrite(data_root, lambda of: of["timestamps"].update(submitted_at="2026-03-01T00:00:00Z"))
    server.asked.clear()
    assert [row["task"] for row in _table("--offline")] == [TASK, OTHER]
    assert [row["Sharpe"] for row in _table("--offline", "--sort", "sharpe")] == ["-0.50", "2.50"]
    assert [row["task"] for row in _table("--offline", "--since", "2026-02-01", "--symbol", "ACME")] == [TASK]
    assert _table("--offline", "--state", "failed") == []
    told = json.loads(_run("list", "--offline", "--json").stdout)
    assert (told[0]["metrics"]["sharpe"], told[0]["params"]["fast"], told[0]["end"]) == (2.5, 3, None)
    assert server.asked == []


def test_a_damaged_manifest_costs_its_numbers_and_nothing_else(server: FakeServer, data_root: Path) -> None:
    Layout(data_root).manifest(TASK).write_text("{")
    assert [row["Sharpe"] for row in _table()] == ["-", "-0.50", "-"]
    offline = _run("list", "--offline")
    assert f"left out {TASK}" in offline.stderr


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_result_that_is_there_is_told_and_fresh_runs_it_again(server: FakeServer, command: str) -> None:
    server.earlier_result = OTHER
    words = [command, "sma_cross", "--symbols", "ACME", "-p", "fast=3", "-p", "slow=8"]
    done = _run(*words)
    assert done.exit_code == 0, done.exception
    assert f"task {OTHER} has this result already; --fresh runs it again" in done.stderr
    if command == "submit":
        assert done.stdout == f"{OTHER}\n"
        fresh = _run(*words, "--fresh")
        assert fresh.stdout == "run3\n"
        assert "has this result already" not in fresh.stderr
