"""`backtest list`: states from the server, numbers from the results; and what `--fresh` does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline import BacktestClient
from backtest_pipeline.cli import connection
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
    assert "--sort: there is no 'beauty'; choose one of" in str(refused)
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


def test_json_is_the_statuses(server: FakeServer) -> None:
    listed = json.loads(_run("list", "--sort", "-sharpe", "--json").stdout)
    assert [task["task_id"] for task in listed] == [TASK, OTHER, THIRD]
    assert listed[0] == json.loads(_run("status", TASK, "--json").stdout)


def test_offline_lists_what_lies_there_and_asks_nobody(server: FakeServer, data_root: Path) -> None:
    rewrite(data_root, lambda of: of["timestamps"].update(submitted_at="2026-03-01T00:00:00Z"))
    server.asked.clear()
    assert [row["task"] for row in _table("--offline")] == [TASK, OTHER]
    assert [row["Sharpe"] for row in _table("--offline", "--sort", "sharpe")] == ["-0.50", "2.50"]
    assert [row["task"] for row in _table("--offline", "--since", "2026-02-01", "--symbol", "ACME")] == [TASK]
    assert _table("--offline", "--state", "failed") == []
    told = json.loads(_run("list", "--offline", "--json").stdout)
    assert (told[0]["sharpe"], told[0]["param.fast"], told[0]["end"]) == (2.5, 3, None)
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
