"""Measures the report of a sweep of a million made-up trials: time, memory, size, and until it is open."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import sync_playwright

from backtest_pipeline import BacktestRequest, FloatRange, IntRange, SweepRequest
from backtest_pipeline.research.kernel_arrays import FIGURES
from backtest_pipeline.research.ranking import Ranking, with_ranks
from backtest_pipeline.research.search.kinds import search_of
from backtest_pipeline.research.space import Space
from backtest_pipeline.research.trial_table import trials_table
from backtest_pipeline.results.streamed_table import StreamedTable
from backtest_pipeline.workflows.render_sweep_report import sweep_picture, sweep_report
from backtest_pipeline_tests.reports.made_sweep import manifest_of_sweep

TRIALS = 1_000_000
BARS, CURVES, PIECE = 5_000, 20, 50_000
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WANTED = {"seconds": 5.0, "megabytes": 6.0, "opened_s": 2.0}


def report_figures(trials: int = TRIALS) -> dict[str, Any]:
    """What the report of a sweep of so many trials takes, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        request, best = _made(folder, trials)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found: dict[str, Any] = pool.apply(_drawn, (folder, request.to_dict(), best))
        return {"trials": trials, **found, "opened_s": _opened_s(folder / "report.html")}


def say_report(found: dict[str, Any]) -> list[str]:
    """What was found, a line each."""
    took = f"{found['seconds']:.1f} s of the processor (wanted {WANTED['seconds']:g})"
    size = f"{found['megabytes']:.1f} MB (wanted {WANTED['megabytes']:g})"
    opened = f"open after {found['opened_s']:.1f} s (wanted {WANTED['opened_s']:g})"
    memory = f"{found['memory_mb']:,.0f} MB of memory beside the libraries"
    return [
        f"report of {found['trials']:,} trials: {took}, {size}, {opened}",
        f"  {memory}, of a table of {found['table_mb']:,.0f} MB; its picture {found['picture_s']:.1f} s",
    ]


def _made(folder: Path, trials: int) -> tuple[SweepRequest, int]:
    """A sweep over three names, its figures noise about a hill."""
    side = round(trials ** (1 / 3))
    request = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["X"]),
        space={
            "params.fast": IntRange(2, side + 1),
            "params.slow": IntRange(side + 2, 2 * side + 1),
            "stop_loss_frac": FloatRange(0.001, 0.001 * side, step=0.001),
        },
    )
    search, space, ranking = search_of(request), Space.of(request.space), Ranking(request)
    random = np.random.default_rng(0)
    tables = []
    for start in range(0, search.trials, PIECE):
        stop = min(start + PIECE, search.trials)
        points = search.points(start, stop)
        figures = random.normal(size=(stop - start, len(FIGURES)))
        hill = sum(((points.places[key] / side - 0.4) / 0.2) ** 2 for key in request.space)
        figures[:, FIGURES.index(request.objective)] += 3.0 * np.exp(-np.asarray(hill))
        done = np.ones(stop - start, dtype=np.bool_)
        numbers = np.arange(start, stop)
        table = trials_table(numbers, space.columns(points), request.objective, figures, done, {})
        ranking.add(table)
        tables.append(table)
    with StreamedTable(folder, "trials", plain=frozenset(FIGURES)) as file:
        for table in tables:
            file.append(with_ranks(table, ranking.ranks()))
        file.finish()
    time_us = np.datetime64("2020-01-01", "us") + np.arange(BARS) * np.timedelta64(3_600, "s")
    columns = {
        f"trial_{trial}": 10_000 * np.exp(np.cumsum(random.normal(0, 0.01, BARS)))
        for trial in ranking.best(CURVES)
    }
    moments = pa.array(time_us).cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"timestamp": moments, **columns}), folder / "best_equity.parquet")
    return request, ranking.best(1)[0]


def _drawn(folder: Path, asked: dict[str, Any], best: int) -> dict[str, Any]:
    request = SweepRequest(**asked)
    few = pq.ParquetFile(folder / "trials.parquet").read_row_group(best // PIECE).slice(best % PIECE, 1)
    manifest = manifest_of_sweep(request, few, 0)
    rows = pq.read_metadata(folder / "trials.parquet").num_rows
    counts = {"completed": rows, "invalid": 0, "failed": 0, "ranked": rows}
    summary = manifest.summary.model_copy(update={"trials": counts, "best_trial": best})
    manifest = manifest.model_copy(update={"summary": summary})
    before_kb = _peak_kb()
    began_s = time.process_time()
    page = sweep_report(folder, manifest)
    seconds = time.process_time() - began_s
    memory_kb = _peak_kb() - before_kb
    (folder / "report.html").write_bytes(page)
    began_s = time.process_time()
    sweep_picture(folder, manifest)
    return {
        "seconds": seconds,
        "picture_s": time.process_time() - began_s,
        "megabytes": len(page) / 1e6,
        "memory_mb": memory_kb / 1e3,
        "table_mb": (folder / "trials.parquet").stat().st_size / 1e6,
    }


def _peak_kb() -> int:
    """The most memory that this process has had; `ru_maxrss` would be its parent's as well."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def _opened_s(page: Path) -> float:
    """Until everything is drawn, the best of three, by the clock of the wall."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        taken = []
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1_400, "height": 900})
            began_s = time.perf_counter()
            tab.goto(page.as_uri())
            tab.wait_for_selector("html[data-swept][data-drawn]")
            taken.append(time.perf_counter() - began_s)
            tab.close()
        browser.close()
    return min(taken)


if __name__ == "__main__":
    for line in say_report(report_figures()):
        print(line)  # noqa: T201  a script's own words
