"""`backtest doctor`: is everything there that a backtest needs, and what to do where it is not."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import httpx
import typer

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.disk_findings import disk_findings
from backtest_pipeline.cli.finding import Finding
from backtest_pipeline.cli.lost import LOST, find_lost
from backtest_pipeline.cli.output import Json, print_json, print_table
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.sdk.client import BacktestClient
from backtest_pipeline.sdk.transport import without_proxy
from backtest_pipeline.settings import Settings, get_settings

_HEALTH_TIMEOUT_S = 15.0
_NEWEST = 2_000
_FEW = 5


def doctor(
    *,
    warm: Annotated[
        bool, typer.Option("--warm", help="only compile the kernels, as an install does")
    ] = False,
    json: Json = False,
) -> None:
    """Checks folders, candles, kernels and the web server; status 1 where something is wrong."""
    if warm:
        findings = [_kernels()]
    else:
        settings = get_settings()
        findings = [_python(), *disk_findings(settings), _candles(settings), _kernels(), *_server(settings)]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("", "what", "found"),
            [("ok" if finding.ok else "BAD", finding.what, finding.detail) for finding in findings],
        )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _python() -> Finding:
    return Finding("python", ok=True, detail=f"{sys.version.split()[0]} in {sys.prefix}")


def _candles(settings: Settings) -> Finding:
    root = settings.data_root.absolute()
    listings = CandleStore(settings.data_root, settings.candle_timezone).inventory()
    if not listings:
        return Finding(
            "candles",
            ok=False,
            detail=f"none yet in {root}; `backtest candles demo` or `backtest candles import`",
        )
    symbols = {listing.symbol for listing in listings}
    rows = sum(listing.rows for listing in listings)
    return Finding(
        "candles",
        ok=True,
        detail=f"{counted(rows, 'candle')} of {counted(len(symbols), 'symbol')} in {root}; "
        f"zone {settings.candle_timezone}",
    )


def _kernels() -> Finding:
    started = time.perf_counter()
    try:
        from backtest_pipeline.workflows.warm_kernels import warm_kernels  # noqa: PLC0415  loads every kernel

        names = warm_kernels()
    except BacktestError as error:
        return Finding("kernels", ok=False, detail=str(error))
    took_s = time.perf_counter() - started
    return Finding(
        "kernels", ok=True, detail=f"{counted(len(names), 'strategy', 'strategies')} ready in {took_s:.1f} s"
    )


def _server(settings: Settings) -> list[Finding]:
    try:
        with closing(BacktestClient()) as client:
            client.list_tasks(limit=1)
        answers = Finding("web server", ok=True, detail=f"{settings.backtest_url} answers")
        return [answers, *_health(settings), *_lost(settings)]
    except BacktestError as error:
        return [Finding("web server", ok=False, detail=str(error))]


def _lost(settings: Settings) -> list[Finding]:
    """Whether the newest completed tasks have their results; nothing where they lie out of sight."""
    found = find_lost(settings, newest=_NEWEST)
    if found.elsewhere:
        theirs = Path(found.elsewhere).parent.parent
        detail = (
            f"the server keeps its results below {theirs}, and {settings.data_root.absolute()} is looked at "
            "here; set DATA_ROOT to that folder to see candles and results of the server"
        )
        return [Finding("server's folder", ok=True, detail=detail)]
    if not found.tasks:
        return [Finding("lost results", ok=True, detail=f"none among the {_NEWEST:,} newest completed tasks")]
    names = ", ".join(task.task_id for task in found.tasks[:_FEW])
    detail = (
        f"{counted(len(found.tasks), 'task')}, e.g. {names}: {LOST}; `backtest verify --all` names them all"
    )
    return [Finding("lost results", ok=False, detail=detail)]


def _health(settings: Settings) -> list[Finding]:
    """What the web server finds when it looks at itself and at what is behind it."""
    url = f"{settings.backtest_url.rstrip('/')}/healthz"
    headers = {"Authorization": f"Bearer {settings.backtest_token}"} if settings.backtest_token else {}
    try:
        with httpx.Client(mounts=without_proxy(url)) as http:
            answer = http.get(url, headers=headers, timeout=_HEALTH_TIMEOUT_S).json()
        checks = [
            Finding(check["name"], ok=check["ok"], detail=check["detail"]) for check in answer["checks"]
        ]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        advice = f"{url} has no /healthz: start it with `backtest up`, which brings that page"
        return [Finding("health", ok=False, detail=advice)]
    return checks
