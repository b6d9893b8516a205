"""The guard of a running service, tried as an attacker would, and used as its users do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from backtest_pipeline.local_service.home import logs_of, socket_of
from backtest_pipeline.local_service.process import Process
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.model.errors import ServerRefused
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.web.access.identity import BindRefused
from backtest_pipeline_tests.acceptance.guarded import (
    ALERT,
    ANN,
    ANNS,
    LAUNCH,
    RUNS,
    SECRET,
    TASK,
    VIC,
    VIEWS,
    WRONG,
    Guarded,
    asked,
    served,
    status,
)
from backtest_pipeline_tests.acceptance.live import free_port, run_backtest_command
from backtest_pipeline_tests.polling import PATIENCE_S, until


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, demo_candles: Path) -> Iterator[Guarded]:
    """A service that asks everybody who they are, and logs as JSON."""
    settings = Settings(
        data_root=demo_candles,
        dagster_home=tmp_path_factory.mktemp("guarded"),
        backtest_tokens=f"ann:full:{ANNS},vic:viewer:{VIEWS}",
        backtest_proxy_secret=SECRET,
        backtest_hosts="backtest.example",
        backtest_log_format="json",
    )
    env = {
        "ALERT_URLS": ALERT,
        "BACKTEST_TOKEN": ANNS,
        "BACKTEST_TOKENS": settings.backtest_tokens,
        "BACKTEST_PROXY_SECRET": SECRET,
        "BACKTEST_STRATEGIES": "backtest_pipeline_tests.acceptance.telltale_strategies",
    }
    with served(settings, env) as service:
        yield service


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, demo_candles: Path) -> Iterator[Guarded]:
    """A service on a person's own machine, which asks nobody."""
    settings = Settings(data_root=demo_candles, dagster_home=tmp_path_factory.mktemp("local"))
    with served(settings, {}) as service:
        yield service


def test_mutations_arrive_by_json_and_by_nothing_else(local: Guarded) -> None:
    url, before = f"{local.url}/graphql", local.runs({})
    kinds = ("text/plain", "text/plain; application/json", "application/graphql")
    refused = [
        httpx.get(url, params={"query": LAUNCH}),
        httpx.get(url, headers={"Accept": "text/html"}),
        httpx.post(url, params={"query": LAUNCH}),
        httpx.post(url, data={"query": LAUNCH}),
        httpx.post(url, files={"query": LAUNCH.encode()}),
        httpx.post(url, params={"query": LAUNCH}, json={"query": LAUNCH}),
        *(httpx.post(url, content=json.dumps({"query": LAUNCH}), headers={"content-type": k}) for k in kinds),
    ]
    assert [answer.status_code for answer in refused] == [405, 405, 400, 415, 415, 400, 415, 415, 415]
    for answer in refused:
        assert len(answer.json()["errors"][0]["message"].splitlines()) == 1
    assert local.graphql(LAUNCH, {}).status_code == 400  # through the guard; Dagster wants its arguments
    assert local.runs({}) == before


def test_a_foreign_host_or_origin_is_refused(local: Guarded) -> None:
    for headers, expected in (
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": local.url, "Sec-Fetch-Site": "same-origin"}, 200),
    ):
        assert local.graphql(RUNS, headers).status_code == expected, headers
    assert httpx.get(local.url, headers={"Host": "evil.example"}).status_code == 421


def test_a_body_that_never_ends_is_cut_off(local: Guarded) -> None:
    sent = []

    def endless() -> Iterator[bytes]:  # chunked: nothing announces its size
        yield b'{"query": "'
        for _ in range(1_000):
            sent.append(1)
            yield b"x" * 100_000

    try:
        answer = httpx.post(
            f"{local.url}/graphql", content=endless(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
    except (httpx.WriteError, httpx.ReadError):
        pass  # the server has hung up while we were still sending
    assert len(sent) < 1_000
    assert local.runs({}) >= 0


def test_websockets_open_for_the_servers_own_pages_only(local: Guarded) -> None:
    url = local.url.replace("http", "ws") + "/graphql"
    protocol = [Subprotocol("graphql-ws")]
    for origin in ("http://evil.example", "http://localhost:1", "null"):
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(url, origin=Origin(origin), subprotocols=protocol),
        ):
            pass
        assert refused.value.response.status_code == 403
    with connect(url, origin=Origin(local.url), subprotocols=protocol) as socket:
        socket.send('{"type": "connection_init"}')
        assert json.loads(socket.recv(PATIENCE_S)) == {"type": "connection_ack"}


def test_live_logs_arrive_over_the_websocket(guarded: Guarded) -> None:
    with guarded.client(ANNS) as client:
        task_id = client.wait(client.submit(asked()).task_id).task_id
    query = (
        f'subscription {{ pipelineRunLogs(runId: "{task_id}") {{ ... on '
        "PipelineRunLogsSubscriptionSuccess { messages { __typename } } } }"
    )
    url = guarded.url.replace("http", "ws") + "/graphql"
    protocol = [Subprotocol("graphql-ws")]
    with pytest.raises(InvalidStatus), connect(url, subprotocols=protocol):
        pass
    for headers in (ANN, VIC, {"X-Backtest-Proxy-Secret": SECRET, "X-Backtest-User": "pia"}):
        with connect(url, subprotocols=protocol, additional_headers=headers) as socket:
            socket.send('{"type": "connection_init"}')
            socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": query}}))
            assert json.loads(socket.recv(PATIENCE_S))["type"] == "connection_ack"
            told = json.loads(socket.recv(PATIENCE_S))["payload"]["data"]["pipelineRunLogs"]["messages"]
            assert "RunSuccessEvent" in {message["__typename"] for message in told}


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {WRONG}"}, {"X-Backtest-User": "ann"}])
def test_strangers_hear_whether_all_is_well_and_nothing_else(
    guarded: Guarded, headers: dict[str, str]
) -> None:
    for path in ("/", "/runs", "/server_info", "/metrics", "/logs/x", f"/tasks/{TASK}/report.html"):
        assert httpx.get(guarded.url + path, headers=headers).status_code == 401
    assert guarded.graphql(RUNS, headers).status_code == 401
    health = httpx.get(f"{guarded.url}/healthz", headers=headers)
    assert (health.status_code, health.json()) == (200, {"ok": True})


def test_a_viewer_can_use_no_mutation_of_the_schema(guarded: Guarded) -> None:
    before = guarded.runs(VIC)
    schema = guarded.graphql("{ __schema { mutationType { fields { name } } } }", VIC).json()
    names = [field["name"] for field in schema["data"]["__schema"]["mutationType"]["fields"]]
    assert {"launchRun", "deleteRun", "terminateRun", "reloadWorkspace", "wipeAssets"} <= set(names)
    url = f"{guarded.url}/graphql"
    with httpx.Client(headers=VIC, timeout=30) as http:
        for name in names:
            change = f"mutation M {{ {name} {{ __typename }} }}"
            for content in (
                {"query": change},
                {"query": f"query Q {{ version }} {change}", "operationName": "Q"},
                [{"query": "{ version }"}, {"query": change}],
            ):
                answer = http.post(url, json=content)
                assert answer.status_code == 403, content
                assert "viewers only read" in answer.text
        for kind in ("materialization", "check", "observation"):
            assert http.post(f"{guarded.url}/report_asset_{kind}/a", json={}).status_code == 403
    assert guarded.runs(VIC) == before


def test_a_viewer_changes_nothing_over_the_websocket_either(guarded: Guarded) -> None:
    url = guarded.url.replace("http", "ws") + "/graphql"
    before = guarded.runs(VIC)
    with connect(url, subprotocols=[Subprotocol("graphql-ws")], additional_headers=VIC) as socket:
        socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": LAUNCH}}))
        with pytest.raises(ConnectionClosedError):  # before a word of data
            socket.recv(PATIENCE_S)
        assert socket.close_code == 1008
    assert guarded.runs(VIC) == before


def test_clients_work_with_a_token_and_a_viewers_cannot_submit(guarded: Guarded) -> None:
    with guarded.client(ANNS) as ann, guarded.client(VIEWS) as vic, guarded.client(WRONG) as wrong:
        task_id = ann.submit(asked()).task_id
        assert vic.wait(task_id, timeout_s=PATIENCE_S).state == "completed"
        assert task_id in {task.task_id for task in vic.list_tasks()}
        with pytest.raises(ServerRefused, match="403"):
            vic.submit(asked())
        with pytest.raises(ServerRefused, match="401; set BACKTEST_TOKEN"):
            wrong.list_tasks()


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({**ANN, "X-Backtest-User": "boss"}, "ann"),
        ({"X-Backtest-Proxy-Secret": SECRET, "X-Backtest-User": "pia@lab.example"}, "pia@lab.example"),
    ],
)
def test_a_run_is_tagged_with_who_asked_for_it_whatever_the_client_writes(
    guarded: Guarded, headers: dict[str, str], user: str
) -> None:
    launch = """
      mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
        __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
    """
    params = {
        "selector": {
            "repositoryLocationName": "backtest_pipeline",
            "repositoryName": "__repository__",
            "jobName": "backtest",
        },
        "runConfigData": {"strategy": {"buy_and_hold": {}}, "symbols": ["IBM"]},
        "executionMetadata": {"tags": [{"key": "user", "value": "boss"}]},
    }
    run_id = guarded.graphql(launch, headers, params=params).json()["data"]["launchRun"]["run"]["runId"]
    asked = guarded.graphql(
        f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ tags {{ key value }} }} }} }}', VIC
    )
    told = {tag["key"]: tag["value"] for tag in asked.json()["data"]["runOrError"]["tags"]}
    assert told["user"] == user


def test_no_worker_and_no_log_knows_a_secret(guarded: Guarded, tmp_path: Path) -> None:
    guarded.graphql(RUNS, {"Authorization": f"Bearer {WRONG}"})
    httpx.get(f"{guarded.url}/nowhere", headers={"X-Backtest-Proxy-Secret": WRONG})
    told = tmp_path / "told.json"
    with guarded.client(ANNS) as client:
        task_id = client.submit(asked(strategy="telltale", params={"file": str(told)})).task_id
        assert client.wait(task_id, timeout_s=PATIENCE_S).state == "completed"
    known = json.loads(told.read_text())
    assert known["environment"]["DATA_ROOT"] == str(guarded.settings.data_root)
    for secret in (ANNS, VIEWS, SECRET, ALERT):
        assert secret not in json.dumps(known)
    own_token = guarded.service._token
    kept = [path for path in guarded.settings.dagster_home.rglob("*") if path.is_file()]
    assert logs_of(guarded.settings.dagster_home) / "web.log" in kept
    for path in kept:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # SQLite's own, for a moment
            continue
        for secret in (ANNS, VIEWS, SECRET, WRONG, own_token, "alert-secret"):
            assert secret.encode() not in content, path
    for name, process in guarded.service.processes.items():
        environment = Path(f"/proc/{process.pid}/environ").read_text()
        for secret in (ANNS, VIEWS, SECRET, own_token) if name != "web" else ():
            assert secret not in environment, name
        assert (ALERT in environment) == (name == "code")


def test_logs_are_json_and_the_workers_lines_name_the_run(guarded: Guarded) -> None:
    with guarded.client(ANNS) as client:
        task_id = client.wait(client.submit(asked()).task_id).task_id
    logs = logs_of(guarded.settings.dagster_home)
    for name in ("web", "daemon", "code"):
        lines = [line for line in (logs / f"{name}.log").read_text().splitlines() if line.startswith("{")]
        assert {"event", "level", "logger", "timestamp"} <= set(json.loads(lines[-1]))
    assert f"backtest - {task_id} - run_engine - " in (logs / "code.log").read_text()


def test_an_error_leaves_without_its_stack_and_its_id_is_in_the_log(guarded: Guarded) -> None:
    with guarded.client(ANNS) as client:
        task_id = client.submit(asked()).task_id
    # Both make Dagster's own code raise: a cursor that is none, and a moment that no calendar has.
    renamed = (
        f'logsForRun(runId: "{task_id}", afterCursor: "no cursor") {{ ... on PythonError {{ a: stack }} }}'
    )
    untyped = "runsOrError(filter: {createdAfter: 1e300}) { __typename }"
    for query in (renamed, untyped):
        answer = guarded.graphql(f"{{ {query} }}", VIC)
        assert answer.status_code == 500
        assert "site-packages" not in answer.text
        error_id = answer.json()["extensions"]["error_id"]
        log = (logs_of(guarded.settings.dagster_home) / "web.log").read_text()
        [told] = [line for line in log.splitlines() if f"error {error_id}" in line]
        assert "site-packages" in told


def test_reports_are_served_to_those_who_may_see_them_and_nothing_beside_them(guarded: Guarded) -> None:
    folder = Layout(guarded.settings.data_root).task(TASK)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text("<p>report</p>")
    (guarded.settings.data_root / "secret").write_text("secret")
    with httpx.Client(base_url=guarded.url, headers=VIC) as http:
        assert http.get(f"/tasks/{TASK}/report.html").text == "<p>report</p>"
        for path in (
            f"/tasks/{TASK}/",
            f"/tasks/{TASK}/manifest.json",
            "/tasks/%2e%2e%2fsecret",
            "/tasks/%252e%252e%252fsecret",
            f"/tasks/{TASK}/%2e%2e/%2e%2e/secret",
            "/logs/%2e%2e/%2e%2e/secret/out",
        ):
            answer = http.get(path)
            assert answer.status_code in {404, 500}, path
            assert "secret" not in answer.text


def test_the_read_only_server_stands_beside_on_a_path_of_its_own(guarded: Guarded, tmp_path: Path) -> None:
    home, port = guarded.settings.dagster_home, free_port()
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(
        f"load_from: [{{grpc_server: {{socket: {socket_of(home)}, location_name: backtest_pipeline}}}}]"
    )
    process = _web_server(
        guarded, port, tmp_path, "--read-only", "--path-prefix", "/view", "-w", str(workspace)
    )
    url = f"http://127.0.0.1:{port}"
    try:
        process.start()
        until(lambda: status(f"{url}/healthz") == 200, "the read-only server")
        change = {"query": "mutation { reloadWorkspace { __typename } }"}
        assert httpx.post(f"{url}/view/graphql", json=change, headers=ANN).status_code == 403
        assert httpx.post(f"{url}/view/graphql", json={"query": RUNS}, headers=ANN).status_code == 200
        assert httpx.get(f"{url}/view/graphql", headers=ANN).status_code == 405
        assert status(f"{url}/view/healthz") == 200
        assert status(f"{url}/view/metrics") == 401
        assert httpx.get(f"{url}/view/runs", headers=ANN).status_code == 200
    finally:
        process.stop(10)


def _web_server(guarded: Guarded, port: int, folder: Path, *further: str) -> Process:
    command = [
        sys.executable,
        "-m",
        "backtest_pipeline.orchestration.processes.web_server",
        "--port",
        str(port),
        *further,
    ]
    env = {
        **os.environ,
        "DAGSTER_HOME": str(guarded.settings.dagster_home),
        "DATA_ROOT": str(guarded.settings.data_root),
        "BACKTEST_TOKENS": guarded.settings.backtest_tokens,
    }
    return Process("view", command, env=env, log=folder / "view.log")


def test_a_server_without_a_login_does_not_listen_for_others(guarded: Guarded, tmp_path: Path) -> None:
    everywhere = "0.0.0.0"  # noqa: S104  refused
    settings = Settings(data_root=tmp_path, dagster_home=tmp_path / "home")
    with pytest.raises(BindRefused, match="BACKTEST_TOKENS"):
        LocalService(settings, host=everywhere)
    env = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home"), "DATA_ROOT": str(tmp_path)}
    done = run_backtest_command(["up", "--host", everywhere], env)
    assert (done.returncode, "set BACKTEST_TOKENS" in done.stderr) == (1, True)
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(
        f"load_from: [{{grpc_server: {{socket: {socket_of(guarded.settings.dagster_home)}}}}}]"
    )
    process = _web_server(guarded, free_port(), tmp_path, "--host", everywhere, "-w", str(workspace))
    process._env.pop("BACKTEST_TOKENS")
    process.start()
    until(lambda: process.exit_status is not None, "the server to refuse")
    assert process.exit_status == 1
    assert "set BACKTEST_TOKENS" in process.log.read_text()


def test_health_tells_those_who_may_know_and_doctor_asks_it(guarded: Guarded) -> None:
    told = httpx.get(f"{guarded.url}/healthz", headers=VIC).json()
    assert told["ok"]
    assert {check["name"] for check in told["checks"]} == {"database", "daemon", "code server", "disk"}
    env = {
        **os.environ,
        "BACKTEST_URL": guarded.url,
        "BACKTEST_TOKEN": VIEWS,
        "DATA_ROOT": str(guarded.settings.data_root),
        "DAGSTER_HOME": str(guarded.settings.dagster_home),
    }
    done = run_backtest_command(["doctor", "--json"], env)
    found = {finding["what"]: finding["ok"] for finding in json.loads(done.stdout)}
    assert found["code server"]
    assert found["daemon"]


def test_metrics_count_what_was_run(guarded: Guarded) -> None:
    with guarded.client(ANNS) as client:
        client.wait(client.submit(asked()).task_id)
        tasks = client.list_tasks(limit=500)
    completed = sum(task.state == "completed" for task in tasks)
    wanted = f'backtest_tasks{{state="completed"}} {completed:.1f}'
    counted = 'backtest_task_latency_seconds_count{state="completed"}'
    until(lambda: wanted in httpx.get(f"{guarded.url}/metrics", headers=VIC).text, wanted)
    page = httpx.get(f"{guarded.url}/metrics", headers=VIC).text
    [line] = [line for line in page.splitlines() if line.startswith(counted)]
    assert float(line.split()[1]) == completed


def test_a_code_server_that_is_gone_is_told(tmp_path: Path, demo_candles: Path) -> None:
    settings = Settings(data_root=demo_candles, dagster_home=tmp_path / "home")
    with served(settings, {}) as service:
        assert httpx.get(f"{service.url}/healthz").json()["ok"]
        service.service.processes["code"].kill()

        def told() -> bool:
            answer = httpx.get(f"{service.url}/healthz", timeout=30)
            checks = {check["name"]: check["ok"] for check in answer.json()["checks"]}
            return answer.status_code == 503 and not checks["code server"]

        until(told, "the health to tell")
