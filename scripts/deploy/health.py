"""Asks one of our servers whether it is well: status 0 if so, 1 if not. It imports little, as it runs often.

health.py http http://127.0.0.1:3000/healthz
health.py grpc 127.0.0.1:4000
"""

from __future__ import annotations

import json
import sys
import urllib.request

TIMEOUT_S = 12.0
SERVICE = "DagsterApi"  # under this name a code server tells of its health


def http(url: str) -> bool:
    """Whether our own page says that all is well: Dagster without our door answers any path with a page."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  the compose file's own
        return bool(answer.status == 200 and json.load(answer).get("ok") is True)


def grpc(address: str) -> bool:
    """Whether a code server says that it serves."""
    import grpc as rpc  # noqa: PLC0415  the other check does without
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415  as above

    with rpc.insecure_channel(address) as channel:
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=TIMEOUT_S)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    kind, target = sys.argv[1:]
    try:
        well = {"http": http, "grpc": grpc}[kind](target)
    except Exception as error:  # noqa: BLE001  whatever it is, it is not well
        sys.exit(f"{target}: {error}")
    sys.exit(0 if well else 1)
