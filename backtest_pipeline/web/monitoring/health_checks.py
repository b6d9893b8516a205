"""What `/healthz` says of the service."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.responses import Response

from backtest_pipeline.web.access.identity import User
from backtest_pipeline.web.access.refusal import json_answer
from backtest_pipeline.web.monitoring.cached import Cached

_log = logging.getLogger("dagster-webserver.health")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be.
        detail: what was found and, where it is not ok, what to do.
    """

    name: str
    ok: bool
    detail: str


def free_bytes(data_root: Path) -> int | None:
    """What is free on the volume, or `None` where nobody can say."""
    try:
        return shutil.disk_usage(data_root).free
    except OSError:
        return None


def disk_check(data_root: Path, least_free_bytes: int) -> Check:
    """Whether results still find room on the volume."""
    free = free_bytes(data_root)
    if free is None:
        return Check("disk", ok=False, detail=f"{data_root} cannot be reached; mount it or make it readable")
    found = f"{free / 1e9:.1f} GB free in {data_root}"
    if free < least_free_bytes:
        advice = f"make room: at least {least_free_bytes / 1e9:.1f} GB; see `backtest cleanup`"
        return Check("disk", ok=False, detail=f"{found}; {advice}")
    return Check("disk", ok=True, detail=found)


async def health_answer(checks: Cached[Sequence[Check]], user: User | None, *, guarded: bool) -> Response:
    """An answer of 200 where everything is well and 503 where not; strangers hear nothing else.

    Args:
        checks: looks at the service.
        user: who asks, as far as the guard knows.
        guarded: whether the request has come through the guard; where it has not, nothing has.
    """
    try:
        found = await checks.get()
    except TimeoutError:
        found = [Check("service", ok=False, detail="the checks take too long; see the web server's log")]
    except Exception as error:  # noqa: BLE001  whatever it is, the service is not well, and this page says so
        problem = f"the checks failed ({type(error).__name__}); see the web server's log"
        _log.warning("%s", problem, exc_info=error)
        found = [Check("service", ok=False, detail=problem)]
    if not guarded:
        found = [*found, Check("guard", ok=False, detail="nobody checks who comes in; stop the web server")]
    ok = all(check.ok for check in found)
    shown = {"ok": ok} if user is None else {"ok": ok, "checks": [asdict(check) for check in found]}
    return json_answer(200 if ok else 503, shown)
