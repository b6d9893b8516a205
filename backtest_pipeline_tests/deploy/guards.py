"""What a service's containers may do, as the kernel and the containers themselves say."""

from __future__ import annotations

from pathlib import Path

from backtest_pipeline_tests.deploy.project import OPERATOR, Project

NET_BIND_SERVICE = 1 << 10
"""The capability that Caddy's program carries."""
# It may not look into every folder, and has no rights below those either.
_WRITABLE = (
    r"find / \( -path /proc -o -path /sys -o -path /dev \) -prune -o -writable -type d -print 2>/dev/null; :"
)
_LIMIT = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"


def require_guarded(
    project: Project, service: str, *, may_write: set[str], memory: int, capabilities: int = 0
) -> None:
    """A service writes to these folders and no other, and has this memory and these rights at most."""
    assert _tops(set(project.said(service, "sh", "-c", _WRITABLE).split())) == may_write
    assert int(project.said(service, "sh", "-c", _LIMIT)) == memory
    for container in project.containers(service):
        for pid in project.engine.processes(container):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            status = dict(line.split(":\t", 1) for line in lines)
            rights = int(status["CapPrm"], 16) | int(status["CapBnd"], 16) | int(status["CapAmb"], 16)
            assert rights == capabilities
            assert status["NoNewPrivs"] == "1"
            assert set(status["Uid"].split()) | set(status["Gid"].split()) == {str(OPERATOR)}


def _tops(folders: set[str]) -> set[str]:
    """Those that are in no other of them."""
    return {one for one in folders if not any(one.startswith(f"{other}/") for other in folders)}


def has_way_out(project: Project, service: str) -> bool:
    """Whether a service's only container has a default route."""
    pid = project.inspect(service)["State"]["Pid"]
    routes = Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]
    return any(line.split()[1] == "00000000" for line in routes)


def require_no_secret_is_seen(project: Project, service: str, secrets: list[str]) -> None:
    """Neither environment nor arguments of a service's processes, as the kernel keeps them, have a secret."""
    processes = [pid for one in project.containers(service) for pid in project.engine.processes(one)]
    told = [Path(f"/proc/{pid}/{kind}").read_bytes() for pid in processes for kind in ("environ", "cmdline")]
    # The right processes: what started them is in all environments.
    assert any(b"PATH=" in one for one in told)
    for secret in secrets:
        assert len(secret) > len("secret")
        assert not any(secret.encode() in one for one in told)
