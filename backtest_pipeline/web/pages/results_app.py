"""`/results`: the table of all tasks, one task, some compared, and what can be done with them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backtest_pipeline.model.errors import ResultDamaged, ResultMissing, TaskUnknown
from backtest_pipeline.storage.layout import MANIFEST, Layout, is_result_path
from backtest_pipeline.web.access.guard import USER
from backtest_pipeline.web.access.refusal import json_answer
from backtest_pipeline.web.addresses import RESULTS
from backtest_pipeline.web.pages.html_document import asset, document
from backtest_pipeline.web.pages.live_rows import LiveTask, live_rows
from backtest_pipeline.web.pages.result_pages import send_download
from backtest_pipeline.web.pages.table_query import PAGE_ROWS, TableQuery
from backtest_pipeline.web.pages.wording import Wording

if TYPE_CHECKING:
    from backtest_pipeline.results.manifest_index import ManifestIndex
    from backtest_pipeline.results.task_store import TaskStore
    from backtest_pipeline.web.pages.comparison_requests import Benchmark, CompareSweeps
    from backtest_pipeline.web.pages.svg_curves import Sparklines

_ASSETS = {"results.css", "results.js"}
_FULL = "full"
_log = logging.getLogger("dagster-webserver.guard")


class ResultsApp:
    """Answers for everything below `/results`; stands behind the guard."""

    def __init__(
        self,
        layout: Layout,
        *,
        prefix: str = "",
        ttl_days: int = 0,
        live: Callable[[], list[LiveTask]] = list,
        benchmark: Benchmark | None = None,
        compare_sweeps: CompareSweeps | None = None,
    ) -> None:
        """Serves the results of a volume.

        Args:
            layout: of the volume.
            prefix: the path prefix of the server.
            ttl_days: how long results live that are not pinned; 0: for ever.
            live: the tasks that run or wait, called in a thread.
            benchmark: value of a result's benchmark at the moments of its equity, `None` where its candles
                are gone; called in a thread.
            compare_sweeps: makes the page that compares some sweeps, by their ids; called in a thread.
        """
        self._layout = layout
        self._prefix = prefix
        self._ttl_days = ttl_days
        self._live = live
        self._benchmark = benchmark
        self._compare_sweeps = compare_sweeps

    # What these import, pandas and Bokeh among it, would make every start of the server slower.

    @cached_property
    def _store(self) -> TaskStore:
        from backtest_pipeline.results.task_store import TaskStore  # noqa: PLC0415  see above

        return TaskStore(self._layout.data_root)

    @cached_property
    def _index(self) -> ManifestIndex:
        from backtest_pipeline.results.manifest_index import ManifestIndex  # noqa: PLC0415  see above

        return ManifestIndex(self._layout)

    @cached_property
    def _sparklines(self) -> Sparklines:
        from backtest_pipeline.web.pages.svg_curves import Sparklines  # noqa: PLC0415  see above

        return Sparklines(self._layout)

    async def __call__(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers for a path, which begins with `/results`."""
        rest = path.removeprefix(RESULTS).strip("/")
        if scope["method"] == "POST" and rest == "pin":
            answer = await self._pin(scope, receive)
        elif scope["method"] not in {"GET", "HEAD"}:
            answer = json_answer(405, {"errors": [{"message": "this page is only read; send GET"}]})
        elif "/files/" in rest:
            await self._download(rest, scope, receive, send)
            return
        elif rest in _ASSETS:
            answer = asset(rest)
        else:
            answer = await run_in_threadpool(self._page, rest, scope)
        if scope["method"] == "HEAD":
            answer.body = b""  # its length stays announced
        await answer(scope, receive, send)

    def _page(self, rest: str, scope: Scope) -> Response:
        words = Wording(_header(scope, b"accept-language"))
        query_string = scope.get("query_string", b"")
        if rest == "":
            return self._table(query_string, words, may_act=_may_act(scope))
        if rest == "live":
            html = self._live_html(TableQuery.parse(query_string), words, may_act=_may_act(scope))
            headers = {"cache-control": "no-store", "content-security-policy": "default-src 'none'; sandbox"}
            return Response(html, 200, headers, media_type="text/html; charset=utf-8")
        if rest == "compare":
            return self._comparison(query_string, words)
        return self._task(rest, words, may_act=_may_act(scope))

    def _table(self, query_string: bytes, words: Wording, *, may_act: bool) -> Response:
        from backtest_pipeline.web.pages.table_page import table_page  # noqa: PLC0415  see above

        query = TableQuery.parse(query_string)
        found = self._index.find(query.wanted, query.order, offset=query.offset, limit=PAGE_ROWS)
        live = self._live_html(query, words, may_act=may_act)
        strategies, users = self._index.names("strategy"), self._index.names("user")
        body = table_page(query, found, live, strategies, users, self._sparklines, words, self._prefix)
        return document(words("Results"), body, words, self._prefix)

    def _live_html(self, query: TableQuery, words: Wording, *, may_act: bool) -> str:
        tasks = [task for task in self._live() if task.fits(query.wanted)]
        return live_rows(tasks, words, self._prefix, may_act=may_act)

    def _task(self, task_id: str, words: Wording, *, may_act: bool) -> Response:
        from backtest_pipeline.web.pages.task_page import task_page  # noqa: PLC0415  as above

        try:
            manifest = self._store.manifest(task_id)
            row = self._index.rows_of([task_id])[task_id]
        except (TaskUnknown, ResultMissing, ResultDamaged, OSError, KeyError):
            return self._missing(words)
        # docker-compose.yml mounts the results read-only here, and a button that always fails helps nobody.
        may_pin = os.access(self._layout.task(task_id), os.W_OK)
        body = task_page(manifest, row, words, self._prefix, may_act=may_act, may_pin=may_pin)
        return document(manifest.strategy_id, body, words, self._prefix)

    def _comparison(self, query_string: bytes, words: Wording) -> Response:
        from backtest_pipeline.web.pages.comparison_requests import comparison_answer  # noqa: PLC0415  as above

        return comparison_answer(
            query_string,
            self._store,
            words,
            self._prefix,
            benchmark=self._benchmark,
            compare_sweeps=self._compare_sweeps,
        )

    def _missing(self, words: Wording) -> Response:
        hint = words("There is no such task, or its results are gone.")
        return document(words("Results"), f"<p>{hint}</p>", words, self._prefix, 404)

    async def _pin(self, scope: Scope, receive: Receive) -> Response:
        """Pins or unpins; the guard has looked at origin and content type; the role is looked at again."""
        if not _may_act(scope):
            return _problem(403, "viewers only read; ask the operator for a token of the role full")
        asked = _json_object(await _body(receive))
        task_id, pinned = asked.get("task_id"), asked.get("pinned")
        if not isinstance(task_id, str) or not isinstance(pinned, bool):
            return _problem(400, 'send {"task_id": ID, "pinned": true} or false')
        try:
            await run_in_threadpool(self._store.pin, task_id, pinned=pinned, ttl_days=self._ttl_days)
        except (TaskUnknown, ResultMissing, ResultDamaged) as error:
            return _problem(404, str(error).partition("\n")[0])
        except OSError:
            return _problem(507, "the results' folder cannot be written; see /healthz")
        user = scope[USER].name or "somebody local"
        _log.info("%s %s task %s", user, "pinned" if pinned else "unpinned", task_id)
        return json_answer(200, {"task_id": task_id, "pinned": pinned})

    async def _download(self, rest: str, scope: Scope, receive: Receive, send: Send) -> None:
        task_id, _, path = rest.partition("/files/")
        try:
            listed = await run_in_threadpool(self._listed, task_id)
        except (TaskUnknown, ResultMissing, ResultDamaged, OSError):
            listed = set()
        if path not in listed:
            await self._missing(Wording(_header(scope, b"accept-language")))(scope, receive, send)
            return
        await send_download(self._layout.task(task_id) / path, scope, receive, send)

    def _listed(self, task_id: str) -> set[str]:
        """The files of a task that may be taken: those that its manifest lists, and the manifest."""
        paths = {file.path for file in self._store.manifest(task_id).result_files}
        return {path for path in paths if is_result_path(path)} | {MANIFEST}


def _may_act(scope: Scope) -> bool:
    """Whether a request's sender may change something; nobody may who did not come through the guard."""
    user = scope.get(USER)
    return user is not None and user.role == _FULL


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), "")


async def _body(receive: Receive) -> bytes:
    """What the guard has read already, and found not too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _problem(status: int, sentence: str) -> Response:
    return json_answer(status, {"errors": [{"message": sentence}]})
