"""Sweeps on disk whose rows are made up, so that every corner can be reached at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtest_pipeline import BacktestRequest, SweepRequest
from backtest_pipeline.model.manifest import Environment, Manifest, ResultFile, Summary, Timestamps
from backtest_pipeline.research.kernel_arrays import FIGURES
from backtest_pipeline.research.ranking import Ranking, with_ranks
from backtest_pipeline.research.search.kinds import search_of
from backtest_pipeline.research.space import Space
from backtest_pipeline.research.trial_table import trials_table
from backtest_pipeline.workflows.stored_trials import StoredTrials
from backtest_pipeline_tests.reports.made import NOON, TASK, moments

ROWS_PER_GROUP = 37
"""An odd number, so that batches end anywhere."""

Figures = Callable[[int], NDArray[np.float64]]


def sweep_of(space: Mapping[str, Any], strategy: str = "sma_cross", **fields: Any) -> SweepRequest:
    """A sweep of a strategy on one symbol."""
    backtest = fields.pop("backtest", BacktestRequest(strategy=strategy, symbols=["A"]))
    return SweepRequest(backtest=backtest, space=space, **fields)


def noise(seed: int = 0, missing: float = 0.05) -> Figures:
    """Figures of trials drawn from a seed, some of them NaN."""

    def drawn(trials: int) -> NDArray[np.float64]:
        random = np.random.default_rng(seed)
        figures = random.normal(size=(trials, len(FIGURES)))
        figures[random.random(figures.shape) < missing] = np.nan
        return figures

    return drawn


def table_of(
    request: SweepRequest,
    figures: Figures | None = None,
    errors: Mapping[int, tuple[str, str]] | None = None,
) -> pa.Table:
    """The rows of all its trials: what they vary is the search's own, their figures are given."""
    search, space = search_of(request), Space.of(request.space)
    points = search.points(0, search.trials) if request.search != "tpe" else None
    assert points is not None
    count = search.trials
    completed = np.ones(count, dtype=np.bool_)
    completed[list(errors or {})] = False
    values = (figures or noise())(count)
    table = trials_table(
        np.arange(count), space.columns(points), request.objective, values, completed, errors or {}
    )
    ranking = Ranking(request)
    ranking.add(table)
    return with_ranks(table, ranking.ranks())


def stored(folder: Path, request: SweepRequest, table: pa.Table, equities: int = 3) -> Manifest:
    """Writes a sweep's folder: its trials, the equity of the best, and no more; returns its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "trials.parquet", row_group_size=ROWS_PER_GROUP)
    ranked = table.filter(pa.compute.is_valid(table.column("rank"))).sort_by("rank")
    best = ranked.column("trial").to_pylist()[:equities]
    if best:
        bars = 60
        columns = {
            f"trial_{trial}": 10_000.0 * (1.0 + 0.001 * place * np.arange(bars))
            for place, trial in enumerate(best)
        }
        time = pa.array(moments(bars), pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
        pq.write_table(pa.table({"timestamp": time, **columns}), folder / "best_equity.parquet")
    return manifest_of_sweep(request, table, best[0] if best else None)


def manifest_of_sweep(
    request: SweepRequest, table: pa.Table, best: int | None, files: list[ResultFile] | None = None
) -> Manifest:
    """The record of a sweep with these rows."""
    states = table.column("state").to_pylist()
    row = table.slice(best, 1).to_pylist()[0] if best is not None else {}
    metrics = {name: row[name] for name in FIGURES if name in row}
    counts = {state: states.count(state) for state in ("completed", "invalid", "failed")}
    ranked = len(table) - table.column("rank").null_count
    backtest = request.backtest
    return Manifest(
        kind="sweep",
        task_id=TASK,
        status="completed",
        strategy_id=backtest.strategy,
        params=dict(backtest.params),
        symbols=list(backtest.symbols),
        timeframe=backtest.timeframe,
        start=None,
        end=None,
        request=request.to_dict(),
        request_digest=request.digest(),
        result_files=files or [],
        candles=[],
        timestamps=Timestamps(submitted_at=NOON, started_at=NOON, finished_at=NOON, expires_at=None),
        duration_ms=12,
        attempt=1,
        run_ids=[TASK],
        summary=Summary(
            total_signals=0,
            total_trades=0,
            symbols_processed=1,
            symbols_failed=0,
            trials={**counts, "ranked": ranked},
            best_trial=best,
        ),
        metrics=metrics,
        by_symbol={},
        checks={"look_ahead": {"passed": True}} if best is not None else {},
        diagnostics=[],
        pinned=False,
        environment=Environment(**dict.fromkeys(Environment.model_fields, "1")),
        error=None,
    )


def source_of(folder: Path, request: SweepRequest, table: pa.Table) -> StoredTrials:
    """The trials as the report reads them, from a file in a folder."""
    stored(folder, request, table)
    return StoredTrials(folder, request)
