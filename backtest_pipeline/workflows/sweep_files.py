"""A sweep's files, put together from the chunks that are done, none of them ever held as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.research.ranking import with_ranks
from backtest_pipeline.research.trial_market import CandlesByTimeframe
from backtest_pipeline.results.streamed_table import StreamedTable
from backtest_pipeline.results.sweep_parts import PartDamaged, SweepParts
from backtest_pipeline.results.tables import tables_of, write_table
from backtest_pipeline.storage.layout import BEST
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline.workflows.sweep_chunks import (
    BLOCKS,
    BY_SYMBOL,
    EQUITY,
    TRIALS,
    chunk_of,
    chunks_of,
    equity_name,
    span_of_chunk,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.manifest import ResultFile
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.workflows.sweep_chunks import SweepWork
    from backtest_pipeline.workflows.trial_tally import TrialTally

    Moments = NDArray[np.datetime64]

BEST_EQUITY = "best_equity"
_CELLS_PER_GROUP = 2_000_000
_UTC_US = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False, slots=True)
class SweepFiles:
    """What has been written.

    Attributes:
        files: as the manifest lists them.
        best: the trial of rank 1 as a backtest of its own; none where none ranks.
        best_trial: its number.
    """

    files: list[ResultFile]
    best: BacktestResult | None
    best_trial: int | None


def write_sweep(
    folder: Path,
    work: SweepWork,
    tally: TrialTally,
    schedules_of: Callable[[str, str], Mapping[str, Schedule]] = lambda *_: {},
) -> SweepFiles:
    """Writes all tables of a sweep whose trials are done.

    The same sweep yields the same bytes, however it was cut into chunks.

    Args:
        folder: where they go.
        work: the sweep.
        tally: of all its trials.
        schedules_of: gives, for a timeframe and a calendar, what `run_backtest` takes for the best trial.

    Raises:
        PartDamaged: a chunk is gone or torn; when it has been run again, this may be called again.
        OSError: the disk refuses.
    """
    parts = work.parts
    require_all(parts, tally.done)
    files = [_trials(folder, parts, tally)]
    if BY_SYMBOL in parts.tables(chunks_of(parts)[0]):
        files.append(_joined(folder, parts, BY_SYMBOL))
    files.append(_joined(folder, parts, BLOCKS))
    best_trials = tally.best_trials
    if not best_trials:
        return SweepFiles(files, None, None)
    request = work.request_of(best_trials[0], chunk_of(chunks_of(parts), best_trials[0]))
    candles = CandlesByTimeframe(work.candles).of(request.timeframe)
    schedules = schedules_of(request.timeframe, request.calendar)
    data = work.data.of(request)
    best = run_backtest(candles, request, timezone=work.timezone, schedules=schedules, **data)
    own = folder / BEST
    own.mkdir(exist_ok=True)
    files += [write_table(own, name, table, below=folder) for name, table in tables_of(best).items()]
    files.append(_equities(folder, parts, best_trials))
    return SweepFiles(files, best, best_trials[0])


def require_all(parts: SweepParts, trials: int) -> None:
    """Makes sure that parts hold all of so many trials.

    Raises:
        PartDamaged: some are missing.
    """
    reached = 0
    for name in chunks_of(parts):
        first, stop = span_of_chunk(name)
        if first != reached:
            break
        reached = stop
    if reached != trials:
        raise PartDamaged(f"of trial {reached}")


def _trials(folder: Path, parts: SweepParts, tally: TrialTally) -> ResultFile:
    ranks = tally.ranks()
    with StreamedTable(folder, TRIALS, plain=PLAIN) as table:
        for name in chunks_of(parts):
            table.append(with_ranks(parts.read(name, TRIALS), ranks))
        return table.finish()


def _joined(folder: Path, parts: SweepParts, which: str) -> ResultFile:
    with StreamedTable(folder, which, plain=PLAIN) as table:
        for name in chunks_of(parts):
            table.append(parts.read(name, which))
        return table.finish()


def _equities(folder: Path, parts: SweepParts, trials: Sequence[int]) -> ResultFile:
    """The equity of some trials side by side, null at moments at which a trial has no bar.

    What is side by side in the file comes one trial after another, so it passes through a file of its own.
    """
    moments = _moments(parts, trials)
    spill = folder / ".equities"
    try:
        with spill.open("wb") as file:
            for trial in trials:
                row = np.full(len(moments), np.nan)
                own_moments, equity = _equity(parts, trial)
                row[np.searchsorted(moments, own_moments)] = equity
                file.write(row.tobytes())
        rows = max(1_024, _CELLS_PER_GROUP // len(trials))
        columns = [f"trial_{trial}" for trial in trials]
        with (
            StreamedTable(folder, BEST_EQUITY, rows_per_group=rows, plain=frozenset(columns)) as table,
            spill.open("rb") as file,
        ):
            for start in range(0, len(moments), rows):
                here = moments[start : start + rows]
                values = [_floats(file, at * len(moments) + start, len(here)) for at in range(len(trials))]
                arrays = [pa.array(one, pa.float64(), mask=np.isnan(one)) for one in values]
                time = pa.array(here, pa.timestamp("us")).cast(_UTC_US)
                table.append(pa.table([time, *arrays], names=["timestamp", *columns]))
            return table.finish()
    finally:
        spill.unlink(missing_ok=True)


def _floats(file: IO[bytes], first: int, count: int) -> NDArray[np.float64]:
    file.seek(first * 8)
    return np.frombuffer(file.read(count * 8), dtype=np.float64)


def _moments(parts: SweepParts, trials: Sequence[int]) -> Moments:
    """All moments at which one of the trials has a bar, sorted."""
    found, _ = _equity(parts, trials[0])
    for trial in trials[1:]:
        own, _ = _equity(parts, trial)
        if not np.array_equal(own, found):
            found = np.union1d(found, own)
    return found


def _equity(parts: SweepParts, trial: int) -> tuple[Moments, NDArray[np.float64]]:
    table = parts.read(equity_name(trial), EQUITY)
    moments = table.column("timestamp").cast(pa.timestamp("us")).to_numpy()
    return moments, table.column("equity").to_numpy()


PLAIN = frozenset(
    [name for name, facts in METRICS.items() if facts.unit != "count"]
    + ["objective", "trial", "rank", "sum", "sum_squares"]
)
"""Columns whose values seldom repeat."""
