"""A Redis of the tests' own, from Debian's package."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backtest_pipeline.compute.broker import client_of
from backtest_pipeline_tests.acceptance.live import free_port

_PATIENCE_S = 30


class RedisServer:
    """One server on a free port of 127.0.0.1, which keeps on disk what it is told."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = client_of(self.url)
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        program = shutil.which("redis-server")
        assert program, "Redis is not installed; scripts/test installs it"
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        arguments += ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except Exception:  # noqa: BLE001  whatever a client says of a server that starts
            return False

    def stop(self) -> None:
        """Ends the server at once."""
        if self._server is not None:
            self._server.kill()
            self._server.wait(_PATIENCE_S)
            self._server = None


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A running server, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="backtest-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.client.close()
            server.stop()
