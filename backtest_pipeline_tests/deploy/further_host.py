"""A further host for workers: a compose project of its own, on networks of its own, on the same machine.

It shares with the first host what real ones share: the folder of data, and an address at which the others
reach its PostgreSQL and Redis.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from backtest_pipeline_tests.acceptance.wires import wire
from backtest_pipeline_tests.deploy import cluster
from backtest_pipeline_tests.deploy.images import ROOT
from backtest_pipeline_tests.deploy.project import OPERATOR, Project

SERVED = {"postgres": 5432, "redis": 6379}
# What docs/deployment.md has copied from the first host.
_COPIED = ("pgpass", "redis_conf")


@contextmanager
def network_of_hosts() -> Iterator[tuple[str, str]]:
    """Two addresses: where the first host is to publish its ports, and where a further one finds them.

    A wire joins them, as podman lets no container reach another network, be it by a published port.
    """
    with ExitStack() as stack:
        first, found = (stack.enter_context(_address()) for _ in range(2))
        for port in SERVED.values():
            stack.enter_context(wire(port, to=first, at=(found, port)))
        yield first, found


@contextmanager
def _address() -> Iterator[str]:
    """An address of this machine that no other program listens at."""
    address = f"10.{secrets.randbelow(80) + 1}.{secrets.randbelow(254) + 1}.1"
    where = [f"{address}/32", "dev", "lo"]
    subprocess.run(["ip", "address", "add", *where], check=True)  # noqa: S607  Debian's
    try:
        yield address
    finally:
        subprocess.run(["ip", "address", "delete", *where], check=True)  # noqa: S607  as above


@contextmanager
def served_to_hosts(project: Project, address: str) -> Iterator[None]:
    """The first host publishes PostgreSQL and Redis at the address."""
    first = replace(project, variables={**project.variables, "BACKTEST_CLUSTER_ADDRESS": address})
    more = ["--file", str(ROOT / "scripts/deploy/first_host.yml")]
    up = ["--profile", "cluster", "up", "--no-build", "--no-deps", "--detach", *SERVED]
    first.order(*more, *up)
    try:
        first.wait_until_well()
        yield
    finally:
        project.order(*up)
        project.wait_until_well()


@contextmanager
def further_host(project: Project, address: str, workers: int) -> Iterator[Project]:
    """A host that runs workers alone, by the commands of docs/deployment.md."""
    folder = project.engine.folder / "further"
    further = Project(
        project.engine,
        folder,
        f"{project.name}-further",
        {
            **project.variables,
            "BACKTEST_SECRETS": str(folder / "secrets"),
            "BACKTEST_DATABASE_HOST": address,
            "BACKTEST_BROKER_HOST": address,
        },
    )
    (folder / "secrets").mkdir(parents=True)
    (folder / "empty").touch()
    for name in _COPIED:
        shutil.copy(project.secrets / name, folder / "secrets")
    cluster.prepare(further)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, OPERATOR, OPERATOR)
    try:
        alone = ["--no-build", "--detach", "--no-deps", "--scale", f"worker={workers}", "worker"]
        further.order("--profile", "cluster", "up", *alone)
        further.wait_until_well()
        yield further
    finally:
        further.compose("--profile", "cluster", "down", "--volumes")
        shutil.rmtree(folder)
