"""The pages of results as they are served, and what a browser would make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.web.access.guard import Guard
from backtest_pipeline.web.access.hosts import AllowedHosts
from backtest_pipeline.web.access.identity import Access, parsed_tokens
from backtest_pipeline.web.pages.live_rows import LiveTask
from backtest_pipeline.web.pages.own_pages import OwnPages
from backtest_pipeline.web.pages.result_pages import ResultPages
from backtest_pipeline.web.pages.results_app import ResultsApp
from backtest_pipeline_tests.web.asgi import HOST, Answer, Recorder, ask

FULL = ("authorization", "Bearer full-token-of-the-tests")
VIEWER = ("authorization", "Bearer viewer-token-of-tests")
TOKENS = "ann:full:full-token-of-the-tests,vic:viewer:viewer-token-of-tests"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202egnp.\u2066"
RUNNING = LiveTask(
    "t", "r", "backtest", "running", 0.42, "computing", "momentum", ["AAPL"], "ann", "2026-01-01"
)


def server(
    data_root: Path,
    *,
    prefix: str = "",
    live: Callable[[], list[LiveTask]] = list,
    benchmark: Any = None,
    compare_sweeps: Callable[[Sequence[str]], str] | None = None,
) -> Guard:
    """The pages of results behind the guard, before a Dagster that is none."""
    layout = Layout(data_root)
    pages = OwnPages(
        Recorder(answer=b"behind"),
        prefix=prefix,
        results=ResultPages(layout),
        tables=ResultsApp(
            layout, prefix=prefix, ttl_days=7, live=live, benchmark=benchmark, compare_sweeps=compare_sweeps
        ),
        checks=list,
        figures=lambda _: pytest.fail("nobody asked for metrics"),
    )
    return Guard(
        pages, hosts=AllowedHosts("localhost"), access=Access(parsed_tokens(TOKENS)), requests_per_second=0
    )


def get(app: Any, path: str, *headers: tuple[str, str], as_: tuple[str, str] = FULL) -> Answer:
    """What is answered to somebody who asks for a path with its query."""
    path, _, query = path.partition("?")
    return ask(app, "GET", path, headers=(HOST, as_, *headers), query=query.encode())


class Elements(HTMLParser):
    """What a browser would make of a page: tags and attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
