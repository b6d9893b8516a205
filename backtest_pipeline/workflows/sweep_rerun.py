"""Running some of a sweep's trials again as backtests of their own, and what became of their rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.model.task_request import stored_sweep
from backtest_pipeline.research.trial_market import CandlesByTimeframe
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.results.sweep_tables import TRIALS_FILE, trial_row
from backtest_pipeline.results.tables import read_table, tables_of
from backtest_pipeline.storage.layout import BEST
from backtest_pipeline.workflows.execution_data_of_then import execution_data_of_then
from backtest_pipeline.workflows.rerun import Rerun, changed_code, table_difference
from backtest_pipeline.workflows.rerun_candles import (
    candle_change,
    candles_within,
    is_of,
    with_calendar_of_then,
)
from backtest_pipeline.workflows.run_backtest import run_backtest

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult

SAMPLE = 20
"""How many completed trials are run again, beside the best."""


def rerun_sample(folder: Path, manifest: Manifest, store: CandleStore, *, sample: int = SAMPLE) -> Rerun:
    """Runs a sample of a completed sweep's trials on the stored candles and compares every metric.

    Which trials hangs on the request alone. Of the best trial, signals, trades and equity are compared too.

    Args:
        folder: of the sweep's results, whose bytes are as published.
        manifest: of the sweep.
        store: where the candles are.
        sample: how many completed trials beside the best.

    Raises:
        BacktestError: a strategy is not installed here, refuses the parameters or fails.
    """
    candles, remarks, changed = candles_of_then(manifest, store)
    data, changed_data = execution_data_of_then(manifest, store)
    changed += changed_data
    if changed:
        return Rerun("candles changed since", changed)
    given = CandlesByTimeframe(candles)
    request = stored_sweep(manifest.request)
    trials = _chosen(folder, manifest, sample)
    for trial in trials:
        row = trial_row(folder, trial)
        single = request_of_row(request, row)
        own = given.of(single.timeframe)
        result = run_backtest(own, single, timezone=store.zone.key, **data.of(single))
        difference = row_difference(row, result)
        if not difference and trial == manifest.summary.best_trial:
            difference = _best_difference(folder, result)
        if difference:
            return verdict_of(manifest, f"trial {trial}: {difference}", remarks)
    return Rerun("identical", [f"{len(trials):,} trials were run again", *remarks])


def verdict_of(manifest: Manifest, difference: str, remarks: list[str]) -> Rerun:
    """What a difference means: other code, or results that do not come out the same."""
    versions = changed_code(manifest)
    if versions:
        return Rerun("code changed", [f"versions: {', '.join(versions)}", difference, *remarks])
    return Rerun("not reproducible", [f"same candles, same code: {difference}", *remarks])


def _chosen(folder: Path, manifest: Manifest, sample: int) -> list[int]:
    """Numbers of the trials to run again, sorted."""
    states = pq.read_table(folder / TRIALS_FILE, columns=["state"]).column("state")
    completed = np.flatnonzero(pc.equal(states, "completed").to_numpy())
    rng = np.random.default_rng(int(manifest.request_digest[:16], 16))
    chosen = rng.choice(completed, min(sample, len(completed)), replace=False).tolist()
    best = manifest.summary.best_trial
    return sorted({*chosen, *([] if best is None else [best])})


def row_difference(row: pa.Table, result: BacktestResult) -> str:
    """The first metric of a trial's row that its own backtest does not have; empty where there is none."""
    stored: dict[str, Any] = row.to_pylist()[0]
    for name, value in result.metrics.items():
        if stored[name] != value:
            return f"metric {name} was {stored[name]!r}, is {value!r}"
    return ""


def _best_difference(folder: Path, result: BacktestResult) -> str:
    for name, table in tables_of(result).items():
        difference = table_difference(read_table(folder / BEST / f"{name}.parquet"), table)
        if difference:
            return f"{BEST}/{name}.parquet, {difference}"
    return ""


def candles_of_then(
    manifest: Manifest, store: CandleStore
) -> tuple[dict[str, dict[str, Candles]], list[str], list[str]]:
    """The candles that a search saw, by timeframe and symbol, remarks, and what has changed in them."""
    candles: dict[str, dict[str, Candles]] = {}
    remarks, changed = [], []
    for seen in manifest.candles:
        timeframe: Any = seen.timeframe or manifest.timeframe
        try:
            now = store.load([seen.symbol], timeframe)[seen.symbol]
        except CandlesError as error:
            changed.append(f"{seen.symbol} {timeframe}: {error}")
            continue
        then = candles_within(now, seen)
        if not is_of(then, seen):
            changed.append(candle_change(seen, now, then))
            continue
        own, other = with_calendar_of_then(then, manifest)
        candles.setdefault(timeframe, {})[seen.symbol] = own
        remarks += other
    return candles, remarks, changed
