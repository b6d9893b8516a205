"""docker-compose.yml, running as processes of this machine, as the tests use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest_pipeline import BacktestClient
from backtest_pipeline.cli.demo_candles import import_demo
from backtest_pipeline.storage.candle_store import CandleStore

ROOT = Path(__file__).parents[2]
PASSWORDS = {"alice": "alice's password", "victor": "victor's password"}
# What `caddy hash-password` would make of them, with fewer rounds.
_LOGINS = {
    "users": "alice $2b$04$.khOnYQoBraECUm74M9FkuJGPW68IANICJntCnZ4hwQCmxL9o7LaK\n",
    "viewers": "victor $2b$04$/zsVOCi6kqYGdbVdYsAsxOu1Q61QUQDRvgNajbuZvNID4uIOBXrkm\n",
}
_PATIENCE_S = 180


@dataclass(frozen=True)
class Project:
    """All services, up and well, over the demo's candles.

    Attributes:
        facts: what the script told when all was well.
        folder: of volumes, secrets and logs.
    """

    facts: dict[str, Any]
    folder: Path
    _process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    @property
    def data_root(self) -> Path:
        return Path(self.facts["environment"]["DATA_ROOT"])

    @property
    def token(self) -> str:
        return Path(self.facts["secrets"], "tokens").read_text().strip().split(":")[2]

    @property
    def env(self) -> dict[str, str]:
        """For whoever uses it from outside: SDK, command line, tests."""
        return _outside() | {
            "BACKTEST_URL": self.url,
            "BACKTEST_TOKEN": self.token,
            "DATA_ROOT": str(self.data_root),
            "SSL_CERT_FILE": str(self.facts["ca"]),
        }

    def client(self) -> BacktestClient:
        """Trusts the proxy where SSL_CERT_FILE is set to its authority."""
        return BacktestClient(self.url, token=self.token, data_root=self.data_root, patience_s=_PATIENCE_S)

    def order(self, line: str) -> None:
        """Has the script do something, such as `restart code`, and waits for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == f"done: {line}\n", self.logs()

    def logs(self, lines: int = 5) -> str:
        """The end of every service's log."""
        logs = sorted((self.folder / "logs").glob("*.log"))
        ends = ((log.name, log.read_text(errors="replace").splitlines()[-lines:]) for log in logs)
        return "\n".join(f"== {name}\n" + "\n".join(end) for name, end in ends)

    def script(self, name: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Runs a script as `docker compose exec code` would: with the code server's environment."""
        command = [sys.executable, str(ROOT / "scripts" / name), *arguments]
        env = self.facts["environment"]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )


@contextmanager
def running_project(**settings: str) -> Iterator[Project]:
    """Starts the whole deployment in a folder of its own, with two people who may log in."""
    with tempfile.TemporaryDirectory(prefix="backtest-project-") as scratch:
        folder = Path(scratch)
        mine = {
            "BACKTEST_SECRETS": str(folder / "secrets"),
            "DATA_ROOT": str(folder / "data"),
            "BACKTEST_STRATEGY_FOLDER": str(ROOT),
            **settings,
        }
        env = _outside() | mine
        subprocess.run(
            [ROOT / "scripts/deploy/prepare"], env=env, cwd=folder, capture_output=True, check=True
        )
        for file, line in _LOGINS.items():
            (folder / "secrets" / file).write_text(line)
        import_demo(CandleStore(folder / "data"))
        script = [
            sys.executable,
            str(ROOT / "scripts/compose_as_processes.py"),
            "--folder",
            scratch,
            "--json",
        ]
        log = (folder / "project.log").open("w")
        with (
            log,
            subprocess.Popen(
                script, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            ) as process,
        ):
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("ready: "), (folder / "project.log").read_text()
            yield Project(json.loads(said.removeprefix("ready: ")), folder, process)
            process.communicate("quit\n", timeout=_PATIENCE_S)


def _outside() -> dict[str, str]:
    """This environment without what is the pipeline's."""
    ours = ("DAGSTER_", "BACKTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
