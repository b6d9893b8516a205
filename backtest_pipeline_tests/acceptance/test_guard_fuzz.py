"""A running service under odd requests: never its own failure, and no run of a request that was refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosedError, NegotiationError
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from backtest_pipeline import BacktestClient
from backtest_pipeline.model.errors import RequestInvalid, ServerRefused
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.guarded import ANN, ANNS, VIC, VIEWS, Guarded, asked, served
from backtest_pipeline_tests.acceptance.live import run_backtest_command
from backtest_pipeline_tests.polling import PATIENCE_S, until

KINDLY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SELECTOR = {
    "repositoryLocationName": "backtest_pipeline",
    "repositoryName": "__repository__",
    "jobName": "backtest",
}
CONFIG: dict[str, Any] = {
    "strategy": {"buy_and_hold": {}},
    "symbols": ["IBM"],
    "start": "2012-01-01",
    "end": "2012-01-10",
}
LAUNCH = """
  mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
PLAN = (
    "query Plan($config: RunConfigData) { executionPlanOrError(mode: 'default', runConfigData: $config, "
    "pipeline: {repositoryLocationName: 'backtest_pipeline', repositoryName: '__repository__', "
    "pipelineName: 'cleanup_task_results'}) { __typename } }"
).replace("'", '"')
JSON = {"Content-Type": "application/json"}
UNKNOWN = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, demo_candles: Any) -> Iterator[Guarded]:
    """A service with two users, which sets nobody a rate."""
    made = Settings(
        data_root=demo_candles,
        dagster_home=tmp_path_factory.mktemp("fuzzed"),
        backtest_tokens=f"ann:full:{ANNS},vic:viewer:{VIEWS}",
        backtest_requests_per_second=0,
    )
    env = {
        "BACKTEST_TOKEN": ANNS,
        "BACKTEST_TOKENS": made.backtest_tokens,
        "BACKTEST_REQUESTS_PER_SECOND": "0",
    }
    with served(made, env) as guarded:
        yield guarded


def _post(service: Guarded, body: bytes, headers: dict[str, str] = ANN) -> httpx.Response:
    return httpx.post(f"{service.url}/graphql", content=body, headers={**headers, **JSON}, timeout=30)


def _launch(service: Guarded, **params: Any) -> httpx.Response:
    content = {"query": LAUNCH, "variables": {"params": {"selector": SELECTOR, **params}}}
    return _post(service, json.dumps(content).encode())


def _launched(answer: httpx.Response) -> bool:
    launch = (answer.json().get("data") or {}).get("launchRun") or {}
    return bool(launch.get("__typename") == "LaunchRunSuccess")


TEXTS = st.text(st.characters(), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.sampled_from(
    [
        "{ version }",
        "query A($a: Int) { runsOrError(limit: $a) { __typename } }",
        "{",
        "{ nope }",
        "",
        LAUNCH,
        PLAN,
    ]
) | st.text(st.sampled_from("{}()[]$:!@\"'\\ \n.aQquery"), max_size=30)
BODIES = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "query": DOCUMENTS | VALUES,
        "variables": st.dictionaries(st.sampled_from(["a", "params", "config", "b"]), VALUES, max_size=3)
        | VALUES,
        "operationName": st.none() | TEXTS | VALUES,
        "extensions": VALUES,
    },
)


@KINDLY
@given(body=BODIES.map(json.dumps).map(str.encode) | st.binary(max_size=40))
def test_no_body_makes_the_service_fail(service: Guarded, body: bytes) -> None:
    answer = _post(service, body)
    assert answer.status_code < 500, answer.text
    assert "errors" in answer.json() or answer.json()["data"] is not None


SYSTEM = [
    "dagster/retry_number",
    "dagster/max_retries",
    "dagster/priority",
    "dagster/max_runtime",
    "dagster/root_run_id",
    "dagster/parent_run_id",
    "dagster/will_retry",
    "dagster/auto_retry_run_id",
    "dagster/failure_reason",
    "dagster/is_resume_retry",
    "dagster/retry_strategy",
    "dagster/retry_on_asset_or_op_failure",
    "dagster/solid_selection",
    "dagster/step_selection",
    "dagster/concurrency_key",
    "dagster/backfill",
    "dagster/partition",
    "dagster/run_key",
    ".dagster/grpc_info",
    "backtest/not_before",
    "backtest/told",
    "user",
]
NUMBERS = st.sampled_from(
    ["99999", "-1", "1e308", "nan", "true", "false", "٣", "9" * 400, UNKNOWN, "../x", ""]
)
TAGS = st.dictionaries(st.sampled_from(SYSTEM) | TEXTS, NUMBERS | TEXTS, min_size=1, max_size=3)
LABELS = st.dictionaries(TEXTS, TEXTS | st.sampled_from(["\ud800", "\x00", "x" * 3_000]), max_size=3)


@settings(KINDLY, max_examples=40)
@given(given_tags=TAGS, labels=LABELS)
def test_no_tag_or_label_makes_the_service_fail_or_leaves_a_run_that_was_refused(
    service: Guarded, given_tags: dict[str, str], labels: dict[str, str]
) -> None:
    before = service.runs(ANN)
    tags = [{"key": name, "value": value} for name, value in given_tags.items()]
    answer = _launch(service, runConfigData={**CONFIG, "labels": labels}, executionMetadata={"tags": tags})
    assert answer.status_code < 500, answer.text
    assert service.runs(ANN) == before + _launched(answer)


@pytest.mark.parametrize(
    "params",
    [
        {"executionMetadata": {"tags": [{"key": "dagster/retry_number", "value": "99999"}]}},
        {"executionMetadata": {"rootRunId": UNKNOWN, "parentRunId": UNKNOWN}},
        {"executionMetadata": {"rootRunId": "../../tasks", "parentRunId": "../../tasks"}},
        {"runConfigData": {**CONFIG, "symbols": ["IBM"] * 50_000}},
        {"runConfigData": {**CONFIG, "labels": {"desk": "\ud800"}}},
        {"runConfigData": {**CONFIG, "labels": {"x" * 300: "a"}}},
        {"runConfigData": {"ops": {"load_candles": {"config": {"seed": {"env": "HOME"}}}}}},
        {"runConfigData": "labels: &a {}\nother: *a"},
        {"runConfigData": [1]},
        {"stepKeys": ["nope"], "runConfigData": CONFIG},
    ],
)
def test_a_refused_launch_says_why_at_once_and_leaves_nothing(
    service: Guarded, params: dict[str, Any]
) -> None:
    before, started_s = service.runs(ANN), time.monotonic()
    answer = _launch(service, **params)
    assert time.monotonic() - started_s < 5
    assert answer.status_code == 400
    assert not _launched(answer)
    assert service.runs(ANN) == before


def test_money_beyond_all_bounds_is_refused_with_a_sentence_and_leaves_no_run(service: Guarded) -> None:
    """Sent past the client, which refuses it itself."""
    with pytest.raises(RequestInvalid, match=r"initial_cash: .*less than or equal to"):
        asked(initial_cash=1e308)
    before = service.runs(ANN)
    answer = _launch(service, runConfigData={**CONFIG, "initial_cash": 1e308})
    assert not _launched(answer)
    assert "initial_cash: Input should be less than or equal to" in answer.text
    assert service.runs(ANN) == before


@pytest.mark.parametrize("headers", [ANN, VIC])
def test_no_job_tells_which_variables_the_code_server_has(service: Guarded, headers: dict[str, str]) -> None:
    config = {"ops": {"delete_expired": {"config": {"dry_run": {"env": "HOME"}}}}}
    for sent in (config, json.dumps(config), json.dumps(config).replace("env", "\\u0065nv")):
        answer = service.graphql(PLAN, headers, config=sent)
        assert answer.status_code == 400
        assert "environment variables" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/download_debug/x",
        f"/download_debug/{UNKNOWN}",
        "/logs/..%2f..%2fsecret/out",
        "/logs/x",
        "/logs/",
        "/logs/%00/out",
        "/%00",
        "/tasks/%2e%2e/x",
    ],
)
def test_paths_that_name_nothing_are_not_found(service: Guarded, path: str) -> None:
    answer = httpx.get(service.url + path, headers=ANN)
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("body", ["[]", "1", "{}", '{"metadata": [1]}', '{"passed": "x", "severity": 3}'])
@pytest.mark.parametrize("kind", ["materialization", "check", "observation"])
def test_reports_of_assets_that_are_none_are_refused(service: Guarded, kind: str, body: str) -> None:
    url = f"{service.url}/report_asset_{kind}/a"
    assert httpx.post(url, content=body, headers={**ANN, **JSON}).status_code < 500


@pytest.mark.parametrize(
    "text", ["{", "[]", "1", '{"type": 1}', '{"type": "start", "id": "1"}', '{"type": "start", "id": {}}']
)
def test_a_broken_message_of_a_websocket_is_answered_by_a_close_frame(service: Guarded, text: str) -> None:
    url = service.url.replace("http", "ws") + "/graphql"
    with connect(url, subprotocols=[Subprotocol("graphql-ws")], additional_headers=ANN) as socket:
        socket.send(text)
        with pytest.raises(ConnectionClosedError):
            socket.recv(PATIENCE_S)
        assert socket.close_code == 1008
        assert "send" in (socket.close_reason or "")


def test_websockets_speak_graphql_ws_alone(service: Guarded) -> None:
    url = service.url.replace("http", "ws") + "/graphql"
    with connect(url, subprotocols=[Subprotocol("graphql-ws")], additional_headers=ANN) as socket:
        assert socket.subprotocol == "graphql-ws"
    with (
        pytest.raises(NegotiationError, match="graphql-ws"),
        connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=ANN),
    ):
        pass


@pytest.mark.parametrize(
    "echoed", ["\n" * 200_000 + "Traceback (x", " " * 400_000 + 'File "', "[SQL" * 100_000]
)
def test_the_service_answers_others_while_it_works_on_a_large_body(service: Guarded, echoed: str) -> None:
    """A variable that an error message repeats: it once took minutes to clean, and nobody was answered."""
    query = "query Q($x: Int!) { runsOrError(limit: $x) { __typename } }"
    body = json.dumps({"query": query, "variables": {"x": echoed}}).encode()
    answers: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: answers.append(_post(service, body, VIC)))
    sender.start()
    slowest_s, started_s = 0.0, time.monotonic()
    while sender.is_alive():
        asked_s = time.monotonic()
        assert httpx.get(f"{service.url}/healthz", timeout=30).status_code in {200, 503}
        slowest_s = max(slowest_s, time.monotonic() - asked_s)
    assert [answer.status_code for answer in answers] == [400]
    assert time.monotonic() - started_s < 10
    assert slowest_s < 5


def test_a_thousand_aliases_are_refused_and_as_many_as_a_client_needs_are_not(service: Guarded) -> None:
    def document(times: int) -> str:
        return "{" + " ".join(f"a{number}: runsOrError {{ __typename }}" for number in range(times)) + "}"

    refused = service.graphql(document(1_000), VIC)
    assert refused.status_code == 400
    assert "asks 1,000 times for runsOrError" in refused.text
    assert service.graphql(document(200), VIC).status_code == 200


def test_only_json_objects_are_executed_whatever_the_header_says(service: Guarded) -> None:
    change = "mutation { reloadWorkspace { __typename } }"
    for kind in ("APPLICATION/JSON; application/graphql", "application/json; application/graphql"):
        answer = httpx.post(f"{service.url}/graphql", content=change, headers={**ANN, "Content-Type": kind})
        assert answer.status_code == 415
    assert _post(service, change.encode()).status_code == 400
    for kind in ("APPLICATION/JSON", "application/json; charset=utf-8"):
        body = json.dumps({"query": "{ version }"})
        answer = httpx.post(f"{service.url}/graphql", content=body, headers={**ANN, "Content-Type": kind})
        assert answer.json()["data"]["version"]


@pytest.mark.filterwarnings("ignore:Using variable_values and operation_name:DeprecationWarning")  # Dagster's
def test_dagsters_own_client_shows_why_it_was_refused(service: Guarded) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    viewer = DagsterGraphQLClient(host, int(port), headers=VIC)
    launch: dict[str, Any] = {
        "repository_location_name": "backtest_pipeline",
        "repository_name": "__repository__",
    }
    with pytest.raises(DagsterGraphQLClientError, match="viewers only read"):
        viewer.submit_job_execution("backtest", run_config=CONFIG, **launch)
    with pytest.raises(DagsterGraphQLClientError, match="viewers only read"):
        viewer.terminate_run(UNKNOWN)
    with pytest.raises(DagsterGraphQLClientError, match="viewers only read"):
        viewer.terminate_runs([UNKNOWN])
    assert "viewers only read" in str(viewer.reload_repository_location("backtest_pipeline").message)
    full = DagsterGraphQLClient(host, int(port), headers=ANN)
    many = {**CONFIG, "symbols": ["IBM"] * 501}
    with pytest.raises(DagsterGraphQLClientError, match="at most 500"):
        full.submit_job_execution("backtest", run_config=many, **launch)
    assert full.submit_job_execution("backtest", run_config=CONFIG, **launch)
    stranger = DagsterGraphQLClient(host, int(port))
    with pytest.raises(DagsterGraphQLClientError) as refused:
        stranger.submit_job_execution("backtest", run_config=CONFIG, **launch)
    assert "BACKTEST_TOKEN" in str(refused.value.__cause__)


def test_a_viewer_hears_that_the_role_only_reads(service: Guarded) -> None:
    with (
        service.client(VIEWS) as vic,
        pytest.raises(ServerRefused, match="403; viewers only read") as refused,
    ):
        vic.submit(asked())
    assert "BACKTEST_TOKEN" not in str(refused.value)
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(service.settings.dagster_home),
        "BACKTEST_URL": service.url,
        "BACKTEST_TOKEN": VIEWS,
        "DATA_ROOT": str(service.settings.data_root),
    }
    done = run_backtest_command(["submit", "buy_and_hold", "--symbols", "IBM", "--fresh"], env)
    assert done.returncode != 0
    assert "viewers only read" in done.stderr


def test_our_client_goes_on_when_it_has_sent_too_much(tmp_path: Any, demo_candles: Any) -> None:
    tokens = f"ann:full:{ANNS}"
    made = Settings(
        data_root=demo_candles,
        dagster_home=tmp_path / "home",
        backtest_tokens=tokens,
        backtest_requests_per_second=2,
    )
    env = {"BACKTEST_TOKEN": ANNS, "BACKTEST_TOKENS": tokens, "BACKTEST_REQUESTS_PER_SECOND": "2"}
    with served(made, env) as limited:
        answers: list[httpx.Response] = []

        def is_refused() -> bool:
            answers.append(httpx.get(f"{limited.url}/server_info", headers=ANN))
            return answers[-1].status_code == 429

        until(is_refused, "the limit")
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert httpx.get(f"{limited.url}/healthz").status_code in {200, 503}
        with BacktestClient(limited.url, token=ANNS, data_root=demo_candles) as client:
            tasks = client.submit_many([asked() for _ in range(3)])
            assert {task.state for task in client.wait_many([task.task_id for task in tasks])} == {
                "completed"
            }
