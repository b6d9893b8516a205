"""docker-compose.yml in real containers, as the tests use it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from backtest_pipeline import BacktestClient
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline_tests.acceptance.live import free_port
from backtest_pipeline_tests.deploy import images
from backtest_pipeline_tests.deploy.container_health import health_checks
from backtest_pipeline_tests.deploy.images import ROOT
from backtest_pipeline_tests.deploy.podman import Podman, podman

PASSWORDS = {"alice": "alice's password", "victor": "victor's password"}
# What `caddy hash-password` would make of them, with fewer rounds.
_LOGINS = {
    "users": "alice $2b$04$.khOnYQoBraECUm74M9FkuJGPW68IANICJntCnZ4hwQCmxL9o7LaK\n",
    "viewers": "victor $2b$04$/zsVOCi6kqYGdbVdYsAsxOu1Q61QUQDRvgNajbuZvNID4uIOBXrkm\n",
}
# The operator's, whom neither this machine nor the images know.
OPERATOR = 1234
DATA_INSIDE = "/data"  # where docker-compose.yml mounts DATA_ROOT
_PATIENCE_S = 600
_TOOLS = (["docker", "compose"], ["docker-compose"])


@dataclass(frozen=True)
class Project:
    """All services, up and well, over the demo's candles.

    Attributes:
        engine: what runs the containers.
        folder: of data, strategies and secrets.
        variables: what an operator would have in `.env`.
        measured: how long building and starting took, and how large the images are.
    """

    engine: Podman
    folder: Path
    name: str
    variables: Mapping[str, str]
    measured: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.variables['BACKTEST_HTTPS_PORT']}"

    @property
    def http_url(self) -> str:
        return f"http://localhost:{self.variables['BACKTEST_HTTP_PORT']}"

    @property
    def data_root(self) -> Path:
        return self.folder / "data"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def token(self) -> str:
        return (self.secrets / "tokens").read_text().strip().split(":")[2]

    @property
    def authority(self) -> Path:
        """The root certificate of the proxy's own authority."""
        return self.volume("proxy") / "data/caddy/pki/authorities/local/root.crt"

    @property
    def env(self) -> dict[str, str]:
        """For whoever uses it from outside: SDK, command line, tests."""
        return outside() | {
            "BACKTEST_URL": self.url,
            "BACKTEST_TOKEN": self.token,
            "DATA_ROOT": str(self.data_root),
            "SSL_CERT_FILE": str(self.authority),
        }

    @property
    def database_env(self) -> dict[str, str]:
        """For commands that open the database beside the services; this machine is in all networks."""
        networks = self.inspect("postgres")["NetworkSettings"]["Networks"]
        return {
            "DAGSTER_HOME": str(self.volume("dagster_home")),
            "DAGSTER_PG_HOST": networks[f"{self.name}_database"]["IPAddress"],
            "DAGSTER_PG_PORT": "5432",
            "DAGSTER_PG_USERNAME": "backtest",
            "DAGSTER_PG_PASSWORD": "",
            "DAGSTER_PG_DB": "backtest",
            "PGPASSFILE": str(self.secrets / "pgpass"),
        }

    def client(self) -> BacktestClient:
        """Trusts the proxy where SSL_CERT_FILE is set to its authority."""
        return BacktestClient(self.url, token=self.token, data_root=self.data_root, patience_s=_PATIENCE_S)

    def volume(self, name: str) -> Path:
        """Where the files of a volume are."""
        told = self.engine("volume", "inspect", "--format", "{{.Mountpoint}}", f"{self.name}_{name}")
        return Path(told.strip())

    def containers(self, service: str = "") -> list[str]:
        """The ids of a service's containers, or of all services', those that have ended as well."""
        labels = {"project": self.name, "oneoff": "False"} | ({"service": service} if service else {})
        filters = [
            word
            for key, value in labels.items()
            for word in ("--filter", f"label=com.docker.compose.{key}={value}")
        ]
        return self.engine("ps", "--all", "--quiet", "--no-trunc", *filters).split()

    def container(self, service: str) -> str:
        """The id of a service's only container."""
        (found,) = self.containers(service)
        return found

    def inspect(self, service: str) -> dict[str, Any]:
        return self.engine.inspect(self.container(service))

    def compose(self, *arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Runs `docker compose …` as the operator does, its standard input `given`."""
        command = [*self._tool, "--project-directory", str(ROOT), "--file", str(ROOT / "docker-compose.yml")]
        command += ["--env-file", str(self.folder / "empty"), "--project-name", self.name, *arguments]
        env = outside() | {**self.variables, "DOCKER_HOST": f"unix://{self.engine.socket}"}
        if shutil.which("docker") is None:
            env["COMPOSE_INTERACTIVE_NO_CLI"] = "1"
        return subprocess.run(
            command, env=env, input=given or b"", capture_output=True, check=False, timeout=_PATIENCE_S
        )

    def order(self, *arguments: str) -> None:
        """Has compose do something, such as `restart code`, which has to work."""
        done = self.compose(*arguments)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr.decode()}\n{self.logs()}"

    def start(self) -> None:
        """Starts everything and waits until it is well."""
        self.order("up", "--no-build", "--detach")
        self.wait_until_well()

    def wait_until_well(self) -> None:
        """Waits until every container says that it is healthy."""
        deadline = time.monotonic() + _PATIENCE_S
        while waiting := self._unwell():
            assert time.monotonic() < deadline, f"{waiting} not well in {_PATIENCE_S} s\n{self.logs()}"
            time.sleep(0.5)

    def _unwell(self) -> list[str]:
        known = (self.engine.inspect(container) for container in self.containers())
        services = ((one["Config"]["Labels"]["com.docker.compose.service"], one["State"]) for one in known)
        return [
            service
            for service, state in services
            if service != "setup" and state["Health"]["Status"] != "healthy"
        ]

    def said(self, service: str, *command: str) -> str:
        """What a command in a service's container prints; it has to work."""
        done = self.compose("exec", "-T", service, *command)
        assert done.returncode == 0, (command, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def script(self, name: str, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Runs a script in the container `code`, or in one of its kind while that is stopped."""
        running = self.inspect("code")["State"]["Running"]
        way = ["exec", "-T"] if running else ["run", "--rm", "-T", "--no-deps"]
        return self.compose(*way, "code", "python", f"scripts/{name}", *arguments, given=given)

    def kill(self, service: str) -> None:
        """Kills a container's first process with signal 9, as a crash would."""
        os.kill(int(self.inspect(service)["State"]["Pid"]), signal.SIGKILL)

    def logs(self, lines: int = 15) -> str:
        """The end of every service's log."""
        done = self.compose("logs", "--no-color", f"--tail={lines}")
        return (done.stdout + done.stderr).decode(errors="replace")

    def as_operator(self, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of this machine as the operator, who may read what root may.

        It sees DATA_ROOT where the services see it, as a client's machine that has mounted the folder there.
        """
        home = str(self.folder / "home")
        places = {"HOME": home, "PYTEST_DEBUG_TEMPROOT": home, "DATA_ROOT": DATA_INSIDE}
        rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        user = [f"--reuid={OPERATOR}", f"--regid={OPERATOR}", "--clear-groups"]
        mounted = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"']
        with _mount_point(DATA_INSIDE):
            return subprocess.run(
                [*mounted, str(self.data_root), DATA_INSIDE, "setpriv", *user, *rights, *command],
                cwd=ROOT,
                env={**self.env, **places, **env},
                capture_output=True,
                text=True,
                check=False,
                timeout=2 * _PATIENCE_S,
            )

    @cached_property
    def _tool(self) -> list[str]:
        for command in _TOOLS:
            if (
                shutil.which(command[0])
                and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
            ):
                return command
        raise AssertionError("no compose tool; `scripts/test -m deployment` installs docker-compose")


@contextmanager
def running_project(strategies: Path) -> Iterator[Project]:
    """Builds the images and starts the whole deployment, with two people who may log in.

    Args:
        strategies: a module that is put into the folder of the operator's own strategies.
    """
    with podman() as engine:
        folder = engine.folder / "operator"
        variables = {
            "BACKTEST_SECRETS": str(folder / "secrets"),
            "DATA_ROOT": str(folder / "data"),
            "BACKTEST_STRATEGY_FOLDER": str(folder / "strategies"),
            "BACKTEST_STRATEGIES": strategies.stem,
            "BACKTEST_HTTP_PORT": str(free_port()),
            "BACKTEST_HTTPS_PORT": str(free_port()),
            "BACKTEST_UID": str(OPERATOR),
            "BACKTEST_GID": str(OPERATOR),
        }
        project = Project(engine, folder, f"backtest-{secrets.token_hex(4)}", variables)
        images.load_stand_ins(engine)
        for target, tag in images.ours().items():
            project.measured[f"building {target}"] = f"{images.build(engine, target, tag):.0f} s"
            project.measured[f"size of {target}"] = f"{engine.size(tag) / 1e6:.0f} MB"
        _prepare(project, strategies)
        with health_checks(engine):
            try:
                project.measured["from up until all is well"] = f"{seconds(project.start):.0f} s"
                yield project
            finally:
                project.compose("--profile", "cluster", "down", "--volumes")


def _prepare(project: Project, strategies: Path) -> None:
    """What an operator has done before the first start."""
    folder = project.folder
    (folder / "home").mkdir(parents=True)
    (folder / "empty").touch()
    prepare = [ROOT / "scripts/deploy/prepare"]
    subprocess.run(prepare, env=outside() | {**project.variables}, cwd=folder, check=True)
    for file, line in _LOGINS.items():
        (folder / "secrets" / file).write_text(line)
    import_demo(CandleStore(folder / "data"))
    shutil.copy(strategies, folder / "strategies")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, OPERATOR, OPERATOR)
    project.engine.folder.chmod(0o711)  # the operator has to get to what is theirs


@contextmanager
def _mount_point(folder: str) -> Iterator[None]:
    """Makes a folder for the block, unless this machine has it."""
    path = Path(folder)
    ours = not path.exists()
    if ours:
        path.mkdir()
    try:
        yield
    finally:
        if ours:
            path.rmdir()


def seconds(action: Callable[[], None]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def outside() -> dict[str, str]:
    """This environment without what is the pipeline's."""
    ours = ("DAGSTER_", "BACKTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
