"""Runs the containers' health checks: Docker does so itself, podman leaves it to systemd."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from backtest_pipeline_tests.deploy.podman import Podman

_POLL_S = 1.0
_WHILE_STARTING_S = (
    3.0  # a container that starts is asked more often, so that others wait no longer than needed
)
_NS = 1_000_000_000


@contextmanager
def health_checks(engine: Podman) -> Iterator[None]:
    """Health checks run for the block."""
    ended = threading.Event()
    thread = threading.Thread(target=_ask_all, args=(engine, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _ask_all(engine: Podman, ended: threading.Event) -> None:
    due_s: dict[str, float] = {}
    busy: set[str] = set()

    def ask(container: str, every_s: float) -> None:
        engine("healthcheck", "run", container, check=False)
        due_s[container] = time.monotonic() + every_s
        busy.discard(container)

    with ThreadPoolExecutor() as pool:
        while not ended.wait(_POLL_S):
            for one in json.loads(engine("ps", "--format", "json", check=False) or "[]"):
                container = one["Id"]
                if container not in busy and time.monotonic() >= due_s.get(container, 0):
                    busy.add(container)
                    pool.submit(ask, container, _interval_s(engine, container))


def _interval_s(engine: Podman, container: str) -> float:
    try:
        known: dict[str, Any] = engine.inspect(container)
    except AssertionError:  # it is gone
        return _WHILE_STARTING_S
    check = known["Config"].get("Healthcheck")
    if check is None:
        return float("inf")
    starting = known["State"]["Health"]["Status"] == "starting"
    return _WHILE_STARTING_S if starting else float(check["Interval"]) / _NS
