"""A pipeline in a temporary folder, with the demo's candles and a free port: to measure or to maltreat."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backtest_pipeline import BacktestClient
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.local_service import home
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings

_ACTIVE = """
query Active {
  runsOrError(filter: {statuses: [STARTING, STARTED, CANCELING]}) { ... on Runs { results { runId } } }
}
"""


@dataclass(frozen=True)
class ScratchService:
    """A running pipeline and what one needs to look at it."""

    service: LocalService
    client: BacktestClient
    store: TaskStore
    folder: Path
    http: httpx.Client

    def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Sends a GraphQL document past the SDK; an answer with an error raises `httpx.HTTPStatusError`."""
        answer = self.http.post(
            f"{self.service.url}/graphql", json={"query": document, "variables": variables}
        )
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data

    def active_runs(self) -> set[str]:
        """Runs that hold a slot now."""
        return {run["runId"] for run in self.ask(_ACTIVE)["runsOrError"]["results"]}

    def pid(self, name: str) -> int:
        """Process id of `code`, `web` or `daemon`, once it was started."""
        pid = self.service.processes[name].pid
        if pid is None:
            raise RuntimeError(f"{name} was not started")
        return pid


def unwind_on_terminate() -> None:
    """Makes SIGTERM end this process by an exception, so that all that was started is stopped."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def scratch_service(
    *,
    env: Mapping[str, str],
    database: Mapping[str, str],
    most_runs: int | None = None,
    keep: bool = False,
    service: type[LocalService] = LocalService,
    config: str | None = None,
) -> Iterator[ScratchService]:
    """Starts a pipeline over the demo's candles and stops it at the end.

    Args:
        env: further environment of its processes and of this one.
        database: environment that chooses the storage; empty for SQLite.
        most_runs: `max_concurrent_runs`, where it is not to be the default.
        keep: leaves the folder behind.
        service: what starts the processes.
        config: another `dagster.yaml` than the pipeline's.
    """
    scratch = (
        nullcontext(tempfile.mkdtemp(prefix="backtest-scratch-"))
        if keep
        else tempfile.TemporaryDirectory(prefix="backtest-scratch-")
    )
    with scratch as path, _environment({**env, **database}):
        folder = Path(path)
        settings = Settings(data_root=folder / "data", dagster_home=folder / "home")
        import_demo(CandleStore(settings.data_root))
        if config is not None:
            settings.dagster_home.mkdir()
            (settings.dagster_home / "dagster.yaml").write_text(config)
            _create_databases(settings.dagster_home)
        elif most_runs is not None:
            _limit_runs(settings.dagster_home, most_runs)
        running = service(settings, port=free_port())
        with (
            running.running(),
            BacktestClient(running.url, data_root=settings.data_root) as client,
            httpx.Client(timeout=30) as http,
        ):
            yield ScratchService(running, client, TaskStore(settings.data_root), folder, http)


def _create_databases(dagster_home: Path) -> None:
    """Makes a stock home's databases, which processes that start together would make over each other."""
    command = [sys.executable, "-m", "dagster", "instance", "migrate"]
    env = {**os.environ, "DAGSTER_HOME": str(dagster_home)}
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  ours


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Rows of two columns as text."""
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"{left:<{width}}  {right}" for left, right in rows)


def say(line: str) -> None:
    """Prints for the person at the terminal."""
    print(line, flush=True)  # noqa: T201


def _limit_runs(dagster_home: Path, most_runs: int) -> None:
    """Makes the configuration the operator's own, with another `max_concurrent_runs`."""
    home.prepare(dagster_home)
    config = dagster_home / "dagster.yaml"
    _, _, ours = config.read_text().partition("\n")  # without the mark that says whose it is
    config.write_text(re.sub(r"max_concurrent_runs: \d+", f"max_concurrent_runs: {most_runs}", ours))


@contextmanager
def database_env(name: str) -> Iterator[dict[str, str]]:
    """The environment for a database: `sqlite`, or a `postgres` that is started for the while."""
    if name == "sqlite":
        yield {}
        return
    from backtest_pipeline_tests.acceptance.postgres import postgres_server  # noqa: PLC0415  needs PostgreSQL

    with postgres_server() as server:
        yield server.env


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
