"""What the ledger keeps of a completed task, read from the task's own files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from backtest_pipeline.model.ledger_row import LedgerRow
from backtest_pipeline.model.request import SERVICE_FIELDS
from backtest_pipeline.model.request_model import digest_of
from backtest_pipeline.model.task_kind import backtest_of
from backtest_pipeline.model.trial_states import INVALID
from backtest_pipeline.reports.rolling_statistics import bar_returns
from backtest_pipeline.research.block_sharpe import TrialBlocks
from backtest_pipeline.research.sharpe_confidence import SharpeMoments
from backtest_pipeline.results.sweep_tables import BLOCKS_FILE, TRIALS_FILE
from backtest_pipeline.results.tables import read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.manifest import Manifest

    Floats = NDArray[np.float64]


def ledger_rows(folder: Path, manifest: Manifest, user: str = "") -> list[LedgerRow]:
    """Return the rows of a completed task; the same task always yields the same.

    Args:
        folder: that holds the task's tables, published or not yet.
        manifest: of the task.
        user: who submitted it, where that is known.
    """
    if manifest.status != "completed" or not manifest.candles:
        return []
    if manifest.kind == "sweep":
        return [_row(manifest, user, own) for own in _of_sweep(folder, manifest)]
    if manifest.kind == "walk_forward":
        return [_row(manifest, user, own) for own in _of_walk_forward(folder, manifest)]
    moments = SharpeMoments.of(account_returns(folder / "equity.parquet", manifest))
    sharpes = np.array([] if moments is None else [moments.sharpe])
    own = _Trials(manifest.strategy_id, manifest.timeframe, 1, moments, sharpes)
    return [_row(manifest, user, own)]


def account_returns(equity_file: Path, manifest: Manifest) -> Floats:
    """Return of each bar of an account, the first against the initial cash."""
    equity = read_table(equity_file, ["equity"])["equity"].to_numpy(dtype=np.float64)
    return bar_returns(equity, float(backtest_of(manifest.request)["initial_cash"]))


def settings_digest(manifest: Manifest) -> str:
    """Digest of what was asked, less what changes no outcome."""
    asked = dict(manifest.request)
    asked = json.loads(json.dumps(asked))  # a copy to take from
    place = cast("dict[str, Any]", backtest_of(asked))
    for name in SERVICE_FIELDS:
        place.pop(name, None)
    return digest_of(asked)


@dataclass(frozen=True, eq=False, slots=True)
class RatedTrials:
    """The trials of a sweep that were run, one row each.

    Attributes:
        facts: columns `trial, strategy, timeframe, skew, kurtosis`, the latter in excess.
        sharpe: per bar, NaN where there is none.
        bars: how many returns it has; 0 for a failed one.
    """

    facts: pd.DataFrame
    sharpe: Floats
    bars: NDArray[np.int64]


def rated_trials(folder: Path, manifest: Manifest) -> RatedTrials:
    """Read a sweep's trials, all but the invalid ones."""
    there = set(pq.read_schema(folder / TRIALS_FILE).names)
    backtest = backtest_of(manifest.request)
    columns = ["trial", "state", "skew", "kurtosis", *sorted({"strategy", "timeframe"} & there)]
    facts = read_table(folder / TRIALS_FILE, columns)
    facts = facts[facts.pop("state") != INVALID].reset_index(drop=True)
    for name in {"strategy", "timeframe"} - there:
        facts[name] = str(backtest[name])
    sharpe, bars = np.full(len(facts), np.nan), np.zeros(len(facts), dtype=np.int64)
    numbers = facts["trial"].to_numpy(dtype=np.int64)
    for part in _block_parts(folder):
        rows = np.searchsorted(numbers, part.trial)
        sharpe[rows], bars[rows] = part.sharpe(), part.count.sum(axis=1)
    return RatedTrials(facts, sharpe, bars)


def _block_parts(folder: Path) -> Iterator[TrialBlocks]:
    with pq.ParquetFile(folder / BLOCKS_FILE) as file:
        for group in range(file.num_row_groups):
            yield TrialBlocks.of_table(file.read_row_group(group, use_threads=False))


def _of_sweep(folder: Path, manifest: Manifest) -> Iterator[_Trials]:
    rated = rated_trials(folder, manifest)
    for (strategy, timeframe), own in rated.facts.groupby(["strategy", "timeframe"], sort=True):
        rows = own.index.to_numpy()
        sharpes = rated.sharpe[rows]
        best = None
        if not np.isnan(sharpes).all():
            place = int(np.nanargmax(sharpes))
            skew, kurtosis = (float(own[name].iloc[place]) for name in ("skew", "kurtosis"))
            best = SharpeMoments(float(sharpes[place]), skew, kurtosis + 3.0, int(rated.bars[rows[place]]))
        yield _Trials(str(strategy), str(timeframe), len(own), best, sharpes[~np.isnan(sharpes)])


def _of_walk_forward(folder: Path, manifest: Manifest) -> Iterator[_Trials]:
    """The trials of all trainings of each strategy, and with the first of them the account out of sample.

    A trial's Sharpe ratio per bar is its metric over the root of its bars a year.
    """
    backtest, there = backtest_of(manifest.request), set(pq.read_schema(folder / TRIALS_FILE).names)
    columns = ["state", "sharpe", "periods_per_year", *(["strategy"] if "strategy" in there else [])]
    facts = read_table(folder / TRIALS_FILE, columns)
    facts = facts[facts.pop("state") != INVALID].reset_index(drop=True)
    if "strategy" not in there:
        facts["strategy"] = str(backtest["strategy"])
    moments = SharpeMoments.of(account_returns(folder / "equity.parquet", manifest))
    sharpes = (facts["sharpe"] / np.sqrt(facts["periods_per_year"])).to_numpy(dtype=np.float64)
    for strategy, own in facts.groupby("strategy", sort=True):
        rated = sharpes[own.index.to_numpy()]
        rated = rated[~np.isnan(rated)]
        yield _Trials(str(strategy), manifest.timeframe, len(own), moments, rated)


@dataclass(frozen=True, eq=False, slots=True)
class _Trials:
    """The trials that one row is of."""

    strategy: str
    timeframe: str
    trials: int
    best: SharpeMoments | None
    sharpes: Floats


def _row(manifest: Manifest, user: str, trials: _Trials) -> LedgerRow:
    best, sharpes = trials.best, trials.sharpes
    traded = [
        seen
        for seen in manifest.candles
        if seen.symbol != manifest.benchmark or seen.symbol in manifest.symbols
    ]
    own = [seen for seen in traded if (seen.timeframe or manifest.timeframe) == trials.timeframe] or traded
    return LedgerRow(
        at=_recorded(manifest.timestamps.finished_at),
        task_id=manifest.task_id,
        kind=manifest.kind,
        user=user,
        strategy=trials.strategy,
        code_sha256=manifest.environment.code_sha256 or "",
        settings_sha256=settings_digest(manifest),
        symbols=tuple(sorted({seen.symbol for seen in own})),
        timeframe=trials.timeframe,
        first=_recorded(min(seen.first for seen in own)),
        last=_recorded(max(seen.last for seen in own)),
        trials=trials.trials,
        sharpe=best.sharpe if best else None,
        skewness=best.skewness if best else None,
        kurtosis=best.kurtosis if best else None,
        bars=best.bars if best else None,
        rated=len(sharpes),
        mean_sharpe=float(sharpes.mean()) if len(sharpes) else None,
        sharpe_variance=float(sharpes.var()) if len(sharpes) else None,
    )


def _recorded(moment: datetime) -> datetime:
    """A moment as a manifest has it, from which a row may be made again."""
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
