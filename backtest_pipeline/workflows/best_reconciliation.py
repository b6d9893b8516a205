"""Do the tables of a sweep's best trial add up, as those of any backtest must?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.task_request import stored_sweep
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.results.reconciliation import account_problems
from backtest_pipeline.results.sweep_tables import trial_row
from backtest_pipeline.results.tables import read_tables
from backtest_pipeline.storage.layout import BEST

if TYPE_CHECKING:
    from pathlib import Path

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest


def best_account_problems(folder: Path, manifest: Manifest) -> list[str]:
    """What does not add up in `best/`, whose bytes are as published; nothing where no trial ranks.

    Where trials have spans of their own, no record says which candles the best has seen, and only a second
    run can tell.

    Args:
        folder: of a completed sweep.
        manifest: the sweep's.
    """
    best, sweep = manifest.summary.best_trial, stored_sweep(manifest.request)
    if best is None or {"start", "end"} & sweep.space.keys():
        return []
    try:
        request = request_of_row(sweep, trial_row(folder, best))
    except RequestInvalid as error:
        return [f"trials.parquet: trial {best}, the best, is no backtest: {error}"]
    tables = read_tables(folder, manifest, f"{BEST}/")
    alone = _as_backtest(manifest, request)
    return [f"{BEST}/{problem}" for problem in account_problems(alone, request, **tables)]


def _as_backtest(manifest: Manifest, request: BacktestRequest) -> Manifest:
    """The manifest that the best trial would have as a task of its own, as far as accounts look at it."""
    seen = [
        one
        for one in manifest.candles
        if one.symbol in request.symbols_read and one.timeframe in {None, request.timeframe}
    ]
    copied = ("params", "symbols", "timeframe", "start", "end")
    return manifest.model_copy(
        update={
            **{name: value for name, value in request.to_dict().items() if name in copied},
            "candles": seen,
            "summary": manifest.summary.model_copy(update={"symbols_processed": len(request.symbols)}),
        }
    )
