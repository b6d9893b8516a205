"""A running pipeline, as the acceptance tests use it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from backtest_pipeline import BacktestClient
from backtest_pipeline.local_service import home
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.orchestration.dagster_internals.standby import STANDING_BY
from backtest_pipeline.orchestration.dagster_internals.worker_generations import PRELOAD
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.settings import get_settings
from backtest_pipeline_tests.polling import PATIENCE_S
from backtest_pipeline_tests.processes import children_of

_PROGRAM = str(Path(sys.executable).with_name("backtest"))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def logs_of(used: object) -> list[Path]:
    """The logs of the processes behind what a test uses: a service, a pipeline, or something that has one."""
    service = used if isinstance(used, LocalService) else getattr(used, "service", None)
    if isinstance(service, LocalService):
        return sorted({process.log for process in service.processes.values()})
    return sorted(home.logs_of(used.dagster_home).glob("*.log")) if isinstance(used, Pipeline) else []


def log_end(log: Path, lines: int = 60) -> str:
    """The last lines of a log, shortened and without those of stack traces; empty where there is none yet."""
    written = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([line[:300] for line in written if line and not line[0].isspace()][-lines:])


@dataclass(frozen=True)
class Pipeline:
    """A running pipeline with the demo's candles.

    Attributes:
        database: environment that names its PostgreSQL; empty with SQLite.
    """

    url: str
    data_root: Path
    dagster_home: Path
    database: dict[str, str] = field(default_factory=dict)

    def client(self) -> BacktestClient:
        return BacktestClient(self.url, data_root=self.data_root)

    @contextmanager
    def graphql(self) -> Iterator[GraphQL]:
        """GraphQL as any client may send it, with a token where the settings have one."""
        with closing(GraphQL(self.url, get_settings().backtest_token)) as graphql:
            yield graphql

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.database,
            "BACKTEST_URL": self.url,
            "DATA_ROOT": str(self.data_root),
            "DAGSTER_HOME": str(self.dagster_home),
            "BROWSER": "true",  # a program that does nothing, in the place of a browser
        }

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `backtest …` as a user would."""
        return run_backtest_command(arguments, self.env)


def run_backtest_command(
    arguments: Sequence[str], env: dict[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `backtest …` in a process of its own, its output not a terminal, in `folder` or here."""
    return subprocess.run(
        [_PROGRAM, *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def backtest_up(
    port: int, env: dict[str, str], program: str = _PROGRAM, folder: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`backtest up`, ready on `port`. It ends with the test, however the test ends: nobody waits for it."""
    command = [program, "up", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            assert first == f"ready: http://127.0.0.1:{port}\n", first or process.stderr.read()
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()


def fork_servers(code_server: int) -> set[int]:
    """The processes of a code server that its warm workers are forked from, retired ones included.

    The first is a copy of the code server, and so has its command; those after a reload are forked from a
    child that has only the libraries.
    """
    found = set()
    own = _command_of(code_server)
    for pid in children_of(code_server):
        with suppress(OSError):  # it has just ended
            command = _command_of(pid)
            if command == own or PRELOAD.encode() in command:
                found.add(pid)
            elif b"multiprocessing.forkserver" in command:
                found.update(children_of(pid))
    return found


def _command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def standing_workers(code_server: int) -> list[int]:
    """The workers of a code server that have prepared themselves and wait for a run."""
    forked = [pid for server in fork_servers(code_server) for pid in children_of(server)]
    return [pid for pid in forked if Path(f"/proc/{pid}/comm").read_text().strip() == STANDING_BY]


@contextmanager
def broken_candles(data_root: Path) -> Iterator[Path]:
    """A symbol BROKEN whose one file is no Parquet, for tasks that fail in their first op."""
    file = data_root / "BROKEN" / "1D" / "2012.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1 this is no Parquet")
    try:
        yield file
    finally:
        shutil.rmtree(data_root / "BROKEN")
