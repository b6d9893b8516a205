"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0


def until(happened: Callable[[], bool], what: str) -> None:
    """Look again and again until it has happened; fail where it takes longer than `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.02)
