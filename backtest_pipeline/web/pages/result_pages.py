"""A task's report and chart, read-only, and nothing else of the volume."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable
from html import escape
from pathlib import Path
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from backtest_pipeline.model.errors import TaskUnknown
from backtest_pipeline.storage.layout import CHART, HEATMAP, REPORT, Layout

RenderMissing = Callable[[str, str], bytes | None]

_NOBODY_ELSES = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# A sandboxed page has an origin of its own: its scripts cannot act as the person who looks at it.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    f"{_NOBODY_ELSES}; sandbox allow-scripts allow-downloads"
)
_STILL_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; {_NOBODY_ELSES}; sandbox"
_KINDS = {REPORT: "text/html; charset=utf-8", CHART: "image/png", HEATMAP: "image/png"}
_POLICIES = {REPORT: _REPORT_POLICY, CHART: _STILL_POLICY, HEATMAP: _STILL_POLICY}
_CHUNK_BYTES = 262_144


class ResultPages:
    """`/tasks/<task_id>/report.html`, and `equity.png` or a sweep's `heatmap.png` beside it."""

    def __init__(self, layout: Layout, render_missing: RenderMissing | None = None) -> None:
        """Serves what lies in the tasks' folders.

        Args:
            layout: of the volume.
            render_missing: draws the file of a name for a task that has none; `None` where it cannot.
        """
        self._layout = layout
        self._render_missing = render_missing

    async def __call__(self, rest: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers for what stands behind `/tasks/`; no other path is ever looked at."""
        task_id, _, name = rest.partition("/")
        try:
            folder = self._layout.task(task_id)
        except TaskUnknown:
            answer = _page(404, "there is no such task; `backtest list` shows the tasks there are")
        else:
            if name in _KINDS:
                await self._send_result(task_id, folder / name, scope, receive, send)
                return
            answer = _page(404, f"of a task there are only {' and '.join(_KINDS)} here")
        await _send(answer, scope, receive, send)

    async def _send_result(
        self, task_id: str, path: Path, scope: Scope, receive: Receive, send: Send
    ) -> None:
        descriptor = await run_in_threadpool(_opened, path.parent, path.name)
        if descriptor is not None:
            with os.fdopen(descriptor, "rb") as file:
                await _send(_file_answer(file, path.name, scope["method"]), scope, receive, send)
            return
        made = await self._made(task_id, path.name)
        if made is None:
            why = f"task {task_id} has no {path.name}: wait until it has completed; what has expired is gone"
            await _send(_page(404, why), scope, receive, send)
        else:
            answer = Response(made, headers=_headers(_POLICIES[path.name]), media_type=_KINDS[path.name])
            await _send(answer, scope, receive, send)

    async def _made(self, task_id: str, name: str) -> bytes | None:
        if self._render_missing is None:
            return None
        return await run_in_threadpool(self._render_missing, task_id, name)


def report_answer(page: str) -> Response:
    """A page of charts and scripts that was just drawn, under the policy of reports."""
    return Response(page, headers=_headers(_REPORT_POLICY), media_type=_KINDS[REPORT])


async def send_download(path: Path, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a file of a task to be saved, never to be shown: whatever is in it runs nowhere."""
    descriptor = await run_in_threadpool(_opened, path.parent, path.name)
    if descriptor is None:
        await _send(_page(404, f"the task has no {path.name} any more"), scope, receive, send)
        return
    with os.fdopen(descriptor, "rb") as file:
        answer = _file_answer(file, path.name, scope["method"], download=True)
        await _send(answer, scope, receive, send)


def _opened(folder: Path, name: str) -> int | None:
    """A descriptor of a regular file in a real folder, `None` where a link or anything else stands there."""
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


def _file_answer(file: IO[bytes], name: str, method: str, *, download: bool = False) -> Response:
    """What is in an open file; `FileResponse` would open it again by its name, though it were a link."""
    size_bytes = os.fstat(file.fileno()).st_size
    headers = _headers(_STILL_POLICY if download else _POLICIES[name])
    headers["content-length"] = str(size_bytes)
    kind = "application/octet-stream" if download else _KINDS[name]
    if download:
        headers["content-disposition"] = f'attachment; filename="{name}"'
    if method == "HEAD":
        return Response(headers=headers, media_type=kind)
    return StreamingResponse(_pieces(file, size_bytes), headers=headers, media_type=kind)


async def _pieces(file: IO[bytes], left_bytes: int) -> AsyncIterator[bytes]:
    """As much as was announced; of a file that is cut meanwhile less, which the browser notices."""
    while left_bytes and (piece := await run_in_threadpool(file.read, min(_CHUNK_BYTES, left_bytes))):
        left_bytes -= len(piece)
        yield piece


def _page(status: int, sentence: str) -> Response:
    page = f"<!doctype html><meta charset=utf-8><title>backtest</title><p>{escape(sentence)}</p>"
    return Response(page, status, _headers(_STILL_POLICY), media_type=_KINDS[REPORT])


def _headers(policy: str) -> dict[str, str]:
    return {"content-security-policy": policy, "cache-control": "no-store"}


async def _send(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] == "HEAD":
        answer.body = b""  # its length stays announced
    await answer(scope, receive, send)
