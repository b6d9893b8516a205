"""`backtest doctor`: is everything there that a backtest needs, and what to do where it is not."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from backtest_pipeline.cli.output import Json, print_json, print_table
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.sdk.client import BacktestClient
from backtest_pipeline.settings import Settings, get_settings
from backtest_pipeline.storage.candle_store import CandleStore
from backtest_pipeline.warm import warm_kernels

_LEAST_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: what was looked at.
        ok: whether it is as it should be.
        detail: what was found and, where it is not ok, what to do.
    """

    what: str
    ok: bool
    detail: str


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
        findings = [_python(), _disk(settings), _candles(settings), _kernels(), _server(settings)]
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


def _disk(settings: Settings) -> Finding:
    try:
        settings.data_root.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(settings.data_root).free
    except OSError as error:
        return Finding(
            "DATA_ROOT", ok=False, detail=f"{settings.data_root}: {error.strerror}; make it writable"
        )
    found = f"{settings.data_root}, {free_bytes / 1e9:.1f} GB free"
    if free_bytes < _LEAST_FREE_BYTES:
        return Finding("DATA_ROOT", ok=False, detail=f"{found}: make room")
    return Finding("DATA_ROOT", ok=True, detail=found)


def _candles(settings: Settings) -> Finding:
    listings = CandleStore(settings.data_root, settings.candle_timezone).inventory()
    if not listings:
        return Finding(
            "candles", ok=False, detail="none yet; `backtest candles demo` or `backtest candles import`"
        )
    symbols = {listing.symbol for listing in listings}
    rows = sum(listing.rows for listing in listings)
    return Finding(
        "candles", ok=True, detail=f"{rows:,} of {len(symbols)} symbols; zone {settings.candle_timezone}"
    )


def _kernels() -> Finding:
    started = time.perf_counter()
    try:
        names = warm_kernels()
    except BacktestError as error:
        return Finding("kernels", ok=False, detail=str(error))
    took_s = time.perf_counter() - started
    return Finding("kernels", ok=True, detail=f"{len(names)} strategies ready in {took_s:.1f} s")


def _server(settings: Settings) -> Finding:
    try:
        with closing(BacktestClient()) as client:
            client.list_tasks(limit=1)
    except BacktestError as error:
        return Finding("web server", ok=False, detail=str(error))
    return Finding("web server", ok=True, detail=f"{settings.backtest_url} answers")
