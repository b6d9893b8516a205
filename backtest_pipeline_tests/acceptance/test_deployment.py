"""docker-compose.yml in containers, as people meet it: proxy, logins, the acceptance suite, backup."""

from __future__ import annotations

import re
import shutil
import ssl
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests import polling
from backtest_pipeline_tests.deploy.cluster import submitted
from backtest_pipeline_tests.deploy.project import PASSWORDS, Project
from backtest_pipeline_tests.deploy.settled import wait_for_report

pytestmark = pytest.mark.deployment  # minutes of a processor: not with every change

PATIENCE_S = 90
until = partial(polling.until, patience_s=PATIENCE_S)
TRUTH = {"query": "{ version }"}
ALICE, VICTOR = (httpx.BasicAuth(name, password) for name, password in PASSWORDS.items())
FEWEST = 45
RUNS = "{ runsOrError { ... on Runs { results { runId tags { key value } } } } }"


@pytest.fixture(scope="module")
def browser(project: Project) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=project.url, timeout=30) as browser:
        yield browser


def _slow(seconds: float) -> BacktestRequest:
    return BacktestRequest(strategy="slow", params={"seconds": seconds}, symbols=["IBM"])


def test_strangers_learn_whether_all_is_well_and_nothing_else(
    project: Project, browser: httpx.Client
) -> None:
    health = browser.get("/healthz")
    assert (health.status_code, health.json()) == (200, {"ok": True})
    secret = (project.secrets / "proxy_secret").read_text()
    # What the proxy tells the web server is worth nothing when a client says it, be it the secret itself.
    forged = {"X-Backtest-User": "alice", "X-Backtest-Proxy-Secret": secret}
    for path in ("/", "/graphql", "/metrics", "/view", "/view/graphql", "/tasks/"):
        for headers in ({}, forged, {"Authorization": "Bearer nobody's"}):
            assert browser.get(path, headers=headers).status_code == 401, (path, headers)
    assert browser.post("/graphql", json=TRUTH, headers=forged).status_code == 401
    plain = httpx.get(f"{project.http_url}/graphql")
    assert plain.status_code in {301, 308}
    assert plain.headers["location"].startswith("https://localhost")


def test_people_log_in_with_a_password_and_runs_bear_their_name(browser: httpx.Client) -> None:
    assert browser.get("/", auth=ALICE).status_code == 200
    assert browser.get("/", auth=("alice", PASSWORDS["victor"])).status_code == 401
    config = {"strategy": {"buy_and_hold": {}}, "symbols": ["IBM"]}
    forged = {"X-Backtest-User": "somebody-else"}
    answer = browser.post("/graphql", json=_launch(config), auth=ALICE, headers=forged).json()
    run_id = answer["data"]["launchRun"]["run"]["runId"]
    runs = browser.post("/graphql", json={"query": RUNS}, auth=ALICE).json()["data"]["runsOrError"]["results"]
    tags = {run["runId"]: {tag["key"]: tag["value"] for tag in run["tags"]} for run in runs}
    assert tags[run_id]["user"] == "alice"


def test_viewers_look_below_their_path_and_change_nothing(project: Project, browser: httpx.Client) -> None:
    assert browser.get("/", auth=VICTOR).status_code == 401
    token = {"Authorization": f"Bearer {project.token}"}
    ways: list[dict[str, Any]] = [{"auth": VICTOR}, {"auth": ALICE}, {"headers": token}]
    for way in ways:  # a token or a login of the role full changes nothing there either
        page = browser.get("/view/runs", **way)
        assert (page.status_code, "/view" in page.text) == (200, True)
        assert browser.post("/view/graphql", json=TRUTH, **way).json()["data"]["version"]
        assert browser.post("/view/graphql", json=_launch({}), **way).status_code == 403


def test_the_proxy_compresses_asks_for_tls_and_passes_websockets(
    project: Project, browser: httpx.Client
) -> None:
    page = browser.get("/", auth=ALICE, headers={"Accept-Encoding": "gzip"})
    assert page.headers["content-encoding"] == "gzip"
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in page.headers or "uvicorn" not in page.headers["server"]
    context = ssl.create_default_context(cafile=str(project.authority))
    bearer = {"Authorization": f"Bearer {project.token}"}
    address = f"{project.url.replace('https', 'wss')}/graphql"
    with connect(
        address, ssl=context, subprotocols=[Subprotocol("graphql-ws")], additional_headers=bearer
    ) as socket:
        socket.send('{"type": "connection_init", "payload": {}}')
        assert socket.recv(timeout=30) == '{"type":"connection_ack"}'


def test_what_runs_strategies_has_no_secret_in_its_environment(project: Project) -> None:
    names = ("postgres_password", "proxy_secret")
    secrets = [project.token, *((project.secrets / name).read_text() for name in names)]
    processes = project.engine.processes(project.container("code"))
    environments = [Path(f"/proc/{pid}/environ").read_bytes().decode() for pid in processes]
    # The right processes: all but the first, which is the container's init, find the database.
    assert sum("PGPASSFILE=" in environment for environment in environments) >= 2
    for secret in secrets:
        assert not any(secret in environment for environment in environments)


def test_the_acceptance_suite_is_green_through_the_proxy(project: Project) -> None:
    """Over TLS, with a token or in a browser that has logged in, on PostgreSQL."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    login = {"ACCEPTANCE_URL": project.url, "ACCEPTANCE_LOGIN": f"alice:{PASSWORDS['alice']}"}
    done = project.as_operator(command, **login, **project.database_env)
    assert done.returncode == 0, done.stdout + done.stderr + project.logs()
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= FEWEST, done.stdout


def test_a_restart_of_the_code_server_lets_running_tasks_end_and_others_wait(
    project: Project,
) -> None:
    """By compose's own signal, SIGTERM: all tasks complete, and none has spent an attempt."""
    with project.client() as client:
        tasks = [submitted(client, _slow(0.8)) for _ in range(3)]
        until(lambda: _running(client, tasks) == 2, "two to run, the third to wait")
        project.order("restart", "code")
        ended = client.wait_many(tasks, timeout_s=PATIENCE_S)
        assert [(task.state, task.attempt) for task in ended] == [("completed", 1)] * 3


def test_a_backup_taken_while_tasks_run_brings_everything_back(project: Project) -> None:
    with project.client() as client:
        # Its own, at a time when nobody waits: an earlier one may have left its report out.
        asked = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])
        done = client.wait(submitted(client, asked))
        wait_for_report(project.data_root, done.task_id)
        running = submitted(client, _slow(0.8))
        until(lambda: _running(client, [running]) == 1, "a task to run")
        made = project.script("backup.py", "-")
        assert made.returncode == 0, made.stderr
        assert client.wait(running, timeout_s=PATIENCE_S).state == "completed"
        wait_for_report(project.data_root, running)
        known = {task.task_id: _gist(task) for task in client.list_tasks(limit=500)}
    before = _contents(project.data_root)
    late = {name for name in before if running in name}  # came into being after the backup
    assert late

    refused = project.script("restore.py", "--force", "-", given=made.stdout)
    assert (refused.returncode, b"the daemon was alive" in refused.stderr) == (1, True)
    project.order("stop", "proxy", "viewer", "web", "daemon", "code")
    _wipe(project)
    restored = project.script("restore.py", "-", given=made.stdout)
    assert restored.returncode == 0, restored.stderr
    assert _contents(project.data_root) == {name: text for name, text in before.items() if name not in late}

    project.start()
    with project.client() as client:
        again = client.wait(running, timeout_s=PATIENCE_S)  # was at work at the moment of the backup
        assert (again.state, again.attempt) == ("completed", 2)
        now = {task.task_id: _gist(task) for task in client.list_tasks(limit=500)}
        assert not client.result(done.task_id).trades.empty
    assert {**now, running: None} == {**known, running: None}
    layout = Layout(project.data_root)
    kept = set(TaskStore(project.data_root).task_ids())  # others' results were cleaned up by the tests before
    completed = [task_id for task_id, (state, *_) in now.items() if state == "completed" and task_id in kept]
    assert {done.task_id, running} <= set(completed)
    assert [verify_task(layout, task_id).problems for task_id in completed] == [[]] * len(completed)


def _gist(task: TaskStatus) -> tuple[object, ...]:
    return (task.state, task.attempt, task.error, task.submitted_at, task.finished_at, task.labels)


def _launch(config: dict[str, Any]) -> dict[str, Any]:
    selector = {
        "jobName": "backtest",
        "repositoryName": "__repository__",
        "repositoryLocationName": "backtest_pipeline",
    }
    query = """mutation($params: ExecutionParams!) {
      launchRun(executionParams: $params) { ... on LaunchRunSuccess { run { runId } } }
    }"""
    return {"query": query, "variables": {"params": {"selector": selector, "runConfigData": config}}}


def _running(client: BacktestClient, task_ids: list[str]) -> int:
    return sum(task.state == "running" for task in client.statuses(task_ids))


def _contents(data_root: Path) -> dict[str, bytes]:
    """Every visible file's content."""
    paths = (path for path in data_root.rglob("*") if path.is_file())
    relative = ((path.relative_to(data_root), path) for path in paths)
    return {
        str(name): path.read_bytes()
        for name, path in relative
        if not any(part.startswith(".") for part in name.parts)
    }


def _wipe(project: Project) -> None:
    """As after the loss of the machine: an empty database, no candles, no results."""
    nothing = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    project.order("exec", "-T", "postgres", "psql", "--username=backtest", f"--command={nothing}")
    for path in project.data_root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
