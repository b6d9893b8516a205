"""The profile `cluster` of docker-compose.yml, turned on and off in a deployment that runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from backtest_pipeline import BacktestClient, BacktestRequest, IntRange, SweepRequest
from backtest_pipeline_tests.deploy.images import ROOT
from backtest_pipeline_tests.deploy.project import Project, outside, seconds
from backtest_pipeline_tests.polling import until

WORKERS = 2
_STARTERS = ("daemon", "web", "viewer")
_TAGS = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }
"""


@contextmanager
def workers_on(project: Project) -> Iterator[None]:
    """Redis, workers and Flower by the commands of docs/deployment.md; afterwards all is as before."""
    prepare(project)
    try:
        project.measured["from up until workers are well"] = f"{seconds(lambda: _up(project)):.0f} s"
        yield
    finally:
        project.order("--profile", "cluster", "rm", "--stop", "--force", "worker", "flower", "redis")
        (project.secrets / "broker_url").write_text("")
        project.order("restart", *_STARTERS)
        project.wait_until_well()


def prepare(project: Project) -> None:
    """Runs `scripts/deploy/prepare cluster` as an operator who has these variables in `.env`."""
    command = [str(ROOT / "scripts/deploy/prepare"), "cluster"]
    subprocess.run(command, env=outside() | {**project.variables}, cwd=project.folder, check=True)


def _up(project: Project) -> None:
    scaled = ["--no-build", "--detach", "--scale", f"worker={WORKERS}"]
    project.order("--profile", "cluster", "up", *scaled)
    project.order("restart", *_STARTERS)
    project.wait_until_well()
    until(lambda: len(workers(project)) == WORKERS, "the workers to be listed")


def hosts(project: Project) -> set[str]:
    """The names that the workers' containers have as machines."""
    return {project.engine.inspect(one)["Config"]["Hostname"] for one in project.containers("worker")}


def metrics(project: Project) -> dict[str, dict[tuple[str, ...], float]]:
    """What `/metrics` says of workers: by name, and by what its labels say beside the worker's name."""
    bearer = {"Authorization": f"Bearer {project.token}"}
    answer = httpx.get(f"{project.url}/metrics", headers=bearer, timeout=30)
    assert answer.status_code == httpx.codes.OK, answer.text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name.startswith("backtest_worker"):
                labels = tuple(value for key, value in sorted(sample.labels.items()) if key != "worker")
                of_name = found.setdefault(sample.name, {})
                of_name[labels] = of_name.get(labels, 0.0) + sample.value
    return found


def workers(project: Project) -> set[str]:
    """The machines whose workers take runs now."""
    slots = metrics(project).get("backtest_worker_slots", {})
    return {host for (host, queue), number in slots.items() if queue == "runs" and number}


def asked(project: Project, query: str, **variables: Any) -> Any:
    """What GraphQL answers to the operator's token."""
    answer = httpx.post(
        f"{project.url}/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {project.token}"},
        timeout=30,
    ).json()
    assert "errors" not in answer, answer
    return answer["data"]


def host_of(project: Project, run_id: str) -> str:
    """The machine whose worker has claimed a run; empty where none has."""
    tags = asked(project, _TAGS, id=run_id)["runOrError"]["tags"]
    claim = next((tag["value"] for tag in tags if tag["key"] == "backtest/worker"), "")
    worker, _, claimed = claim.partition(" ")
    return worker.rsplit("-", 2)[0] if claimed == run_id else ""


def redis(project: Project, *command: str, password: str | None = None) -> str:
    """What Redis answers, to somebody who knows its password unless another one is given."""
    known = broker_password(project) if password is None else password
    done = project.compose("exec", "-T", "-e", f"REDISCLI_AUTH={known}", "redis", "redis-cli", *command)
    return done.stdout.decode().strip()


def broker_password(project: Project) -> str:
    return (project.secrets / "redis_conf").read_text().removeprefix("requirepass ").strip()


def submitted(client: BacktestClient, request: BacktestRequest | SweepRequest) -> str:
    """A task of its own for a request, whatever was computed before."""
    return client.submit(request, reuse=False).task_id


def a_backtest() -> BacktestRequest:
    return BacktestRequest(strategy="sma_cross", symbols=["AAPL", "IBM"], direction="both", max_retries=5)


def a_sweep(trials: int) -> SweepRequest:
    return SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL"], max_retries=5),
        space={"params.fast": IntRange(2, 200), "params.slow": IntRange(201, 600)},
        search="random",
        trials=trials,
        keep_best=2,
    )


def a_slow_one(duration_s: float) -> BacktestRequest:
    return BacktestRequest(strategy="slow", params={"seconds": duration_s}, symbols=["IBM"], max_retries=5)
