"""What GraphQL and clients are told before there is a run, by the real service."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest

from backtest_pipeline import BacktestRequest, Candles, Signals, Strategy
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.sdk import queries
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies import registry
from backtest_pipeline_tests.acceptance.live import Pipeline

SELECTOR = {
    "repositoryLocationName": tags.CODE_LOCATION,
    "repositoryName": tags.REPOSITORY,
    "jobName": tags.JOB,
}
CONFIG_OF = "query Config($id: ID!) { runOrError(runId: $id) { ... on Run { runConfig status } } }"
IDS = (
    """query Ids { runsOrError(filter: {pipelineName: "backtest"}) { ... on Runs { results { runId } } } }"""
)


def launch(pipeline: Pipeline, config: dict[str, Any], **run_tags: str) -> dict[str, Any]:
    """What a launch from the web UI is answered, which sends nothing but what its user has written."""
    given = [{"key": key.replace("__", "/"), "value": value} for key, value in run_tags.items()]
    params = {"selector": SELECTOR, "runConfigData": config, "executionMetadata": {"tags": given}}
    with pipeline.graphql() as graphql:
        answer: dict[str, Any] = graphql.ask(queries.LAUNCH, {"params": params})["launchRun"]
    return answer


def run_ids(pipeline: Pipeline) -> set[str]:
    with pipeline.graphql() as graphql:
        return {run["runId"] for run in graphql.ask(IDS, {})["runsOrError"]["results"]}


def test_a_launch_from_the_web_ui_runs_with_everything_written_out(sqlite_pipeline: Pipeline) -> None:
    launched = launch(sqlite_pipeline, {"strategy": {"sma_cross": {"fast": 3}}, "symbols": ["IBM"]})
    assert launched["__typename"] == "LaunchRunSuccess"
    with sqlite_pipeline.graphql() as graphql:
        run = graphql.ask(CONFIG_OF, {"id": launched["run"]["runId"]})["runOrError"]
    config = run["runConfig"]
    assert config["strategy"] == {"sma_cross": {"fast": 3, "slow": 20}}
    assert (config["symbols"], config["fee_bps"], config["timeframe"]) == (["IBM"], 10, "1d")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            {"strategy": {"of_mine": {}}},
            "strategy: the server has no 'of_mine'; name its module in BACKTEST_",
        ),
        (
            {"strategy": {"sma_cross": {"fast": 0}}},
            "sma_cross cannot use these parameters (it takes fast, slow)",
        ),
        ({"symbols": ["aapl"]}, "'aapl' is not a symbol (did you mean AAPL?)"),
        (
            {"symbols": ["AAPL", "TSLA", "NVDA"]},
            "the store has no 1d candles of TSLA, NVDA; it has AAPL, FB, ",
        ),
        ({"symbols": ["MFST"]}, "the store has no 1d candles of MFST (did you mean MSFT?); it has AAPL"),
        ({"timeframe": "1h"}, "the store has no 1h candles of AAPL; it has candles of 1d only"),
        (
            {"start": "1990-01-01", "end": "1995-12-31"},
            "no AAPL 1d candles from 1990-01-01 to 1995-12-31; the store has 2000-03-01",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_and_leaves_no_run(
    sqlite_pipeline: Pipeline, config: dict[str, Any], says: str
) -> None:
    before = run_ids(sqlite_pipeline)
    with pytest.raises(RequestInvalid) as refused:
        launch(sqlite_pipeline, config)
    assert says in str(refused.value)
    assert run_ids(sqlite_pipeline) == before


def test_a_strategy_that_only_the_client_has_is_told_with_what_to_do(
    sqlite_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfMine(Strategy):
        name = "of_mine"

        def signals(self, candles: Candles, params: Any) -> Signals:
            return Signals(entry=np.zeros(len(candles), dtype=np.bool_))

    monkeypatch.setitem(registry._by_hand, "of_mine", OfMine)
    before = run_ids(sqlite_pipeline)
    with (
        sqlite_pipeline.client() as client,
        pytest.raises(
            RequestInvalid, match="the server has no 'of_mine'; name its module in BACKTEST_STRATE"
        ),
    ):
        client.submit(BacktestRequest(strategy="of_mine", symbols=["IBM"]))
    assert run_ids(sqlite_pipeline) == before


def test_the_server_tells_which_strategies_it_has_and_of_which_code(sqlite_pipeline: Pipeline) -> None:
    get_settings.cache_clear()  # they may have been read while a service with other strategies was started
    with sqlite_pipeline.client() as client:
        told = client.server_strategies()
    here = {name: registry.code_sha256_of(name) for name in registry.strategies()}
    assert {name: code for name, code in told.items() if name in here} == here
    # A deployment has its operator's own strategies as well.
    assert bool(set(told) - set(here)) == ("ACCEPTANCE_URL" in os.environ)
    listed = json.loads(sqlite_pipeline.command("strategies", "--json").stdout)
    assert {(listed[name]["found_in"], listed[name]["server"]) for name in here} == {
        ("built in", "same code")
    }
