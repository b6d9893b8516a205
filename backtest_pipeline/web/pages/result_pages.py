"""A task's report and chart, read-only, and nothing else of the volume."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from html import escape
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.types import Scope, Send

from backtest_pipeline.model.errors import TaskUnknown
from backtest_pipeline.storage.layout import CHART, REPORT, Layout

RenderMissing = Callable[[str], bytes | None]

_NOBODY_ELSES = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# A sandboxed page has an origin of its own: its scripts cannot act as the person who looks at it.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    f"{_NOBODY_ELSES}; sandbox allow-scripts allow-downloads"
)
_STILL_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; {_NOBODY_ELSES}; sandbox"
_KINDS = {REPORT: "text/html; charset=utf-8", CHART: "image/png"}
_CHUNK_BYTES = 262_144


class ResultPages:
    """`/tasks/<task_id>/report.html` and `/tasks/<task_id>/equity.png`."""

    def __init__(self, layout: Layout, render_missing: RenderMissing | None = None) -> None:
        """Serves what lies in the tasks' folders.

        Args:
            layout: of the volume.
            render_missing: makes the report of a task that has none, and returns none where it cannot.
        """
        self._layout = layout
        self._render_missing = render_missing

    async def __call__(self, rest: str, scope: Scope, send: Send) -> None:
        """Answers for what stands behind `/tasks/`; no other path is ever looked at."""
        task_id, _, name = rest.partition("/")
        try:
            folder = self._layout.task(task_id)
        except TaskUnknown:
            await _send_page(
                scope, send, 404, "there is no such task; `backtest list` shows the tasks there are"
            )
            return
        if name not in _KINDS:
            await _send_page(scope, send, 404, f"of a task there are only {' and '.join(_KINDS)} here")
            return
        descriptor = await run_in_threadpool(_opened, folder, name)
        if descriptor is not None:
            await _send_file(scope, send, descriptor, name)
            return
        made = await self._made(task_id) if name == REPORT else None
        if made is None:
            why = f"task {task_id} has no {name}: wait until it has completed; what has expired is gone"
            await _send_page(scope, send, 404, why)
            return
        await _send(scope, send, 200, _KINDS[REPORT], _REPORT_POLICY, made)

    async def _made(self, task_id: str) -> bytes | None:
        if self._render_missing is None:
            return None
        return await run_in_threadpool(self._render_missing, task_id)


def _opened(folder: Path, name: str) -> int | None:
    """A descriptor of a regular file in a real folder; none where a link or anything else stands there."""
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=parent)
    except OSError:
        return None
    finally:
        os.close(parent)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


async def _send_file(scope: Scope, send: Send, descriptor: int, name: str) -> None:
    policy = _REPORT_POLICY if name == REPORT else _STILL_POLICY
    with os.fdopen(descriptor, "rb") as file:
        left_bytes = os.fstat(descriptor).st_size
        await send(_start(200, _KINDS[name], policy, left_bytes))
        while left_bytes and scope["method"] != "HEAD":
            piece = await run_in_threadpool(file.read, min(_CHUNK_BYTES, left_bytes))
            if not piece:
                return  # somebody has cut the file; the connection ends short, which the browser notices
            left_bytes -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _send_page(scope: Scope, send: Send, status: int, sentence: str) -> None:
    page = f"<!doctype html><meta charset=utf-8><title>backtest</title><p>{escape(sentence)}</p>"
    await _send(scope, send, status, _KINDS[REPORT], _STILL_POLICY, page.encode())


async def _send(scope: Scope, send: Send, status: int, kind: str, policy: str, body: bytes) -> None:
    await send(_start(status, kind, policy, len(body)))
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _start(status: int, kind: str, policy: str, size_bytes: int) -> dict[str, object]:
    fields = {
        "content-type": kind,
        "content-length": str(size_bytes),
        "content-security-policy": policy,
        "cache-control": "no-store",
    }
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    return {"type": "http.response.start", "status": status, "headers": headers}
