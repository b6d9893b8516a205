"""A request whose result is there already yields that task, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.sdk import reuse
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, store_candles, wandering
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, run

ASKED: dict[str, Any] = {"strategy": "sma_cross", "params": {"fast": 3, "slow": 8}}


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def data_root(tmp_path: Path, server: FakeServer) -> Path:
    """A task of all the store's candles that the server knows to have completed."""
    store_candles(tmp_path, wandering())
    _completed(server, publish(tmp_path, wandering()))
    return tmp_path


@pytest.fixture
def client(server: FakeServer, data_root: Path) -> BacktestClient:
    return server.client(data_root=data_root)


def _completed(server: FakeServer, manifest: Manifest, *, status: str = "SUCCESS") -> None:
    run_tags = {
        "backtest__request_digest": manifest.request_digest,
        "backtest__strategy": manifest.strategy_id,
    }
    server.runs.append(run(manifest.task_id, status=status, created=float(len(server.runs)), **run_tags))


def _request(**changes: Any) -> BacktestRequest:
    return BacktestRequest(**{**ASKED, "symbols": ["ACME"], **changes})


def test_the_same_request_on_the_same_candles_by_the_same_code_runs_nothing(
    client: BacktestClient, server: FakeServer
) -> None:
    task = client.submit(_request())
    assert (task.task_id, task.state) == (TASK, "completed")
    assert "Launch" not in server.asked
    assert server.asked == ["Page", "Attempts"]


def test_parameters_left_at_their_defaults_are_the_same_as_written_out(
    server: FakeServer, data_root: Path
) -> None:
    written_out = {"fast": 10, "slow": 20}
    _completed(server, publish(data_root, wandering(), task_id=OTHER, request={"params": written_out}))
    with server.client(data_root=data_root) as client:
        assert client.submit(_request(params={})).task_id == OTHER


@pytest.mark.parametrize("options", [{"reuse": False}, {"idempotency_key": "nightly"}])
def test_who_asks_for_a_run_of_its_own_gets_one(
    client: BacktestClient, server: FakeServer, options: dict[str, Any]
) -> None:
    assert client.submit(_request(), **options).task_id != TASK
    assert server.asked == ["Launch"]


def test_many_are_submitted_as_asked(client: BacktestClient, server: FakeServer) -> None:
    assert TASK not in [task.task_id for task in client.submit_many([_request(), _request()])]
    assert set(server.asked) == {"Launch"}


@pytest.mark.parametrize(
    "changes",
    [{"fee_bps": 11}, {"params": {"fast": 4, "slow": 8}}, {"labels": {"desk": "fx"}}, {"seed": 1}],
)
def test_another_request_runs(client: BacktestClient, server: FakeServer, changes: dict[str, Any]) -> None:
    assert client.submit(_request(**changes)).task_id != TASK
    assert server.asked == ["Page", "Launch"]


def _more_candles(data_root: Path) -> None:
    store_candles(data_root, wandering(bars=201))


def _corrected_candle(data_root: Path) -> None:
    candles = wandering()
    volume = candles.volume + np.where(np.arange(len(candles)) == 100, 1.0, 0.0)
    store_candles(data_root, replace(candles, volume=volume))


def _other_code(data_root: Path) -> None:
    rewrite(data_root, lambda of: of["environment"].update(code_sha256="0" * 64))


def _unknown_code(data_root: Path) -> None:
    rewrite(data_root, lambda of: of["environment"].pop("code_sha256"))


def _other_version(data_root: Path) -> None:
    rewrite(data_root, lambda of: of["environment"].update(backtest_pipeline="0.0.1"))


def _damaged(data_root: Path) -> None:
    path = Layout(data_root).task(TASK) / "trades.parquet"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _expired(data_root: Path) -> None:
    Layout(data_root).task(TASK).rename(data_root / "gone")


def _expires_soon(data_root: Path) -> None:
    moment = (datetime.now(UTC) + timedelta(hours=11)).isoformat()
    rewrite(data_root, lambda of: of["timestamps"].update(expires_at=moment))


def _no_candles(data_root: Path) -> None:
    (data_root / "ACME").rename(data_root / "gone")


def _unreadable_candles(data_root: Path) -> None:
    Layout(data_root).candle_file("ACME", "1d", 2020).write_bytes(b"no parquet")


def _no_manifest_of_ours(data_root: Path) -> None:
    Layout(data_root).manifest(TASK).write_text("{")


@pytest.mark.parametrize(
    "change",
    [
        _more_candles,
        _corrected_candle,
        _other_code,
        _unknown_code,
        _other_version,
        _damaged,
        _expired,
        _expires_soon,
        _no_candles,
        _unreadable_candles,
        _no_manifest_of_ours,
    ],
)
def test_whatever_makes_the_result_another_or_unknown_lets_it_run(
    client: BacktestClient, server: FakeServer, data_root: Path, change: Callable[[Path], object]
) -> None:
    change(data_root)
    task = client.submit(_request())
    assert (task.task_id, task.state) == ("run1", "queued")


@pytest.mark.parametrize("status", ["FAILURE", "CANCELED", "STARTED", "QUEUED"])
def test_only_completed_tasks_are_candidates(server: FakeServer, data_root: Path, status: str) -> None:
    server.runs[0]["status"] = status
    with server.client(data_root=data_root) as client:
        assert client.submit(_request()).task_id != TASK


def test_a_task_that_is_executed_again_right_now_is_not_taken(server: FakeServer, data_root: Path) -> None:
    server.runs.append(run("again", root=TASK, created=5.0))
    with server.client(data_root=data_root) as client:
        assert client.submit(_request()).task_id == "run2"


def test_the_newest_of_several_is_taken_and_a_damaged_one_passed_over(
    server: FakeServer, data_root: Path
) -> None:
    _completed(server, publish(data_root, wandering(), task_id=OTHER))
    with server.client(data_root=data_root) as client:
        assert client.submit(_request()).task_id == OTHER
        (Layout(data_root).task(OTHER) / "equity.parquet").unlink()
        assert client.submit(_request()).task_id == TASK


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.Response(500, json={"errors": [{"message": "no"}]})]
)
def test_a_lookup_that_fails_is_as_if_there_had_been_none(
    server: FakeServer, data_root: Path, failure: Any
) -> None:
    server.failures = [failure]
    with server.client(data_root=data_root) as client:
        assert client.submit(_request()).task_id == "run1"
    assert server.asked.count("Launch") == 1


def test_nobody_is_asked_where_there_is_nothing_to_reuse(server: FakeServer, tmp_path: Path) -> None:
    with server.client(data_root=tmp_path / "elsewhere") as client:
        client.submit(_request())
    assert server.asked == ["Launch"]


def test_a_strategy_without_sources_is_never_reused(
    client: BacktestClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch, data_root: Path
) -> None:
    monkeypatch.setattr(reuse, "code_sha256_on_disk", lambda strategy: None)
    rewrite(data_root, lambda of: of["environment"].update(code_sha256=None))
    assert client.submit(_request()).task_id != TASK


def test_the_symbols_order_is_part_of_the_request(server: FakeServer, data_root: Path) -> None:
    other = wandering("BETA", seed=2)
    store_candles(data_root, other)
    _completed(server, publish(data_root, wandering(), other, task_id=OTHER))
    with server.client(data_root=data_root) as client:
        assert client.submit(_request(symbols=["ACME", "BETA"])).task_id == OTHER
        assert client.submit(_request(symbols=["BETA", "ACME"])).task_id != OTHER


def test_the_candidates_are_asked_for_by_digest_in_one_request(
    client: BacktestClient, server: FakeServer, data_root: Path
) -> None:
    client.submit(_request())
    manifest = json.loads(Layout(data_root).manifest(TASK).read_text())
    wanted = server.sent[0]["filter"]
    assert wanted["tags"] == [{"key": "backtest/request_digest", "value": manifest["request_digest"]}]
    assert wanted["statuses"] == ["SUCCESS"]


def test_another_recorded_calendar_makes_another_result(
    client: BacktestClient, server: FakeServer, data_root: Path
) -> None:
    (data_root / "ACME" / "symbol.json").write_text(SymbolRecord.of("XKRX").model_dump_json())
    client.submit(_request())
    assert "Launch" in server.asked
