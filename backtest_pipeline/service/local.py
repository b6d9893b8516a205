"""Web server, daemon and code server as processes of this machine."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import ServerRefused, ServerUnreachable, ServiceNotReady
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.service.home import locked, logs_of, prepare, socket_of
from backtest_pipeline.service.process import Process
from backtest_pipeline.settings import Settings

_POLL_S = 0.1
_GRACE_S = 10.0
_RESTART_PAUSE_S = 1.0


class LocalService:
    """The pipeline's three processes, started together and stopped together.

    Attributes:
        url: the web server's address.
        processes: `code`, `web` and `daemon`, from the start on.
    """

    def __init__(self, settings: Settings, *, host: str = "127.0.0.1", port: int = 3000) -> None:
        """Prepares a service; nothing is started or written yet."""
        self.url = f"http://{host}:{port}"
        self.processes: dict[str, Process] = {}
        self._host, self._port = host, port
        self._settings = settings
        self._home = settings.dagster_home

    @contextmanager
    def running(self, timeout_s: float = 90.0) -> Iterator[None]:
        """Starts everything, waits until a task could be submitted, and stops everything at the end.

        Raises:
            ServiceNotReady: the port is taken, the service runs already, or a process did not come up.
        """
        prepare(self._home)
        with locked(self._home), tempfile.TemporaryDirectory(prefix="backtest-") as scratch:
            self._refuse_taken_port()
            socket_path = socket_of(self._home)
            self.processes = self._made_processes(socket_path, Path(scratch) / "workspace.yaml")
            deadline = time.monotonic() + timeout_s
            try:
                self.processes["code"].start()
                self._wait(lambda: _listens(socket_path), "the code server", deadline)
                self.processes["web"].start()
                self.processes["daemon"].start()
                self._wait(self._web_is_ready, "the web server", deadline)
                yield
            finally:
                for name in ("web", "daemon", "code"):
                    self.processes[name].stop(_GRACE_S)

    def _made_processes(self, socket_path: Path, workspace: Path) -> dict[str, Process]:
        workspace.write_text(
            f"load_from:\n  - grpc_server: {{socket: {socket_path}, location_name: {tags.CODE_LOCATION}}}\n"
        )
        code = ["-m", "backtest_pipeline.orchestration.code_server", "--socket", str(socket_path)]
        code += ["--module-name", "backtest_pipeline.definitions", "--location-name", tags.CODE_LOCATION]
        web = ["-m", "dagster_webserver", "--host", self._host, "--port", str(self._port)]
        web += ["--workspace", str(workspace)]
        daemon = ["-m", "backtest_pipeline.orchestration.daemon", "run", "--workspace", str(workspace)]
        env, logs = _environment(self._settings, self.url), logs_of(self._home)
        return {
            name: Process(name, [sys.executable, *arguments], env=env, log=logs / f"{name}.log")
            for name, arguments in {"code": code, "web": web, "daemon": daemon}.items()
        }

    def supervise(self, tell: Callable[[str], object]) -> None:
        """Restarts what dies, for ever; leave it by an exception such as KeyboardInterrupt."""
        while True:
            time.sleep(_RESTART_PAUSE_S)
            for process in self.processes.values():
                if process.exit_status is not None:
                    tell(f"{process.name} ended with status {process.exit_status}, starting it again")
                    process.start()

    def _refuse_taken_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
            except OSError as error:
                raise ServiceNotReady(
                    f"cannot listen on {self._host}:{self._port} ({error.strerror}); "
                    "stop what listens there or choose another with --port"
                ) from error

    def _wait(self, ready: Callable[[], bool], what: str, deadline: float) -> None:
        while not ready():
            for process in self.processes.values():
                if process.exit_status is not None:
                    raise ServiceNotReady(
                        f"{process.name} ended with status {process.exit_status}; "
                        f"its log {process.log} ends:\n{process.last_words()}"
                    )
            if time.monotonic() > deadline:
                raise ServiceNotReady(f"{what} is not ready in time; see the logs in {logs_of(self._home)}")
            time.sleep(_POLL_S)

    def _web_is_ready(self) -> bool:
        try:
            with closing(GraphQL(self.url)) as graphql:
                answer = graphql.ask(queries.READY, {"location": tags.CODE_LOCATION})
        except (ServerUnreachable, ServerRefused):
            return False
        location = answer["workspaceLocationEntryOrError"]
        problem = (location.get("locationOrLoadError") or {}).get("message")
        if problem:
            raise ServiceNotReady(f"the code location does not load: {problem}")
        daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
        return location.get("loadStatus") == "LOADED" and all(
            daemon["healthy"] for daemon in daemons if daemon["required"]
        )


def _listens(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return socket_path.exists() and probe.connect_ex(str(socket_path)) == 0


def _environment(settings: Settings, url: str) -> dict[str, str]:
    """The children's environment: ours, with absolute folders and one thread a process for arithmetic."""
    return {
        **os.environ,
        "DAGSTER_HOME": str(settings.dagster_home),
        "DATA_ROOT": str(settings.data_root),
        "BACKTEST_URL": url,  # for the links in alerts
        # Workers are forked from a process that must have one thread.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
