"""A podman of the tests' own: images, containers, volumes and networks are in one folder, and go with it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest_pipeline_tests.deploy import strict_runc

NEEDED = ("podman", "buildah", "runc", "iptables", "debootstrap", "catatonit", "setpriv", "unshare")
_START_S = 120
# Limits can only be lowered, and podman lowers its own before it starts anything.
_MOST_FILES, _MOST_PROCESSES = 65_536, 8_192

_CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
init_path = "{init}"

[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/state"

[engine.runtimes]
runc = ["{folder}/runc"]
"""
_STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


@dataclass(frozen=True)
class Podman:
    """Commands of an engine whose state is in `folder`."""

    folder: Path

    @property
    def socket(self) -> Path:
        """Where compose tools reach it, as they reach Docker."""
        return self.folder / "podman.sock"

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
            "CONTAINERS_REGISTRIES_CONF": f"{self.folder}/registries.conf",
            # Health checks are asked for by container_health.py, as there may be no systemd with timers.
            "DISABLE_HC_SYSTEMD": "true",
        }

    def __call__(self, *arguments: str | Path, check: bool = True) -> str:
        """What a command prints; its complaints are told when it fails."""
        done = subprocess.run(
            ["podman", "--log-level", "error", *map(str, arguments)],  # noqa: S607  where it is installed
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, (
            f"podman {arguments[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
        return done.stdout

    def build(self, tag: str, context: Path, *options: str) -> float:
        """Builds an image without asking any registry for its base; returns the seconds that it took."""
        started = time.monotonic()
        how = ["--isolation", "chroot", "--network", "host", "--pull=never"]
        self("build", *how, *options, "--tag", f"docker.io/library/{tag}", context)
        return time.monotonic() - started

    def size(self, tag: str) -> int:
        """The bytes of an image with all its layers."""
        return int(self("image", "inspect", "--format", "{{.Size}}", f"docker.io/library/{tag}"))

    def inspect(self, name: str) -> dict[str, Any]:
        """All that podman knows of a container."""
        found: dict[str, Any] = json.loads(self("container", "inspect", name))[0]
        return found

    def processes(self, name: str) -> list[int]:
        """The process ids of a container, as this machine has them."""
        return [int(line) for line in self("top", name, "hpid").splitlines()[1:]]

    def write_configuration(self) -> None:
        """Writes podman's own files, which say that everything is in this folder."""
        facts = {
            "folder": self.folder,
            "files": _at_most(resource.RLIMIT_NOFILE, _MOST_FILES),
            "processes": _at_most(resource.RLIMIT_NPROC, _MOST_PROCESSES),
            "init": shutil.which("catatonit"),
        }
        (self.folder / "networks").mkdir()
        (self.folder / "containers.conf").write_text(_CONTAINERS_CONF.format(**facts))
        (self.folder / "storage.conf").write_text(_STORAGE_CONF.format(**facts))
        (self.folder / "registries.conf").write_text('unqualified-search-registries = ["docker.io"]\n')
        runtime = self.folder / "runc"
        runtime.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{strict_runc.__file__}" "$@"\n')
        runtime.chmod(0o755)


def _at_most(kind: int, most: int) -> int:
    """This process's own limit, where it is lower."""
    own = resource.getrlimit(kind)[1]
    return most if own == resource.RLIM_INFINITY else min(own, most)


@contextmanager
def podman() -> Iterator[Podman]:
    """An engine that answers on its socket; whatever it has made is gone afterwards."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    assert not missing, f"{', '.join(missing)}: not installed; `scripts/test -m deployment` does it"
    assert os.geteuid() == 0, "containers with networks of their own are started by root; use sudo"
    folder = Path(tempfile.mkdtemp(prefix="backtest-containers-", dir="/var/tmp"))
    engine = Podman(folder)
    chains = _chains()
    try:
        engine.write_configuration()
        with (folder / "service.log").open("w") as log:
            command = ["podman", "system", "service", "--time", "0", f"unix://{engine.socket}"]
            service = subprocess.Popen(command, env=engine.env, stdout=log, stderr=log)
        try:
            _await(engine.socket, service, folder / "service.log")
            yield engine
        finally:
            service.terminate()
            service.wait()
    finally:
        _remove(engine)
        _remove_chains(chains)


def _await(socket: Path, service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not socket.exists():
        assert service.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"podman does not answer: {log.read_text()}"
        time.sleep(0.05)


def _remove(engine: Podman) -> None:
    """Ends the containers, which frees networks and mounts, and removes the folder."""
    engine("rm", "--all", "--force", "--time", "0", check=False)
    engine("network", "prune", "--force", check=False)
    for pid in _processes_with(f"{engine.folder}/"):  # what watched commands in containers stays for minutes
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted(mounted, reverse=True):
        if place.startswith(f"{engine.folder}/"):
            subprocess.run(["umount", place], check=False)  # noqa: S607  this system's own
    shutil.rmtree(engine.folder)


def _processes_with(words: str) -> list[int]:
    """The ids of the processes whose command has these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            if words.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _chains() -> set[str]:
    """The chains that networks of containers have in the firewall's table of addresses."""
    command = ["iptables", "--table", "nat", "--list-rules"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"^-N (NETAVARK-DN-\S+)", told, re.MULTILINE))


def _remove_chains(before: set[str]) -> None:
    """Removes those that are left behind, empty; one that is in use refuses."""
    for chain in _chains() - before:
        subprocess.run(
            ["iptables", "--table", "nat", "--delete-chain", chain],  # noqa: S607  Debian's
            capture_output=True,
            check=False,
        )
