"""docs/deployment.md leads from one machine to four: its commands are run, as printed, one after another."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from backtest_pipeline_tests.acceptance.live import free_port
from backtest_pipeline_tests.docs.pages import ROOT, blocks
from backtest_pipeline_tests.polling import PATIENCE_S, until
from backtest_pipeline_tests.processes import descendants_of

PAGE = ROOT / "docs" / "deployment.md"
OURS = "acceptance/test_four_machines runs these commands"
MOST_COMMANDS = 10
_INSTALLED = 'pip install "backtest-pipeline[celery,postgres]"'


def _parts() -> list[list[str]]:
    """The commands of the first machine, of each, and of anywhere."""
    found = [block for block in blocks(PAGE.read_text()) if block.not_run == OURS]
    return [[line for line in block.text.splitlines() if line] for block in found]


def test_ten_commands_are_enough() -> None:
    first, each, anywhere = _parts()
    assert len([*first, *each, *anywhere]) <= MOST_COMMANDS


class Shells:
    """Shells of several machines: what one exports, those of the same machine know."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        self._env = env
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, machine: str, lines: list[str]) -> str:
        """Runs commands; the last one that goes on until it is stopped is left to itself."""
        *before, last = lines
        goes_on = last.startswith(("backtest up", "backtest worker"))
        script = "\n".join(["set -euo pipefail", *before, f"exec {last}" if goes_on else last])
        log = self._folder / f"{machine}.log"
        home = self._folder / machine
        home.mkdir(exist_ok=True)
        with log.open("ab") as file:
            process = subprocess.Popen(
                ["/bin/bash", "-c", script],
                cwd=ROOT,
                env={**self._env, "DAGSTER_HOME": str(home)},
                stdout=file,
                stderr=file,
            )
            self._started.append(process)
            if not goes_on:
                assert process.wait(PATIENCE_S) == 0, log.read_text()
        return str(log)

    def stop(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self._started):
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                for pid in (process.pid, *descendants_of(process.pid)):
                    os.kill(pid, signal.SIGKILL)
                process.wait()


@contextmanager
def _ended(pid_file: Path) -> Iterator[None]:
    """Ends the Redis that the page starts in the background."""
    try:
        yield
    finally:
        if pid_file.exists():
            os.kill(int(pid_file.read_text()), signal.SIGTERM)


@pytest.mark.machines
def test_one_machine_becomes_four_by_the_commands_of_the_page(
    demo_candles: Path, own_postgres: dict[str, str], tmp_path: Path
) -> None:
    redis_port, web_port = free_port(), free_port()
    pid_file = tmp_path / "redis.pid"

    def here(line: str) -> str:
        """A command for machines that are all this one, with what the page installs installed already."""
        line = line.replace("--port 6379", f"--port {redis_port} --pidfile {pid_file}")
        line = line.replace("first.example.com:6379", f"127.0.0.1:{redis_port}")
        line = line.replace("backtest up", f"backtest up --port {web_port}")
        return line.replace(_INSTALLED, "true").replace("--concurrency 4", "--concurrency 1")

    first, each, anywhere = ([here(line) for line in part] for part in _parts())
    env = {
        **os.environ,
        **own_postgres,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DATA_ROOT": str(demo_candles),
        "BACKTEST_URL": f"http://127.0.0.1:{web_port}",
        "REPORTS_AHEAD": "false",
    }
    [password] = [line for line in first if line.startswith("export BROKER_PASSWORD")]
    secret = subprocess.run(
        ["/bin/bash", "-c", f"{password}; echo $BROKER_PASSWORD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert re.fullmatch(r"[\w-]+", secret)
    first[first.index(password)] = f"export BROKER_PASSWORD={secret}"
    [address] = [line for line in first if "export BACKTEST_BROKER_URL" in line]
    shells = Shells(tmp_path, env)
    with _ended(pid_file):
        try:
            shells.run("first", first)
            until(lambda: _is_there(env["BACKTEST_URL"]), f"the service, see {tmp_path}/first.log")
            known = [f"export BROKER_PASSWORD={secret}", address]
            logs = [shells.run(f"machine-{number}", [*known, *each]) for number in range(4)]
            for log in logs:
                until(lambda log=log: "is ready" in Path(log).read_text(), f"a worker, see {log}")  # type: ignore[misc]  # bound now
            told = Path(shells.run("anywhere", [*known, *anywhere])).read_text()
        finally:
            shells.stop()
    assert "4 workers on 1 machine, 4 slots" in told
    assert "BAD" not in told


def _is_there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
