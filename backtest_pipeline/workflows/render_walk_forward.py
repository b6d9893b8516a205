"""The report and the picture of a walk-forward that is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.results.completed_walk_forwards import walk_of
from backtest_pipeline.results.sweep_tables import TRIALS_FILE
from backtest_pipeline.workflows.rerun_candles import candles_within, is_of

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.walk_forward_result import WalkForwardResult


def walk_forward_report(folder: Path, manifest: Manifest, store: CandleStore) -> bytes:
    """Draws the report of a completed walk-forward.

    Args:
        folder: of the task, whose tables are as the manifest has them.
        manifest: of the task.
        store: where the candles are that it is compared with, as far as they are as they were.
    """
    from backtest_pipeline.reports.walk_forward_report import walk_forward_report_html  # noqa: PLC0415  Bokeh, where it is used

    found = _shown(folder, manifest)
    return walk_forward_report_html(found, _candles_traded(found, manifest, store)).encode()


def walk_forward_picture(folder: Path, manifest: Manifest, store: CandleStore) -> bytes:
    """Draws the account of a completed walk-forward; arguments as for `walk_forward_report`."""
    from backtest_pipeline.reports.charts.equity_chart import account_png  # noqa: PLC0415  Matplotlib, where it is used

    found = _shown(folder, manifest)
    return account_png(found.out_of_sample, _candles_traded(found, manifest, store))


def _shown(folder: Path, manifest: Manifest) -> WalkForwardResult:
    """The walk-forward without its trials, of which pages say only how many there are."""
    rows = pq.read_metadata(folder / TRIALS_FILE).num_rows
    return walk_of(manifest, folder, pd.DataFrame(index=range(rows)))


def _candles_traded(found: WalkForwardResult, manifest: Manifest, store: CandleStore) -> dict[str, Candles]:
    """The candles of the tested time, by symbol, of those that have not changed since."""
    request = found.out_of_sample.request
    traded: dict[str, Candles] = {}
    for seen in manifest.candles:
        try:
            now = store.load([seen.symbol], request.timeframe)[seen.symbol]
        except CandlesError:
            continue
        if is_of(candles_within(now, seen), seen):
            traded |= store.load([seen.symbol], request.timeframe, request.start, request.end)
    return traded
