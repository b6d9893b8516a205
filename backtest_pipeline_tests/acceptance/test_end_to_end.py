"""A backtest through the real web server, daemon, code server and worker."""

from __future__ import annotations

import json
import random
import shutil
import string
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model.errors import RequestInvalid, ResultMissing, TaskUnknown
from backtest_pipeline.model.result import EQUITY_COLUMNS, SIGNAL_COLUMNS, TRADE_COLUMNS
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline_tests.acceptance.live import Pipeline, broken_candles
from backtest_pipeline_tests.polling import PATIENCE_S

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "manifest.schema.json"


def _request(**changes: Any) -> BacktestRequest:
    fields = {"strategy": "sma_cross", "params": {"fast": 10, "slow": 20}, "symbols": ["AAPL", "MSFT"]}
    return BacktestRequest(**{**fields, **changes})


def _post(pipeline: Pipeline, query: str, **variables: Any) -> dict[str, Any]:
    with pipeline.graphql() as graphql:
        return graphql.ask(query, variables)


def _launch(
    pipeline: Pipeline, config: object, answer: str = "... on LaunchRunSuccess { run { runId } }"
) -> dict[str, Any]:
    """Launches the job as any GraphQL client would."""
    selector = {
        "jobName": "backtest",
        "repositoryName": "__repository__",
        "repositoryLocationName": "backtest_pipeline",
    }
    mutation = (
        f"mutation($p: ExecutionParams!) {{ launchRun(executionParams: $p) {{ __typename {answer} }} }}"
    )
    launched: dict[str, Any] = _post(pipeline, mutation, p={"selector": selector, "runConfigData": config})[
        "launchRun"
    ]
    return launched


def test_a_backtest_submitted_by_the_client_completes_and_can_be_read_back(pipeline: Pipeline) -> None:
    seen: list[TaskStatus] = []
    request = _request(labels={"desk": "equities"}, start="2005-01-01", end="2012-12-31")
    with pipeline.client() as client:
        task = client.submit(request, reuse=False)
        assert task.state in {"queued", "running"}
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S, on_progress=seen.append)
        result = client.result(task.task_id)

    assert (ended.state, ended.progress, ended.error, ended.attempt) == ("completed", 1.0, None, 1)
    assert ended.labels == {"desk": "equities"}
    assert ended.symbols == ["AAPL", "MSFT"]
    order = {"queued": 0, "running": 1, "completed": 2}
    states = [order[status.state] for status in seen]
    assert states == sorted(states)
    assert [status.progress for status in seen] == sorted(status.progress for status in seen)

    assert tuple(result.signals.columns) == SIGNAL_COLUMNS
    assert tuple(result.trades.columns) == TRADE_COLUMNS
    assert tuple(result.equity.columns) == EQUITY_COLUMNS
    gained = result.equity["equity"].iloc[-1] - request.initial_cash
    assert result.trades["pnl"].sum() == pytest.approx(gained, abs=1e-6)
    assert result.request.digest() == request.digest()


def test_backtests_submitted_by_raw_graphql_go_from_queued_over_running_to_completed(
    pipeline: Pipeline,
) -> None:
    config = {"strategy": {"volume_zone_breakout": {}}, "symbols": ["IBM"]}
    with ThreadPoolExecutor(6) as pool:
        launched = list(pool.map(lambda _: _launch(pipeline, config), range(6)))
    states: dict[str, list[str]] = {launch["run"]["runId"]: [] for launch in launched}
    with pipeline.client() as client:
        deadline = time.monotonic() + PATIENCE_S
        while any(seen[-1:] != ["completed"] for seen in states.values()) and time.monotonic() < deadline:
            for task in client.list_tasks(limit=6):
                seen = states[task.task_id]
                if seen[-1:] != [task.state]:
                    seen.append(task.state)
    whole = ["queued", "running", "completed"]
    assert all(seen == [state for state in whole if state in seen] for seen in states.values())
    assert whole in states.values()  # two run at once, so others wait


def test_the_same_request_twice_gives_the_same_bytes(pipeline: Pipeline) -> None:
    with pipeline.client() as client:
        tasks = [client.submit(_request(strategy="buy_and_hold", params={}), reuse=False) for _ in range(2)]
        folders = [
            pipeline.data_root / "tasks" / client.wait(task.task_id, timeout_s=PATIENCE_S).task_id
            for task in tasks
        ]
    for name in ("signals.parquet", "trades.parquet", "equity.parquet"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second


def test_the_largest_request_is_taken_and_told(pipeline: Pipeline) -> None:
    """Its symbols do not fit into a tag."""
    digits = random.Random(1)  # noqa: S311  names that do not compress
    symbols = ["".join(digits.choices(string.ascii_uppercase + string.digits, k=32)) for _ in range(500)]
    year = pipeline.data_root / "IBM" / "1D" / "2012.parquet"
    for symbol in symbols:
        shutil.copytree(year.parent, pipeline.data_root / symbol / "1D", ignore=_all_but_2012)
    try:
        with pipeline.client() as client:
            request = _request(strategy="buy_and_hold", params={}, symbols=symbols)
            ended = client.wait(client.submit(request).task_id, timeout_s=PATIENCE_S)
    finally:
        for symbol in symbols:
            shutil.rmtree(pipeline.data_root / symbol)
    assert (ended.state, ended.error) == ("completed", None)
    assert 0 < len(ended.symbols) < 100
    assert ended.symbols == symbols[: len(ended.symbols)]
    manifest = json.loads((pipeline.data_root / "tasks" / ended.task_id / "manifest.json").read_text())
    assert manifest["symbols"] == symbols


def _all_but_2012(_: str, names: list[str]) -> set[str]:
    return {*names} - {"2012.parquet"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"strategy": {"sma_cross": {"quick": 3}}}, 'unexpected config entry "quick"'),
        ({"execution": {"config": {}}}, 'unexpected config entry "execution"'),
    ],
)
def test_a_form_that_cannot_be_right_is_refused_before_anything_starts(
    pipeline: Pipeline, config: dict[str, Any], says: str
) -> None:
    launched = _launch(pipeline, config, "... on RunConfigValidationInvalid { errors { message } }")
    assert launched["__typename"] == "RunConfigValidationInvalid"
    assert says in launched["errors"][0]["message"]


def test_a_form_that_names_an_environment_variable_is_refused_before_dagster_reads_it(
    pipeline: Pipeline,
) -> None:
    with pytest.raises(RequestInvalid, match="may not name environment variables"):
        _launch(pipeline, {"symbols": [{"env": "HOME"}]}, "__typename")


def test_the_client_refuses_what_it_knows_to_be_wrong_without_a_task(pipeline: Pipeline) -> None:
    with pipeline.client() as client:
        before = len(client.list_tasks(limit=1_000))
        with pytest.raises(RequestInvalid, match="slow"):
            client.submit(_request(params={"slow": -5}))
        assert len(client.list_tasks(limit=1_000)) == before


def test_an_unknown_task_is_told_as_such(pipeline: Pipeline) -> None:
    with pipeline.client() as client, pytest.raises(TaskUnknown):
        client.status("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"start": "2020-13-01"}, ["start"], "start: "),
        ({"symbols": ["IBN"]}, [], "no 1d candles of IBN (did you mean IBM?)"),
        ({"strategy": {"sma_cross": {"fast": 50, "slow": 20}}}, [], "slow"),
        ({"end": "2001-01-01", "start": "2002-01-01"}, [], "is before start"),
        ({"start": ""}, [], ""),
    ],
)
def test_the_launchpad_marks_what_cannot_be_run_before_any_launch(
    pipeline: Pipeline, changes: dict[str, Any], field: list[str], says: str
) -> None:
    selector = {
        "pipelineName": "backtest",
        "repositoryName": "__repository__",
        "repositoryLocationName": "backtest_pipeline",
    }
    found = _post(
        pipeline,
        "query($s: PipelineSelector!, $c: RunConfigData) {"
        ' isPipelineConfigValid(pipeline: $s, mode: "default", runConfigData: $c) { __typename'
        " ... on RunConfigValidationInvalid { errors { message stack { entries {"
        " ... on EvaluationStackPathEntry { fieldName } } } } } } }",
        s=selector,
        c={"symbols": ["IBM"], **changes},
    )["isPipelineConfigValid"]
    if not says:
        assert found["__typename"] == "PipelineConfigValidationValid"
        return
    [error] = found["errors"]
    assert says in error["message"]
    assert [entry["fieldName"] for entry in error["stack"]["entries"]] == field


def test_the_untouched_launch_form_can_be_launched(pipeline: Pipeline) -> None:
    selector = {
        "pipelineName": "backtest",
        "repositoryName": "__repository__",
        "repositoryLocationName": "backtest_pipeline",
    }
    form = _post(
        pipeline,
        "query($s: PipelineSelector!) { runConfigSchemaOrError(selector: $s)"
        " { ... on RunConfigSchema { rootDefaultYaml } } }",
        s=selector,
    )["runConfigSchemaOrError"]["rootDefaultYaml"]
    assert "sma_cross" in form
    launched = _launch(pipeline, form)
    with pipeline.client() as client:
        ended = client.wait(launched["run"]["runId"], timeout_s=PATIENCE_S)
    assert (ended.state, ended.strategy, ended.symbols) == ("completed", "sma_cross", ["AAPL"])


def test_a_corrupt_candle_file_fails_the_task_and_names_the_file(pipeline: Pipeline) -> None:
    with broken_candles(pipeline.data_root) as file, pipeline.client() as client:
        task = client.submit(_request(symbols=["BROKEN"]))
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S)
        with pytest.raises(ResultMissing, match="it failed: BROKEN: cannot read"):
            client.result(task.task_id)
    assert (ended.state, ended.attempt) == ("failed", 1)
    assert ended.error is not None
    assert ended.error.startswith(f"BROKEN: cannot read {file}")
    manifest = json.loads((pipeline.data_root / "tasks" / task.task_id / "manifest.json").read_text())
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))
    assert manifest["error"]["type"] == "CandleFileUnreadable"
    assert manifest["error"]["retryable"] is False
