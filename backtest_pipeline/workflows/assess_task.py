"""Statistics of a task that has completed, computed from its files and added to its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.model.task_request import stored_sweep
from backtest_pipeline.model.trial_states import COMPLETED, FAILED
from backtest_pipeline.reports.sweep_axes import SweepAxis
from backtest_pipeline.reports.sweep_neighbourhood import Neighbourhood, NeighbourSearch
from backtest_pipeline.reports.sweep_survey import surveyed
from backtest_pipeline.research.block_sharpe import TrialBlocks
from backtest_pipeline.research.ranking import more_is_better
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.results.completed_sweeps import (
    best_backtest,
    require_whole_search,
    require_whole_sweep,
)
from backtest_pipeline.results.completed_walk_forwards import SHOWN, walk_of
from backtest_pipeline.results.earlier_trials import EarlierTrials, earlier_trials, earlier_walks
from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.results.sweep_tables import BLOCKS_FILE, trial_column, trial_row
from backtest_pipeline.results.tables import TABLES
from backtest_pipeline.storage.layout import BEST
from backtest_pipeline.workflows.assess_backtest import assessed_backtest
from backtest_pipeline.workflows.assess_sweep import assessed_sweep
from backtest_pipeline.workflows.assess_walk_forward import assessed_walk_forward
from backtest_pipeline.workflows.stored_trials import StoredTrials

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.robustness import Robustness
    from backtest_pipeline.results.task_store import TaskStore

_NEEDED = {"trials", "blocks", *(f"{BEST}/{name}" for name in TABLES)}
"""Names of the files that a sweep's statistics are made of; one in which nothing ranks lacks some."""


def assessed_task(store: TaskStore, task_id: str) -> Manifest:
    """Return a task's manifest with its statistics, which are computed and added where they are lacking.

    Where they cannot be added (another attempt has published, the disk is full or may not be written) they
    are returned all the same. A task that did not complete, and a sweep in which nothing ranks, has none.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as for `TaskStore.manifest` and `TaskStore.result`.
    """
    manifest = store.manifest(task_id)
    if manifest.robustness is not None or manifest.status != "completed":
        return manifest
    found = robustness_of(store, manifest)
    if found is None:
        return manifest
    for strategy in strategies_of(manifest.request):
        _gather(store, strategy)
    try:
        return store.add_robustness(manifest, found)
    except (BacktestError, OSError):
        return manifest.model_copy(update={"robustness": found})


def robustness_of(store: TaskStore, manifest: Manifest) -> Robustness | None:
    """The statistics of a completed task, computed now; `None` where it has none."""
    if manifest.kind == "backtest":
        result = store.result(manifest.task_id)
        return assessed_backtest(result, _known(store, manifest, result))
    if manifest.kind == "walk_forward":
        return _of_walk_forward(store, manifest)
    if manifest.kind != "sweep" or not {file.name for file in manifest.result_files} >= _NEEDED:
        return None
    _, folder = require_whole_sweep(store, manifest.task_id, _NEEDED)
    request, best = stored_sweep(manifest.request), stored_best(folder, manifest)
    counts = manifest.summary.trials or {}
    return assessed_sweep(
        best,
        TrialBlocks.of_table(
            pq.read_table(folder / BLOCKS_FILE, use_threads=False), trial_column(folder, "periods_per_year")
        ),
        counts.get(COMPLETED, 0) + counts.get(FAILED, 0),
        seed=request.seed,
        known=_known(store, manifest, best),
        around=_neighbourhood(folder, request),
    )


def _of_walk_forward(store: TaskStore, manifest: Manifest) -> Robustness:
    _, folder = require_whole_search(store, manifest.task_id, "walk_forward", SHOWN)
    found = walk_of(manifest, folder, pd.DataFrame())
    known = _known(store, manifest, found.out_of_sample, walks=True)
    return assessed_walk_forward(found.out_of_sample, found.folds, found.request, found.paths, known)


def stored_best(folder: Path, manifest: Manifest) -> BacktestResult:
    """The best trial of a sweep in which one ranks, as a backtest of its own."""
    row = trial_row(folder, manifest.summary.best_trial or 0)
    return best_backtest(manifest, request_of_row(stored_sweep(manifest.request), row), folder)


def _known(
    store: TaskStore, manifest: Manifest, result: BacktestResult, *, walks: bool = False
) -> EarlierTrials:
    request = result.request
    own = manifest.candles_of(request)
    first, last = min(seen.first for seen in own), max(seen.last for seen in own)
    ledger = Ledger(store.layout)
    if not walks:
        return earlier_trials(ledger, request.strategy, request.symbols, request.timeframe, first, last)
    # Where folds choose among strategies, the one of the backtest that is varied need not be one of them.
    known = (
        earlier_walks(ledger, strategy, request.symbols, request.timeframe, first, last)
        for strategy in strategies_of(manifest.request)
    )
    return max(known, key=lambda one: one.trials)


def _neighbourhood(folder: Path, request: SweepRequest) -> Neighbourhood | None:
    source = StoredTrials(folder, request)
    axes = [SweepAxis.of(key, values) for key, values in request.space.items()]
    survey = surveyed(source, axes)
    if survey.winner is None:
        return None
    search = NeighbourSearch(axes, survey.winner, drawn=request.search != "grid")
    for batch in source.batches():
        search.add(batch)
    return search.neighbourhood(survey.median, more_is_better=more_is_better(request))


def _gather(store: TaskStore, strategy: str) -> None:
    """Keeps the ledger in few files; what fails now is done after the next task."""
    try:
        Ledger(store.layout).compact(strategy)
    except OSError:
        return
