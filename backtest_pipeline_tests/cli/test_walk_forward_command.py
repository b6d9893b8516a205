"""`backtest walk-forward`: what its options ask for."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from backtest_pipeline import BacktestClient, BacktestRequest, IntRange, SweepRequest, WalkForwardRequest
from backtest_pipeline.cli import connection
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.task_request import request_of
from backtest_pipeline.strategies.sweep_resolution import resolve_walk_forward
from backtest_pipeline_tests.sdk.stand_ins import FakeServer

BACKTEST = BacktestRequest(strategy="sma_cross", symbols=["AAPL", "IBM"], fee_bps=5, warmup_bars=30)
SPACE = {"params.fast": IntRange(5, 20, step=5), "params.slow": [30, 60]}
COMMON = ["sma_cross", "--symbols", "AAPL,IBM", "--fee-bps", "5", "--warmup-bars", "30"]
VARIED = ["--vary", "fast=5:20:5", "--vary", "slow=30,60"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    server = FakeServer()

    def connected(**options: Any) -> BacktestClient:
        return server.client(**options)

    monkeypatch.setattr(connection, "BacktestClient", connected)
    return server


@pytest.mark.parametrize(
    ("options", "sweep", "fields"),
    [
        ([], {}, {}),
        (["--train", "500", "--test", "90", "--anchored"], {}, {"train": 500, "test": 90, "anchored": True}),
        (
            ["--train", "1y", "--test", "3mo", "--purge-bars", "4"],
            {},
            {"train": "1y", "test": "3mo", "purge_bars": 4},
        ),
        (
            [
                "--search",
                "random",
                "--trials",
                "9",
                "--search-seed",
                "3",
                "--objective",
                "calmar",
                "--where",
                "trades>=5",
            ],
            {"search": "random", "trials": 9, "seed": 3, "objective": "calmar", "where": ["trades >= 5"]},
            {},
        ),
        (
            ["--purged", "--folds", "8", "--test-folds", "3", "--embargo-bars", "2"],
            {},
            {"cross_validation": "purged", "folds": 8, "test_folds": 3, "embargo_bars": 2},
        ),
    ],
)
def test_options_make_the_request_that_python_would_make(
    options: list[str], sweep: dict[str, Any], fields: dict[str, Any], server: FakeServer
) -> None:
    done = CliRunner().invoke(app, ["walk-forward", *COMMON, *VARIED, *options, "--detach", "--fresh"])
    assert done.exit_code == 0, done.output
    [sent] = server.sent
    asked = WalkForwardRequest(sweep=SweepRequest(backtest=BACKTEST, space=SPACE, **sweep), **fields)
    assert request_of(sent["params"]["runConfigData"]) == resolve_walk_forward(asked)
    assert sent["params"]["selector"]["jobName"] == "walk_forward"


def test_what_cannot_be_is_refused_before_anything_is_sent(server: FakeServer) -> None:
    done = CliRunner().invoke(app, ["walk-forward", *COMMON, *VARIED, "--train", "2y", "--test", "50"])
    assert done.exit_code != 0
    assert "both in bars" in str(done.exception)
    assert server.sent == []
