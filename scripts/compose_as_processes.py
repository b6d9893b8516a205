"""Runs the services of docker-compose.yml as processes of this machine, where there is no container engine.

Each service's own command runs with its own environment, in the order of `depends_on`, and is ready when its
own health check says so; what dies is started again, and what is to stop gets its `stop_signal` and its
`stop_grace_period`. What has to differ from a container stands at the top of `compose_mapping.py`. Debian's
packages postgresql and caddy are needed.

Prints the proxy's address when all is well. Lines on standard input command it, each with one or more
services: `stop`, `start`, `restart`, `kill` (a crash; it is started again); and `quit`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from compose_file import Service, services
from compose_mapping import ROOT, first_start, mapped

from backtest_pipeline.service.process import Process

PATIENCE_S = 120.0
POLL_S = 0.1
ASK_EVERY_S = 0.5
SELDOM_S = 30.0  # what an engine asks more seldom than that is costly, and asked last
RESTART_PAUSE_S = 1.0


class Project:
    """The services of one compose file as processes, their volumes and logs in one folder."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        """Prepares; of the services only PostgreSQL's data folder is made yet."""
        known, self._ports = mapped(services(ROOT / "docker-compose.yml", env), folder)
        self._logs = folder / "logs"
        self._services = {name: first_start(one, self._ports) for name, one in known.items()}
        self._processes = {name: self._process(one) for name, one in self._services.items()}
        self._wanted: set[str] = set()
        self._well: set[str] = set()
        self._asked_s: dict[str, float] = {}

    @property
    def facts(self) -> dict[str, object]:
        """Where everything is."""
        code, proxy = self._services["code"].environment, self._services["proxy"].environment
        return {
            "url": f"https://localhost:{proxy['PROXY_HTTPS_PORT']}",
            "http_url": f"http://localhost:{proxy['PROXY_HTTP_PORT']}",
            "ca": f"{proxy['XDG_DATA_HOME']}/caddy/pki/authorities/local/root.crt",
            "secrets": proxy["PROXY_SECRETS"],
            "environment": code,
            "pids": {name: process.pid for name, process in self._processes.items()},
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts everything and waits until it is well; stops everything at the end."""
        try:
            deadline = time.monotonic() + PATIENCE_S
            while unwell := self._bring_up():
                if time.monotonic() > deadline:
                    raise SystemExit(
                        f"{', '.join(unwell)}: not well in {PATIENCE_S:.0f} s; logs: {self._logs}"
                    )
                time.sleep(POLL_S)
            yield
        finally:
            self._stop_all()

    def start(self, names: Sequence[str]) -> None:
        """Starts services and waits until all are well."""
        for name in names:
            self._launch(name)
        deadline = time.monotonic() + PATIENCE_S
        for name in sorted(names, key=lambda name: self._services[name].health_every_s):
            while not self._look_at(name):
                if time.monotonic() > deadline:
                    raise SystemExit(f"{name} is not well in {PATIENCE_S:.0f} s; logs: {self._logs}")
                time.sleep(POLL_S)

    def stop(self, name: str) -> None:
        """Stops a service by its own signal and, past its own patience, by force."""
        self._ask_to_stop(name)
        self._await_end(name)

    def _await_end(self, name: str) -> None:
        process = self._processes[name]
        deadline = time.monotonic() + self._services[name].stop_grace_s
        while process.pid is not None and process.exit_status is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.stop(grace_s=0)

    def kill(self, name: str) -> None:
        """Kills a service as a crash would; `restart_dead` brings it back."""
        self._processes[name].kill()

    def restart_dead(self) -> None:
        """What `restart: unless-stopped` does."""
        for name in self._wanted:
            if self._services[name].restarts and self._processes[name].exit_status is not None:
                time.sleep(RESTART_PAUSE_S)
                self._processes[name].start()

    def _stop_all(self) -> None:
        """Stops each service when nothing that depends on it runs any more."""
        left = list(self._services)
        while left:
            needed = {other for name in left for other in self._services[name].depends_on}
            free = [name for name in left if name not in needed]
            for name in free:
                self._ask_to_stop(name)
            for name in free:
                self._await_end(name)
                left.remove(name)

    def _ask_to_stop(self, name: str) -> None:
        self._wanted.discard(name)
        process = self._processes[name]
        if process.pid is not None and process.exit_status is None:
            os.kill(process.pid, signal.Signals[self._services[name].stop_signal])

    def _process(self, one: Service) -> Process:
        for outside in one.volumes.values():
            Path(outside).mkdir(parents=True, exist_ok=True)
        return Process(one.name, one.command, env=one.environment, log=self._logs / f"{one.name}.log")

    def _launch(self, name: str) -> None:
        self._well.discard(name)
        self._wanted.add(name)
        self._processes[name].start()

    def _bring_up(self) -> list[str]:
        """Starts whatever may start by now; returns what is not well yet."""
        for name in self._in_order():
            conditions = self._services[name].depends_on
            if name not in self._wanted and all(map(self._has, conditions, conditions.values())):
                self._launch(name)
        seldom = {name for name, one in self._services.items() if one.health_every_s > SELDOM_S}
        unwell = [name for name in self._services if name not in seldom and not self._is_up(name)]
        return unwell or [name for name in seldom if not self._is_up(name)]

    def _is_up(self, name: str) -> bool:
        return name in self._wanted and self._look_at(name)

    def _has(self, name: str, condition: str) -> bool:
        return name in (self._wanted if condition == "service_started" else self._well)

    def _look_at(self, name: str) -> bool:
        """Whether a service is well: by its own health check, or by its end where it is to end."""
        if name in self._well:
            return True
        one, process = self._services[name], self._processes[name]
        if process.exit_status is not None:
            if process.exit_status or one.health:
                raise SystemExit(f"{name} ended with status {process.exit_status}:\n{process.last_words()}")
            self._well.add(name)
        elif one.health and time.monotonic() > self._asked_s.get(name, 0) + ASK_EVERY_S:
            check = subprocess.run(one.health, env=one.environment, capture_output=True, check=False)  # noqa: S603  ours
            self._asked_s[name] = time.monotonic()
            if check.returncode == 0:
                self._well.add(name)
        return name in self._well

    def _in_order(self) -> list[str]:
        """The services, each behind those that it depends on."""
        order: list[str] = []

        def add(name: str) -> None:
            for other in self._services[name].depends_on:
                add(other)
            if name not in order:
                order.append(name)

        for name in self._services:
            add(name)
        return order


def obey(project: Project) -> None:
    """Does what standard input says, and looks after the processes meanwhile."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [*map(lines.put, sys.stdin), lines.put("quit")], daemon=True).start()
    while True:
        project.restart_dead()
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            continue
        words = line.split()
        if words == ["quit"]:
            return
        verb, names = (words or [""])[0], words[1:]
        for name in names:
            if verb == "kill":
                project.kill(name)
            if verb in {"stop", "restart"}:
                project.stop(name)
        if verb in {"start", "restart"}:
            project.start(names)
        say(f"done: {line.strip()}")


def say(line: str) -> None:
    """Tells whoever has started it."""
    print(line, flush=True)  # noqa: T201


def main() -> None:
    """Runs until it is told to end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="for volumes, secrets and logs; kept. Else a temporary one"
    )
    parser.add_argument(
        "--json", action="store_true", help="tell all addresses and folders as one line of JSON"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="backtest-compose-") as scratch:
        folder = (options.folder or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # PostgreSQL's user has to get to its volume
        own = {"DATA_ROOT": "data", "BACKTEST_SECRETS": "secrets", "BACKTEST_STRATEGY_FOLDER": "strategies"}
        variables = {name: str(folder / below) for name, below in own.items()}
        variables |= {name: value for name, value in os.environ.items() if name in _variables()}
        prepare = [str(ROOT / "scripts/deploy/prepare")]
        subprocess.run(prepare, env={**os.environ, **variables}, stdout=sys.stderr, check=True)  # noqa: S603  ours
        project = Project(folder, variables)
        with project.running():
            say(f"ready: {json.dumps(project.facts) if options.json else project.facts['url']}")
            obey(project)


def _variables() -> set[str]:
    """The variables that .env.sample describes; nothing else of this shell has a meaning for the services."""
    lines = (ROOT / ".env.sample").read_text().splitlines()
    return {line.removeprefix("# ").partition("=")[0] for line in lines if "=" in line}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
