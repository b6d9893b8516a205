"""Several machines in one: a service, a broker, and workers as processes with folders of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backtest_pipeline import BacktestClient
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import free_port
from backtest_pipeline_tests.acceptance.redis_server import RedisServer
from backtest_pipeline_tests.polling import PATIENCE_S, until
from backtest_pipeline_tests.processes import children_of, descendants_of

ROOT = Path(__file__).parents[2]
_PROGRAM = str(Path(sys.executable).with_name("backtest"))


@dataclass
class Machine:
    """A machine that runs `backtest worker`.

    Attributes:
        home: its DAGSTER_HOME, which no other machine has.
        log: what its processes print.
    """

    home: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return [self.process.pid, *descendants_of(self.process.pid)]

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to every process: as a power cut, or as a machine that stands still."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @property
    def pools(self) -> list[int]:
        """The processes of Celery's workers."""
        return [pool for generation in children_of(self.process.pid) for pool in children_of(generation)]


@dataclass
class Machines:
    """A service whose runs are taken by workers.

    Attributes:
        machines: that have been started, the dead ones too.
    """

    service: LocalService
    client: BacktestClient
    redis: RedisServer
    data_root: Path
    folder: Path
    env: Mapping[str, str]
    machines: list[Machine] = field(default_factory=list)

    def add(self, *options: str, env: Mapping[str, str] | None = None) -> Machine:
        """One more machine, once it takes work."""
        home = self.folder / f"machine-{len(self.machines)}"
        home.mkdir()
        log = home / "worker.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                [_PROGRAM, "worker", "--concurrency", "2", *options],
                env={**os.environ, **self.env, "DAGSTER_HOME": str(home), **(env or {})},
                stdout=file,
                stderr=file,
            )
        machine = Machine(home, log, process)
        self.machines.append(machine)
        until(lambda: self._is_ready(machine), f"the worker to be ready, see {log}")
        return machine

    def _is_ready(self, machine: Machine) -> bool:
        assert machine.process.poll() is None, machine.log.read_text()
        return "is ready" in machine.log.read_text()

    def stop_all(self) -> None:
        for machine in self.machines:
            if machine.process.poll() is None:
                machine.signal_all(signal.SIGCONT)
                machine.process.terminate()
        for machine in self.machines:
            try:
                machine.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                machine.signal_all(signal.SIGKILL)


@contextmanager
def running_machines(
    folder: Path,
    data_root: Path,
    redis: RedisServer,
    database: Mapping[str, str],
    *,
    strategies: str = "backtest_pipeline_tests.acceptance.trouble_strategies",
    visibility_timeout_s: int = 86_400,
    further: Mapping[str, str] | None = None,
) -> Iterator[Machines]:
    """A service of its own with this broker and this database, and no worker yet."""
    env = {
        **database,
        "PYTHONPATH": str(ROOT),
        "BACKTEST_STRATEGIES": strategies,
        "BACKTEST_BROKER_URL": redis.url,
        "BROKER_VISIBILITY_TIMEOUT_S": str(visibility_timeout_s),
        "DATA_ROOT": str(data_root),
        "REPORTS_AHEAD": "false",
        **(further or {}),
    }
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            service = LocalService(
                Settings(data_root=data_root, dagster_home=folder / "home"), port=free_port()
            )
            stack.enter_context(service.running())
        client = stack.enter_context(BacktestClient(service.url, data_root=data_root))
        machines = Machines(service, client, redis, data_root, folder, env)
        stack.callback(machines.stop_all)
        yield machines
