"""docker-compose.yml with its variables put in: by a compose tool where there is one, else by ourselves.

The tool's `config` needs no container engine. Ours knows what this file uses: `${NAME:-default}`, YAML
anchors and merges, environments and commands as they are written there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>[^{}]*))?\}")
_TOOLS = (["docker", "compose"], ["docker-compose"])


@dataclass(frozen=True)
class Service:
    """What is needed of a service to run its command.

    Attributes:
        volumes: path inside to the folder outside, or to the name of a volume.
        secrets: path inside to the file outside.
        depends_on: service to the condition that it must have reached.
        health: the command of the health check, empty where there is none.
        health_every_s: how often an engine runs it, in seconds.
        stop_grace_s: how long it may take to stop, in seconds.
    """

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    ports: list[int]
    volumes: dict[str, str]
    secrets: dict[str, str]
    depends_on: dict[str, str]
    health: list[str]
    health_every_s: float
    stop_signal: str
    stop_grace_s: float
    restarts: bool


def services(file: Path, env: Mapping[str, str], *, tool: bool = True) -> dict[str, Service]:
    """Reads the services of a compose file.

    Args:
        file: the compose file.
        env: its variables; those of a `.env` beside the file are not read.
        tool: whether to ask a compose tool, where one is installed.
    """
    command = _tool() if tool else None
    content = _told_by(command, file, env) if command else _substituted(yaml.safe_load(file.read_text()), env)
    secrets = {name: _outside(one["file"], file) for name, one in content["secrets"].items()}
    return {name: _service(name, one, secrets, file) for name, one in content["services"].items()}


def _tool() -> list[str] | None:
    for command in _TOOLS:
        if shutil.which(command[0]):
            version = subprocess.run([*command, "version"], capture_output=True, check=False)  # noqa: S603  as above
            if version.returncode == 0:
                return command
    return None


def _told_by(command: list[str], file: Path, env: Mapping[str, str]) -> Any:
    with tempfile.NamedTemporaryFile() as nothing:  # /dev/null is no file to it
        told = subprocess.run(  # noqa: S603  one of _TOOLS
            [*command, "--env-file", nothing.name, "--file", str(file), "config"],
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
            capture_output=True,
            text=True,
            check=False,
        )
    if told.returncode:
        raise SystemExit(f"{file} is not right: {told.stderr}")
    return yaml.safe_load(told.stdout)


def _substituted(content: Any, env: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        return {key: _substituted(value, env) for key, value in content.items()}
    if isinstance(content, list):
        return [_substituted(value, env) for value in content]
    if isinstance(content, str):
        return _VARIABLE.sub(lambda match: env.get(match["name"]) or match["default"] or "", content)
    return content


def _service(name: str, content: Mapping[str, Any], secrets: Mapping[str, str], file: Path) -> Service:
    depends_on = content.get("depends_on", {})
    if isinstance(depends_on, list):
        depends_on = {other: {"condition": "service_started"} for other in depends_on}
    test = content.get("healthcheck", {}).get("test", ["NONE"])
    mine = [one if isinstance(one, str) else one["source"] for one in content.get("secrets", [])]
    return Service(
        name=name,
        image=content["image"],
        command=[str(word) for word in content["command"]],
        environment={key: str(value or "") for key, value in content.get("environment", {}).items()},
        ports=[*map(int, content.get("expose", [])), *(_port(one) for one in content.get("ports", []))],
        volumes=dict(_volume(one, file) for one in content.get("volumes", [])),
        secrets={f"/run/secrets/{one}": secrets[one] for one in mine},
        depends_on={other: one["condition"] for other, one in depends_on.items()},
        health=[] if test[0] == "NONE" else [str(word) for word in test[1:]],
        health_every_s=_seconds(content.get("healthcheck", {}).get("interval", "30s")),
        stop_signal=content.get("stop_signal", "SIGTERM"),
        stop_grace_s=_seconds(content.get("stop_grace_period", "10s")),
        restarts=content.get("restart", "no") != "no",
    )


def _volume(one: str | Mapping[str, Any], file: Path) -> tuple[str, str]:
    if not isinstance(one, str):
        return one["target"], one["source"]
    source, target = one.split(":")[:2]
    return target, _outside(source, file) if source[0] in "./~" else source


def _outside(path: str, file: Path) -> str:
    return str((file.parent / Path(path).expanduser()).resolve())


def _port(one: str | Mapping[str, Any]) -> int:
    return int(one.rpartition(":")[2].partition("/")[0]) if isinstance(one, str) else int(one["target"])


def _seconds(duration: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return float(
        sum(int(number) * units[unit] for number, unit in re.findall(r"(?<!\d)(\d+)([hms])", duration))
    )
