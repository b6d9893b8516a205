"""The profile `cluster` of docker-compose.yml in containers: Redis, two workers, Flower."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from backtest_pipeline import BacktestClient
from backtest_pipeline_tests import polling
from backtest_pipeline_tests.acceptance.running_workers import table_digests, until_some_trials_are_done
from backtest_pipeline_tests.deploy import cluster, kube
from backtest_pipeline_tests.deploy.further_host import (
    SERVED,
    further_host,
    network_of_hosts,
    served_to_hosts,
)
from backtest_pipeline_tests.deploy.guards import has_way_out, require_guarded, require_no_secret_is_seen
from backtest_pipeline_tests.deploy.project import PASSWORDS, Project

pytestmark = pytest.mark.deployment  # minutes of a processor: not with every change

PATIENCE_S = 300
until = partial(polling.until, patience_s=PATIENCE_S)
GIB = 2**30
TMP = "/tmp"  # noqa: S108  a container's own
ALICE, VICTOR = (httpx.BasicAuth(name, password) for name, password in PASSWORDS.items())
# What each service may write to, and how much memory it may take.
MAY_WRITE = {"redis": {"/data"}, "worker": {TMP, "/data"}, "flower": {TMP}}
MEMORY = {"redis": GIB, "worker": 4 * GIB, "flower": GIB // 2}
SLOW_S = 20
TRIALS = 60_000
EVENTS = """
query Events($id: ID!) {
  logsForRun(runId: $id) {
    ... on EventConnection { events { __typename ... on LogsCapturedEvent { fileKey } } }
  }
}
"""
LOGS = """
query Logs($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }
"""


@dataclass(frozen=True)
class Cluster:
    """A deployment with workers, and the tables' checksums of what was computed before it had any."""

    project: Project
    backtest: dict[str, str]
    slow: dict[str, str]
    sweep: dict[str, str]

    def require_truth(self, client: BacktestClient, slow: str, sweep: str) -> list[int]:
        """Both have completed with the bytes of undisturbed ones; returns their attempts."""
        ended = client.wait_many([slow, sweep], timeout_s=PATIENCE_S)
        assert [task.state for task in ended] == ["completed"] * 2, ended
        assert table_digests(client, slow) == self.slow
        assert table_digests(client, sweep) == self.sweep
        return [task.attempt for task in ended]

    def same_bytes_made(self, client: BacktestClient) -> tuple[str, str]:
        """A backtest and a sweep that have completed at once, with the bytes of before."""
        backtest = cluster.submitted(client, cluster.a_backtest())
        sweep = cluster.submitted(client, cluster.a_sweep(TRIALS))
        ended = client.wait_many([backtest, sweep], timeout_s=PATIENCE_S)
        assert [(task.state, task.attempt) for task in ended] == [("completed", 1)] * 2
        assert table_digests(client, backtest) == self.backtest
        assert table_digests(client, sweep) == self.sweep
        return backtest, sweep


@pytest.fixture(scope="module")
def with_workers(project: Project) -> Iterator[Cluster]:
    with project.client() as client:
        requests = (cluster.a_backtest(), cluster.a_slow_one(SLOW_S), cluster.a_sweep(TRIALS))
        tasks = [cluster.submitted(client, request) for request in requests]
        ended = client.wait_many(tasks, timeout_s=PATIENCE_S)
        assert [task.state for task in ended] == ["completed"] * 3
        backtest, slow, sweep = (table_digests(client, task) for task in tasks)
        here = project.inspect("code")["Config"]["Hostname"]
        assert {client.result(task).manifest.environment.host for task in tasks} == {here}
    with cluster.workers_on(project):
        yield Cluster(project, backtest, slow, sweep)


def both_at_work(client: BacktestClient) -> tuple[str, str]:
    """A run that takes its time and a sweep, once the strategy of one and chunks of the other are at work."""
    slow = cluster.submitted(client, cluster.a_slow_one(SLOW_S))
    until(lambda: client.status(slow).stage == "signals", "the run to be at work")
    sweep = cluster.submitted(client, cluster.a_sweep(TRIALS))
    until_some_trials_are_done(client, sweep, TRIALS)
    return slow, sweep


@pytest.mark.parametrize("service", MAY_WRITE)
def test_a_service_writes_where_it_has_to_and_has_no_rights_beyond(
    with_workers: Cluster, service: str
) -> None:
    require_guarded(with_workers.project, service, may_write=MAY_WRITE[service], memory=MEMORY[service])


def test_redis_asks_for_its_password_and_is_reached_by_those_who_need_it(with_workers: Cluster) -> None:
    project = with_workers.project
    assert cluster.redis(project, "PING") == "PONG"
    for wrong in ("", "guessed"):
        assert cluster.redis(project, "PING", password=wrong).startswith("NOAUTH")
    for service in ("daemon", "web", "viewer", "worker", "flower"):
        project.said(service, "getent", "hosts", "redis")
    for service in ("proxy", "postgres", "code"):
        assert project.compose("exec", "-T", service, "getent", "hosts", "redis").returncode == 2
    assert not has_way_out(project, "redis")
    assert not any((project.inspect("redis")["HostConfig"]["PortBindings"] or {}).values())


def test_no_secret_is_in_an_environment_or_an_argument(with_workers: Cluster) -> None:
    project = with_workers.project
    names = ("postgres_password", "proxy_secret")
    known = [
        project.token,
        cluster.broker_password(project),
        *((project.secrets / one).read_text() for one in names),
    ]
    for service in ("redis", "worker", "flower", "daemon", "web", "viewer", "code"):
        require_no_secret_is_seen(project, service, known)


def test_a_backtest_and_a_sweep_run_on_workers_and_have_the_bytes_of_before(with_workers: Cluster) -> None:
    project, hosts = with_workers.project, cluster.hosts(with_workers.project)
    assert len(hosts) == cluster.WORKERS
    with project.client() as client:
        for task in with_workers.same_bytes_made(client):
            host = client.result(task).manifest.environment.host
            assert host in hosts
            assert cluster.host_of(project, task) == host
    chunks = cluster.metrics(project)["backtest_worker_chunks_total"]
    assert set(chunks) == {(host,) for host in hosts}
    assert all(number > 0 for number in chunks.values())  # both have worked on the sweep


def test_metrics_and_doctor_tell_of_workers_and_of_the_volume(with_workers: Cluster) -> None:
    project, hosts = with_workers.project, cluster.hosts(with_workers.project)
    told = cluster.metrics(project)
    assert told["backtest_workers"] == {(): cluster.WORKERS}
    # Two at a time is what docker-compose.yml says unless .env says otherwise.
    wanted = {(host, queue): 2.0 for host in hosts for queue in ("runs", "chunks")}
    assert told["backtest_worker_slots"] == wanted
    found = json.loads(project.compose("exec", "-T", "worker", "backtest", "doctor", "--json").stdout)
    inside = {one["what"]: one for one in found}
    assert inside["volume"]["ok"], inside
    assert inside["instance database"]["ok"], inside
    # What the doctor asks from outside, where it would compile kernels first.
    bearer = {"Authorization": f"Bearer {project.token}"}
    answer = httpx.get(f"{project.url}/healthz", headers=bearer, timeout=30).json()
    outside = {one["name"]: (one["ok"], one["detail"]) for one in answer["checks"]}
    assert outside["broker"] == (True, "answers")
    assert outside["workers"] == (True, "2 workers on 2 machines, 4 slots")
    assert outside["shared volume"] == (True, "/data is the same for all of them")


def test_what_a_run_printed_on_a_worker_is_read_in_the_web_ui(with_workers: Cluster) -> None:
    project = with_workers.project
    with project.client() as client:
        task = cluster.submitted(client, cluster.a_slow_one(0.1))
        assert client.wait(task, timeout_s=PATIENCE_S).state == "completed"
    assert cluster.host_of(project, task) in cluster.hosts(project)
    events = cluster.asked(project, EVENTS, id=task)["logsForRun"]["events"]
    [key] = {event["fileKey"] for event in events if event["__typename"] == "LogsCapturedEvent"}
    logs = cluster.asked(project, LOGS, key=[task, "compute_logs", key])["capturedLogs"]
    assert f"{task} - load_candles - IBM: 3,270 candles" in logs["stderr"]


def test_flower_is_for_people_who_may_do_everything(with_workers: Cluster) -> None:
    project = with_workers.project
    bearer = {"Authorization": f"Bearer {project.token}"}
    with httpx.Client(base_url=project.url, timeout=30, follow_redirects=True) as browser:
        for path in ("/flower", "/flower/", "/flower/workers", "/flower/api/workers"):
            assert browser.get(path).status_code == 401, path
            assert browser.get(path, auth=VICTOR).status_code == 401, path
            assert browser.get(path, headers=bearer).status_code == 401, path
        for path in ("/flower", "/flower/", "/flower/workers"):
            page = browser.get(path, auth=ALICE)
            assert (page.status_code, "Workers · Flower</title>" in page.text) == (200, True), path
        until(
            lambda: all(
                host in browser.get("/flower/workers", auth=ALICE).text for host in cluster.hosts(project)
            ),
            "Flower to list the workers",
        )
        broker = browser.get("/flower/broker", auth=ALICE)
        assert broker.status_code == 200
        assert cluster.broker_password(project) not in broker.text


def test_a_killed_worker_takes_nothing_along(with_workers: Cluster) -> None:
    project = with_workers.project
    with project.client() as client:
        slow, sweep = both_at_work(client)
        taken_by = cluster.host_of(project, slow)
        [killed] = [one for one in project.containers("worker") if one.startswith(taken_by)]
        os.kill(int(project.engine.inspect(killed)["State"]["Pid"]), signal.SIGKILL)
        attempts = with_workers.require_truth(client, slow, sweep)
        assert attempts[0] == 2  # its run was at work there
        assert attempts[1] <= 2
    until(lambda: len(cluster.workers(project)) == cluster.WORKERS, "the worker to come back")


def test_redis_keeps_its_data_when_it_starts_again_and_nothing_is_lost_when_it_loses_them(
    with_workers: Cluster,
) -> None:
    project = with_workers.project
    assert cluster.redis(project, "SET", "kept", "yes") == "OK"
    project.order("restart", "redis")
    until(lambda: cluster.redis(project, "GET", "kept") == "yes", "Redis to read what it had kept")
    with project.client() as client:
        slow, sweep = both_at_work(client)
        project.order("stop", "redis")
        for path in project.volume("redis").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        late = cluster.submitted(client, cluster.a_slow_one(SLOW_S))  # while there is no broker
        time.sleep(3)
        project.order("start", "redis")
        until(lambda: cluster.redis(project, "PING") == "PONG", "Redis to be back")
        assert cluster.redis(project, "EXISTS", "kept") == "0"
        assert with_workers.require_truth(client, slow, sweep) == [1, 1]
        assert with_workers.require_truth(client, late, sweep) == [1, 1]
    project.wait_until_well()


def test_a_further_host_runs_workers_of_the_same_compose_file(with_workers: Cluster) -> None:
    project = with_workers.project
    with (
        network_of_hosts() as (address, found),
        served_to_hosts(project, address),
        further_host(project, found, workers=1) as further,
    ):
        assert {one.split(":")[0] for one in _published(project)} == {address}
        [host] = cluster.hosts(further)
        until(lambda: host in cluster.workers(project), "the further host's worker to be listed")
        assert len(further.containers()) == 1
        require_guarded(further, "worker", may_write=MAY_WRITE["worker"], memory=MEMORY["worker"])
        project.order("--profile", "cluster", "stop", "worker")
        try:
            until(lambda: cluster.workers(project) == {host}, "the first host's workers to be gone")
            with project.client() as client:
                for task in with_workers.same_bytes_made(client):
                    assert client.result(task).manifest.environment.host == host
        finally:
            project.order("--profile", "cluster", "start", "worker")
    until(lambda: len(cluster.workers(project)) == cluster.WORKERS, "the first host's workers to be back")


def _published(project: Project) -> list[str]:
    """Where database and broker are reached from outside, as `address:port`."""
    bound = [project.inspect(one)["HostConfig"]["PortBindings"] for one in SERVED]
    return [
        f"{one['HostIp']}:{one['HostPort']}" for ports in bound for many in ports.values() for one in many
    ]


def test_the_manifests_for_kubernetes_run_alone_and_make_the_same_bytes(with_workers: Cluster) -> None:
    project = with_workers.project
    ours = ("proxy", "web", "viewer", "daemon", "code", "worker", "flower")
    project.order("--profile", "cluster", "stop", *ours)
    try:
        with kube.pods(project) as (pods, stack):
            for part in kube.PARTS:
                pods.play(stack, part)
                known = project.engine.inspect(pods.container(part))["HostConfig"]
                assert known["ReadonlyRootfs"]
                assert known["Memory"] == (GIB if part in {"daemon", "web"} else 4 * GIB)
            host, client = pods.host("worker"), pods.client(stack)
            tasks = with_workers.same_bytes_made(client)
            assert {client.result(task).manifest.environment.host for task in tasks} == {host}
    finally:
        project.order(
            "--profile", "cluster", "up", "--no-build", "--detach", "--scale", f"worker={cluster.WORKERS}"
        )
        project.wait_until_well()
    until(lambda: len(cluster.workers(project)) == cluster.WORKERS, "the workers of compose to be back")
