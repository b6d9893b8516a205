"""A PostgreSQL server of the tests' own, from Debian's package."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backtest_pipeline_tests.acceptance.live import free_port

_PATIENCE_S = 30


class PostgresServer:
    """One server on a free port of 127.0.0.1, with an empty database `backtest`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """What points the pipeline at this server."""
        return {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self.port),
            "DAGSTER_PG_USERNAME": "postgres",
            "DAGSTER_PG_PASSWORD": "not-a-secret",
            "DAGSTER_PG_DB": "backtest",
        }

    def create(self) -> None:
        """Makes the data folder."""
        if self._user:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run(
            "initdb", "--pgdata", str(self._folder / "data"), "--username", "postgres", "--auth", "trust"
        )

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        arguments = ["-D", str(self._folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"]
        arguments += ["-k", str(self._folder), "-c", "fsync=off"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [_program("postgres"), *arguments], user=self._user, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE_S
        ready = [_program("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)

    def create_database(self) -> None:
        """Makes the empty database."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "backtest")

    def stop(self) -> None:
        """Stops the server at once, as an immediate shutdown: clients are cut off."""
        if self._server is not None:
            self._server.send_signal(3)
            self._server.wait(_PATIENCE_S)
            self._server = None

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([_program(program), *arguments], user=self._user, capture_output=True, check=True)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="backtest-pg-") as folder:
        server = PostgresServer(Path(folder))
        server.create()
        server.start()
        try:
            server.create_database()
            yield server
        finally:
            server.stop()


def _program(name: str) -> str:
    """A program of the newest PostgreSQL there is; Debian keeps them off the path."""
    found = sorted(str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    program = found[-1] if found else shutil.which(name)
    assert program, f"PostgreSQL is not installed: {name} is missing; scripts/test installs it"
    return program
