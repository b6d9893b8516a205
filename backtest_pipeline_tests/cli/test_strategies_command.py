"""`backtest strategies`: where each was found, and whether the server has it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline import BacktestClient, Candles, Signals, Strategy, StrategyParams
from backtest_pipeline.cli import connection
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import ServerRefused, StrategyUnknown
from backtest_pipeline.strategies import registry
from backtest_pipeline.strategies.registry import code_sha256_on_disk_of, register
from backtest_pipeline_tests.sdk.stand_ins import FakeServer


class OfMine(Strategy):
    """Never trades."""

    name = "of_mine"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        return Signals(entry=np.zeros(len(candles), dtype=np.bool_))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """Has one strategy as it is here, one with other code, and one that is not here."""
    server = FakeServer()
    server.strategies = {
        "sma_cross": code_sha256_on_disk_of("sma_cross"),
        "ema_cross": "0" * 64,
        "of_the_desk": "1" * 64,
    }

    def connected(**options: Any) -> BacktestClient:
        return server.client(**options)

    monkeypatch.setattr(connection, "BacktestClient", connected)
    monkeypatch.setattr(registry, "_by_hand", {})
    register(OfMine)
    return server


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["strategies", *arguments])


def _listed() -> dict[str, dict[str, Any]]:
    listed: dict[str, dict[str, Any]] = json.loads(_run("--json").stdout)
    return listed


def test_each_says_where_it_was_found_and_how_it_is_on_the_server(server: FakeServer) -> None:
    told = {name: (facts["found_in"], facts["server"]) for name, facts in _listed().items()}
    assert told["sma_cross"] == ("built in", "same code")
    assert told["ema_cross"] == ("built in", "other code")
    assert told["macd_cross"] == ("built in", "missing")
    assert told["of_mine"] == ("registered by hand", "missing")
    assert told["of_the_desk"] == ("the server only", "other code")
    assert list(told) == sorted(told)


def test_people_read_it_behind_the_name(server: FakeServer) -> None:
    told = _run("of_mine").stdout
    assert " ".join(told.split()) == "of_mine Never trades. registered by hand; server: missing"
    assert "built in; server: same code" in " ".join(_run("sma_cross").stdout.split())


def test_those_that_trade_a_portfolio_are_told_from_those_that_give_signals(server: FakeServer) -> None:
    listed = _listed()
    assert (listed["sma_cross"]["answers"], listed["equal_weight"]["answers"]) == ("signals", "weights")
    assert listed["of_the_desk"]["answers"] is None
    told = " ".join(_run("equal_weight").stdout.split())
    assert "trades a portfolio; built in;" in told
    assert "rebalance monthly bar | daily | weekly | monthly when weights are acted upon" in told


def test_what_only_the_server_has_has_no_parameters_to_tell(server: FakeServer) -> None:
    facts = _listed()["of_the_desk"]
    assert (facts["summary"], facts["params"]) == (None, {})


@pytest.mark.parametrize("answers", [httpx.ConnectError("refused"), None])
def test_without_an_answer_the_strategies_here_are_listed_all_the_same(
    server: FakeServer, answers: Exception | None
) -> None:
    if answers is None:
        server.strategies = None  # of an earlier version
    else:
        server.failures = [answers]
    done = _run("--json")
    assert done.exit_code == 0
    assert "which of them the server has is not known" in done.stderr
    assert {facts["server"] for facts in json.loads(done.stdout).values()} == {None}
    assert server.asked == ["Job"], "asked once, without patience"


def test_a_name_that_is_neither_here_nor_there_is_refused(server: FakeServer) -> None:
    assert isinstance(_run("nope").exception, StrategyUnknown)


def test_a_server_that_does_not_tell_is_refused_by_the_client(server: FakeServer) -> None:
    server.strategies = None
    with server.client() as client, pytest.raises(ServerRefused):
        client.server_strategies()
