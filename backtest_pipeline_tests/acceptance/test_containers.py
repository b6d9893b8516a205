"""What only containers show of docker-compose.yml: guards, networks, crashes, restarts, an upgrade."""

from __future__ import annotations

import re
import shutil
import socket
from functools import partial
from pathlib import Path

import httpx
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline_tests import polling
from backtest_pipeline_tests.deploy import images
from backtest_pipeline_tests.deploy.cluster import a_sweep, submitted
from backtest_pipeline_tests.deploy.guards import NET_BIND_SERVICE, has_way_out, require_guarded
from backtest_pipeline_tests.deploy.project import Project
from backtest_pipeline_tests.deploy.settled import wait_for_report

pytestmark = pytest.mark.deployment  # minutes of a processor: not with every change

PATIENCE_S = 180
until = partial(polling.until, patience_s=PATIENCE_S)
GIB = 2**30
TMP = "/tmp"  # noqa: S108  a container's own
# What each service may write to, and how much memory it may take.
MAY_WRITE = {
    "postgres": {TMP, "/run/postgresql", "/var/lib/postgresql/data"},
    "code": {TMP, "/dagster_home", "/data"},
    "daemon": {TMP, "/dagster_home"},
    "web": {TMP, "/dagster_home"},
    "viewer": {TMP, "/dagster_home"},
    "proxy": {TMP, "/state"},
}
MEMORY = {"postgres": GIB, "code": 4 * GIB, "daemon": GIB, "web": GIB, "viewer": GIB, "proxy": GIB // 4}


@pytest.mark.parametrize("service", MAY_WRITE)
def test_a_service_writes_where_it_has_to_and_has_no_rights_beyond(project: Project, service: str) -> None:
    require_guarded(
        project,
        service,
        may_write=MAY_WRITE[service],
        memory=MEMORY[service],
        capabilities=NET_BIND_SERVICE if service == "proxy" else 0,
    )


def test_the_database_is_reached_by_those_who_need_it_and_reaches_nobody(project: Project) -> None:
    asked = "import socket; print(socket.gethostbyname('postgres'))"
    for service in ("code", "daemon", "web", "viewer"):
        assert re.fullmatch(r"[\d.]+\s*", project.said(service, "python", "-c", asked))
    assert project.compose("exec", "-T", "proxy", "getent", "hosts", "postgres").returncode == 2
    assert project.said("proxy", "getent", "hosts", "web")
    assert not has_way_out(project, "postgres")
    assert has_way_out(project, "code")  # alerts go out
    ports = {service: project.inspect(service)["HostConfig"]["PortBindings"] or {} for service in MAY_WRITE}
    assert [service for service, bound in ports.items() if any(bound.values())] == ["proxy"]
    with socket.create_connection(("127.0.0.1", int(project.variables["BACKTEST_HTTPS_PORT"])), timeout=5):
        pass


def test_no_kernel_is_compiled_and_no_font_looked_for_after_the_build(project: Project) -> None:
    """Numba and Matplotlib write what they had to find out themselves; so nothing new is in their folders."""
    with project.client() as client:
        for strategy in ("sma_cross", "volume_zone_breakout"):
            task = client.submit(BacktestRequest(strategy=strategy, symbols=["IBM"], seed=1), reuse=False)
            assert client.wait(task.task_id, timeout_s=PATIENCE_S).state == "completed"
            wait_for_report(project.data_root, task.task_id)
        sweep = submitted(client, a_sweep(2_000))
        assert client.wait(sweep, timeout_s=PATIENCE_S).state == "completed"
    built, used = (
        set(project.said("code", "sh", "-c", f"cd {folder} && find . -type f").split())
        for folder in ("/opt/cache", f"{TMP}/cache")
    )
    assert used == built
    assert sum(name.endswith(".nbc") for name in built) >= 10
    assert any("fontlist" in name for name in built)


def test_a_killed_code_container_comes_back_and_its_task_is_tried_again(project: Project) -> None:
    with project.client() as client:
        request = BacktestRequest(strategy="slow", params={"seconds": 8}, symbols=["IBM"])
        task = submitted(client, request)
        until(lambda: client.status(task).state == "running", "the task to run")
        before = project.inspect("code")["State"]["Pid"]
        project.kill("code")
        until(lambda: project.inspect("code")["State"]["Pid"] not in {0, before}, "the container to restart")
        ended = client.wait(task, timeout_s=PATIENCE_S)
    assert (ended.state, ended.attempt) == ("completed", 2)


@pytest.mark.parametrize("service", ["daemon", "web", "proxy", "postgres"])
def test_any_other_killed_container_comes_back_and_work_goes_on(project: Project, service: str) -> None:
    with project.client() as client:
        slow = BacktestRequest(strategy="slow", params={"seconds": 3}, symbols=["IBM"])
        task = submitted(client, slow)
        project.kill(service)
        assert client.wait(task, timeout_s=PATIENCE_S).state == "completed"
    project.wait_until_well()


def test_a_restart_of_the_database_loses_nothing(project: Project) -> None:
    with project.client() as client:
        slow = BacktestRequest(strategy="slow", params={"seconds": 3}, symbols=["IBM"])
        tasks = [submitted(client, slow) for _ in range(4)]
        project.order("restart", "postgres")
        ended = client.wait_many(tasks, timeout_s=PATIENCE_S)
    assert [task.state for task in ended] == ["completed"] * 4
    until(lambda: httpx.get(f"{project.url}/healthz").status_code == 200, "the service to be well")


def test_the_steps_of_the_page_add_a_person_and_candles(project: Project) -> None:
    project.order("stop", "proxy")
    hashed = project.compose(
        "run", "--rm", "-T", "--no-deps", "proxy", "caddy", "hash-password", given=b"carol's password\n"
    )
    (line,) = re.findall(rb"^\$2\S+$", hashed.stdout.replace(b"\r", b""), re.MULTILINE)
    with (project.secrets / "users").open("a") as users:
        users.write(f"carol {line.decode()}\n")
    project.order("start", "proxy")
    login = httpx.BasicAuth("carol", "carol's password")
    until(lambda: _status(project.url, login) == 200, "Carol to come in")

    rows = "timestamp,open,high,low,close,volume\n2024-01-02,10,12,9,11,100\n2024-01-03,11,13,10,12,100\n"
    script = "cat > /tmp/prices.csv && backtest candles import /tmp/prices.csv --symbol CAROL --timeframe 1d"
    done = project.compose("exec", "-T", "code", "sh", "-c", script, given=rows.encode())
    assert done.returncode == 0, done.stderr
    with project.client() as client:
        task = client.submit(BacktestRequest(strategy="buy_and_hold", symbols=["CAROL"]))
        assert client.wait(task.task_id, timeout_s=PATIENCE_S).state == "completed"
        # A signal at the first bar is filled at the second one's open.
        assert client.result(task.task_id).trades["entry_price"].tolist() == [11.0]
    shutil.rmtree(project.data_root / "CAROL")  # other tests know what candles there are


def _status(url: str, auth: httpx.BasicAuth) -> int:
    try:
        return httpx.get(url, auth=auth).status_code
    except httpx.TransportError:
        return 0


def test_after_an_upgrade_to_an_image_of_ones_own_all_tasks_are_there(
    project: Project, tmp_path: Path
) -> None:
    """The image is built as docs/deployment.md says, and everything is made anew but the volumes."""
    page = (images.ROOT / "docs/deployment.md").read_text()
    (dockerfile,) = re.findall(r"```dockerfile\n(.*?)```", page, re.DOTALL)
    (override,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "Dockerfile").write_text(dockerfile)
    more = tmp_path / "docker-compose.override.yml"
    more.write_text(override)
    (tag,) = re.findall(r"image: (\S+)", override)
    images.build(project.engine, "pipeline", tag, context=tmp_path)
    with project.client() as client:
        earlier = client.submit(BacktestRequest(strategy="sma_cross", symbols=["MSFT"]))
        known = client.wait(earlier.task_id, timeout_s=PATIENCE_S)
    project.order("down")
    project.order("--file", str(more), "up", "--no-build", "--detach")
    project.wait_until_well()
    (package,) = re.findall(r"install --no-cache-dir ([a-z-]+)==", dockerfile)
    assert package == "scikit-learn"
    project.said("code", "python", "-c", "import sklearn.linear_model")
    with project.client() as client:
        assert client.status(earlier.task_id) == known
        assert not client.result(earlier.task_id).trades.empty
        later = client.submit(BacktestRequest(strategy="sma_cross", symbols=["MSFT"], seed=2), reuse=False)
        assert client.wait(later.task_id, timeout_s=PATIENCE_S).state == "completed"
