"""A walk-forward's files, put together from the chunks of its trainings and from what its winners traded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backtest_pipeline.research.ranking import with_ranks
from backtest_pipeline.results.streamed_table import StreamedTable
from backtest_pipeline.results.tables import tables_of, write_table
from backtest_pipeline.workflows.run_walk_forward import with_fold
from backtest_pipeline.workflows.sweep_chunks import TRIALS, chunks_of
from backtest_pipeline.workflows.sweep_files import PLAIN, require_all
from backtest_pipeline.workflows.walked_folds import WalkedFolds, walked

if TYPE_CHECKING:
    import pyarrow as pa

    from backtest_pipeline.model.manifest import ResultFile
    from backtest_pipeline.workflows.walk_forward_chunks import TrainingTally, WalkForwardWork

FOLDS, PATHS = "folds", "paths"


@dataclass(frozen=True, eq=False, slots=True)
class WalkForwardFiles:
    """What has been written.

    Attributes:
        files: as the manifest lists them.
        walked: what has come of the folds.
    """

    files: list[ResultFile]
    walked: WalkedFolds


def write_walk_forward(folder: Path, work: WalkForwardWork, tally: TrainingTally) -> WalkForwardFiles:
    """Trades the folds and writes all tables of a walk-forward whose trainings are done.

    The same walk-forward yields the same bytes, however its trainings were cut into chunks.

    Args:
        folder: where they go.
        work: the walk-forward.
        tally: of all its trainings.

    Raises:
        PartDamaged: a chunk is gone or torn; when it has been run again, this may be called again.
        BacktestError: a winner cannot be run.
        OSError: the disk refuses.
    """
    files = [_trials(folder, work, tally)]
    found = walked(work.plan, work.candles, work.winners(), work.data, timezone=work.timezone)
    files.append(_whole(folder, FOLDS, found.folds))
    files += [write_table(folder, name, table) for name, table in tables_of(found.out_of_sample).items()]
    if found.paths is not None:
        files.append(_whole(folder, PATHS, found.paths))
    return WalkForwardFiles(files, found)


def _trials(folder: Path, work: WalkForwardWork, tally: TrainingTally) -> ResultFile:
    with StreamedTable(folder, TRIALS, plain=PLAIN) as table:
        for number, (training, own) in enumerate(zip(work.trainings, tally.tallies, strict=True)):
            require_all(training.parts, own.done)
            ranks = own.ranks()
            for name in chunks_of(training.parts):
                table.append(with_fold(with_ranks(training.parts.read(name, TRIALS), ranks), number))
        return table.finish()


def _whole(folder: Path, name: str, rows: pa.Table) -> ResultFile:
    with StreamedTable(folder, name, plain=PLAIN) as table:
        table.append(rows)
        return table.finish()
