"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 180.0
"""How long a test waits at most for what takes a moment: other tests use the same processors."""


def until(happened: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Look again and again until it has happened; fail where it takes longer than `patience_s`."""
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline, f"waited {patience_s} s for {what}"
        time.sleep(0.05)
