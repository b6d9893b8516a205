"""Web server, daemon and code server as processes of this machine."""

from __future__ import annotations

import json
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from backtest_pipeline.local_service.environment import ProcessName, environment_of
from backtest_pipeline.local_service.home import end_former_code_server, locked, logs_of, prepare, socket_of
from backtest_pipeline.local_service.process import Process, stop_all
from backtest_pipeline.local_service.supervisor import Supervision
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import ServerRefused, ServerUnreachable, ServiceNotReady
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.settings import Settings
from backtest_pipeline.web.access.hosts import reached_at
from backtest_pipeline.web.access.identity import access_of, refuse_open_bind
from backtest_pipeline.web.monitoring.liveness import sign_file

_POLL_S = 0.1
_GRACE_S = 10.0
_RESTART_PAUSE_S = 1.0
_NOT_THERE_YET = (
    "DagsterUserCodeUnreachableError"  # the web server may have looked before the code server was up
)


class LocalService:
    """The pipeline's three processes, started together and stopped together.

    Attributes:
        url: the web server's address.
        processes: `code`, `web` and `daemon`, from the start on.
    """

    def __init__(self, settings: Settings, *, host: str = "127.0.0.1", port: int = 3000) -> None:
        """Prepares a service; nothing is started or written yet.

        Raises:
            BindRefused: others reach `host`, and nobody would be asked for a token.
            AccessInvalid: the tokens or the proxy's secret cannot be used.
        """
        access = access_of(settings)
        refuse_open_bind(host, access)
        self.url = f"http://{reached_at(host)}:{port}"
        # To ask our own web server whether it is ready; nobody else ever knows it.
        self._token = secrets.token_urlsafe(32) if access.required else ""
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
        self._settings.data_root.mkdir(parents=True, exist_ok=True)
        with locked(self._home), tempfile.TemporaryDirectory(prefix="backtest-") as scratch:
            prepare(self._home)
            self._refuse_taken_port()
            socket_path = socket_of(self._home)
            end_former_code_server(self._settings.code_lock, socket_path)
            self.processes = self._made_processes(socket_path, Path(scratch) / "workspace.yaml")
            deadline = time.monotonic() + timeout_s
            try:
                for process in self.processes.values():
                    process.start()
                self._wait(lambda: _listens(socket_path), "the code server", deadline)
                self._wait(self._web_is_ready, "the web server", deadline)
                yield
            finally:
                stop_all(self.processes.values(), _GRACE_S)

    def _made_processes(self, socket_path: Path, workspace: Path) -> dict[str, Process]:
        server = {"socket": str(socket_path), "location_name": tags.CODE_LOCATION}
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        code = ["-m", "backtest_pipeline.orchestration.processes.code_server", "--socket", str(socket_path)]
        code += ["--module-name", "backtest_pipeline.definitions", "--location-name", tags.CODE_LOCATION]
        web = ["-m", "backtest_pipeline.orchestration.processes.web_server", "--workspace", str(workspace)]
        web += ["--host", self._host, "--port", str(self._port)]
        daemon = [
            "-m",
            "backtest_pipeline.orchestration.processes.daemon",
            "run",
            "--workspace",
            str(workspace),
        ]
        commands: dict[ProcessName, list[str]] = {"code": code, "web": web, "daemon": daemon}
        log_format = ["--log-format", self._settings.backtest_log_format]
        logs = logs_of(self._home)
        return {
            name: Process(
                name,
                [sys.executable, *command, *log_format],
                env=environment_of(
                    name, self._settings, host=self._host, url=self.url, own_token=self._token
                ),
                log=logs / f"{name}.log",
            )
            for name, command in commands.items()
        }

    def supervise(self, report: Callable[[str], object]) -> None:
        """Restarts what dies or hangs, for ever; leave it by an exception such as KeyboardInterrupt."""
        names = {"code": "code", "web": f"web-{self._port}", "daemon": "daemon"}
        signs = {name: sign_file(self._home, of_file) for name, of_file in names.items()}
        supervision = Supervision(self.processes, signs, report)
        while True:
            time.sleep(_RESTART_PAUSE_S)
            supervision.look()

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
            with closing(GraphQL(self.url, self._token)) as graphql:
                answer = graphql.ask(queries.READY, {"location": tags.CODE_LOCATION})
        except (ServerUnreachable, ServerRefused):
            return False
        location = answer["workspaceLocationEntryOrError"]
        error = location.get("locationOrLoadError") or {}
        if error.get("className") == _NOT_THERE_YET:
            return False
        if error.get("message"):
            raise ServiceNotReady(f"the code location does not load: {error['message']}")
        daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
        return location.get("loadStatus") == "LOADED" and all(
            daemon["healthy"] for daemon in daemons if daemon["required"]
        )


def _listens(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return socket_path.exists() and probe.connect_ex(str(socket_path)) == 0
