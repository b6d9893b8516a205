"""What differs between a service in its container and the same service as a process of this machine.

- Paths inside become paths outside: volumes, secrets, `/app` (the repository).
- Names of services become 127.0.0.1, as does the address 0.0.0.0; every port becomes a free one.
- `python`, `postgres` and `caddy` are those of this machine, whose PATH stands for the images'.
- PostgreSQL's image makes the database at its first start; here `first_start` does, in the same way.
- Caddy before 2.8 knows the directive `basic_auth` as `basicauth`.
- User, read-only file system, dropped capabilities, limits of memory, networks and logs are the engine's
  business, and not had here.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from compose_file import Service

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
_POSTGRES_USER = "postgres"


def mapped(services: Mapping[str, Service], folder: Path) -> tuple[dict[str, Service], dict[int, int]]:
    """The services as they run here, and which port stands for which.

    Args:
        services: as docker-compose.yml has them.
        folder: where named volumes get their folders.
    """
    ports = dict(zip(known := sorted(_ports(services.values())), _free_ports(len(known)), strict=True))
    return {name: _mapped(one, services, ports, folder) for name, one in services.items()}, ports


def _ports(services: Iterable[Service]) -> set[int]:
    """Those that services expose, publish or have in a variable that ends in `_PORT`."""
    found = set()
    for one in services:
        found |= set(one.ports)
        found |= {int(value) for name, value in one.environment.items() if name.endswith("_PORT")}
    return found


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind((LOOPBACK, 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _mapped(one: Service, services: Mapping[str, Service], ports: Mapping[int, int], folder: Path) -> Service:
    volumes = {
        inside: outside if outside.startswith("/") else str(folder / "volumes" / outside)
        for inside, outside in one.volumes.items()
    }
    paths = {**volumes, **one.secrets, "/app": str(ROOT)}
    secrets_folder = {str(Path(outside).parent) for outside in one.secrets.values()}
    if len(secrets_folder) == 1:
        paths["/run/secrets"] = secrets_folder.pop()

    def here(text: str) -> str:
        text = _replaced_paths(text, paths)
        names = "|".join(services)
        text = re.sub(rf"(?<![\w.-])(?:{names}):(?=\d)", f"{LOOPBACK}:", text).replace("0.0.0.0", LOOPBACK)  # noqa: S104  replaced
        return re.sub(r"(?<![\w.])\d{4,5}(?![\w.])", lambda port: _port(port[0], ports), text)

    environment = {
        name: LOOPBACK if name.endswith("_HOST") and value in services else here(value)
        for name, value in one.environment.items()
    }
    return replace(
        one,
        command=[here(word) for word in one.command],
        environment={**_image_environment(folder), **environment, **_extra_environment(one)},
        health=[here(word) for word in one.health],
        volumes=volumes,
    )


def _replaced_paths(text: str, paths: Mapping[str, str]) -> str:
    """Each path inside becomes the one outside, the longest first and each place once."""
    inside = "|".join(re.escape(path) for path in sorted(paths, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])({inside})(?=/|$|:)", lambda path: paths[path[1]], text)


def _port(text: str, ports: Mapping[int, int]) -> str:
    return str(ports.get(int(text), text))


def _image_environment(folder: Path) -> dict[str, str]:
    """What an image's own environment has."""
    programs = [str(Path(sys.executable).parent), *_postgres_programs(), os.environ["PATH"]]
    return {
        "PATH": os.pathsep.join(programs),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


def _extra_environment(one: Service) -> dict[str, str]:
    if one.command[0] != "caddy":
        return {}
    version = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout  # noqa: S607  Debian's
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    return {"PROXY_BASIC_AUTH": "basic_auth" if numbers >= [2, 8] else "basicauth"}


def _postgres_programs() -> list[str]:
    """Debian keeps them off the path; the newest there are."""
    return [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]]


def first_start(one: Service, ports: Mapping[int, int]) -> Service:
    """Does what the image of PostgreSQL does before its server starts; any other service is left as it is."""
    if one.command[0] != "postgres":
        return one
    data = Path(one.environment["PGDATA"])
    data.parent.mkdir(parents=True, exist_ok=True)
    prefix = _as_postgres(data.parent)
    path = {"PATH": one.environment["PATH"]}
    if not (data / "PG_VERSION").exists():
        password = data.parent / "password"
        password.write_bytes(Path(one.environment["POSTGRES_PASSWORD_FILE"]).read_bytes())
        if prefix:
            os.chown(password, pwd.getpwnam(_POSTGRES_USER).pw_uid, -1)
        options = [
            f"--username={one.environment['POSTGRES_USER']}",
            f"--pwfile={password}",
            "--auth-local=trust",
        ]
        options += [*one.environment["POSTGRES_INITDB_ARGS"].split(), f"--pgdata={data}", "--no-sync"]
        _run([*prefix, "initdb", *options], path)
        password.unlink()
        database = f"CREATE DATABASE {one.environment['POSTGRES_DB']};"
        _run([*prefix, "postgres", "--single", "-D", str(data), "postgres"], path, database)
    own = {
        "port": ports[5432],
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": data.parent,
        "fsync": "off",
    }
    further = [word for key, value in own.items() for word in ("-c", f"{key}={value}")]
    return replace(one, command=[*prefix, *one.command, *further])


def _as_postgres(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    os.chown(folder, pwd.getpwnam(_POSTGRES_USER).pw_uid, -1)
    program = shutil.which("setpriv") or "setpriv"
    user = [f"--reuid={_POSTGRES_USER}", f"--regid={_POSTGRES_USER}", "--clear-groups"]
    return [program, *user, "--pdeathsig=INT"]


def _run(command: Sequence[str], env: Mapping[str, str], text: str = "") -> None:
    done = subprocess.run(  # noqa: S603  PostgreSQL's own programs
        list(command), env=dict(env), input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr}")
