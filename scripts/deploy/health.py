"""Asks one of our servers whether it is well: status 0 if so, 1 if not. It imports little, as it runs often.

health.py alive daemon
health.py alive web-3000 http http://127.0.0.1:3000/healthz
health.py alive code grpc 127.0.0.1:4000

`alive` reads the sign of life that a process leaves in DAGSTER_HOME every second. A container engine starts
again what ends and not what hangs, so a process that has given none for a minute is killed, by its own id.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_S = 12.0
SERVICE = "DagsterApi"  # under this name a code server reports its health
NOTICED_AFTER_S = 10.0
ENDED_AFTER_S = 60.0
SECOND_LOOK_S = 3.0  # a container that was frozen a moment ago gets this long


def alive(name: str) -> bool:
    """Whether a process gives signs of life; kills one that hangs for good."""
    sign = _sign(name)
    silent_s = time.time() - sign["at_s"]
    if silent_s > ENDED_AFTER_S and _started(sign["pid"]) == sign["started"]:
        time.sleep(SECOND_LOOK_S)
        if _sign(name) == sign:
            os.kill(sign["pid"], signal.SIGKILL)
            raise RuntimeError(f"no sign of life for {silent_s:.0f} s, process {sign['pid']} was killed")
    if silent_s > NOTICED_AFTER_S:
        raise RuntimeError(f"no sign of life for {silent_s:.0f} s")
    if sign["standstill"]:
        raise RuntimeError(sign["standstill"])
    return True


def _sign(name: str) -> Any:
    return json.loads((Path(os.environ["DAGSTER_HOME"]) / "alive" / f"{name}.json").read_bytes())


def _started(pid: int) -> int:
    """When the process that has the id now was started, as the kernel counts; -1 where none has it."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except OSError:
        return -1


def http(url: str) -> bool:
    """Whether our own page says that all is well: Dagster without our guard answers any path with a page."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  the compose file's own
        return bool(answer.status == 200 and json.load(answer).get("ok") is True)


def page(url: str) -> bool:
    """Whether a page of somebody else's server is there."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  the compose file's own
        return bool(answer.status == 200)


def grpc(address: str) -> bool:
    """Whether a code server says that it serves."""
    import grpc as rpc  # noqa: PLC0415  the other checks do without
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415  as above

    with rpc.insecure_channel(address) as channel:
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=TIMEOUT_S)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(words: list[str]) -> None:
    """Asks one question after another; the first that is not answered well ends it."""
    kinds = {"alive": alive, "http": http, "page": page, "grpc": grpc}
    for kind, target in zip(words[::2], words[1::2], strict=True):
        try:
            well = kinds[kind](target)
        except Exception as error:  # noqa: BLE001  whatever it is, it is not well
            sys.exit(f"{target}: {error}")
        if not well:
            sys.exit(f"{target}: not well")


if __name__ == "__main__":
    main(sys.argv[1:])
