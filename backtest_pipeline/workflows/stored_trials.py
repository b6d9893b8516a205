"""The trials of a sweep that is on disk, as its report reads them: a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.trial_states import TRIAL_STATES
from backtest_pipeline.reports.sweep_trials import TrialBatch
from backtest_pipeline.research.space import Space
from backtest_pipeline.results.sweep_tables import TRIALS_FILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.space import Axis

_FIXED = ("trial", "state", "rank", "objective")


@dataclass(frozen=True)
class StoredTrials:
    """The trials of a sweep's folder, read a row group at a time.

    Attributes:
        folder: of the task.
        request: what was asked.
    """

    folder: Path
    request: SweepRequest

    @cached_property
    def metrics(self) -> Sequence[str]:
        """Those that the table has."""
        names = set(pq.read_schema(self.folder / TRIALS_FILE).names)
        return [name for name in METRICS if name in names]

    @cached_property
    def _space(self) -> Space:
        return Space.of(self.request.space)

    def batches(self, metrics: Sequence[str] = (), *, with_errors: bool = False) -> Iterator[TrialBatch]:
        """As `TrialSource` has it."""
        errors = ["error"] if with_errors else []
        columns = list(dict.fromkeys([*_FIXED, *self._space.axes, *metrics, *errors]))
        with pq.ParquetFile(self.folder / TRIALS_FILE) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns, use_threads=False)
                yield self._batch(table, metrics)

    def _batch(self, table: pa.Table, metrics: Sequence[str]) -> TrialBatch:
        state = table.column("state").combine_chunks().dictionary_encode()
        codes = np.array([TRIAL_STATES.index(one) for one in state.dictionary.to_pylist()], dtype=np.int8)
        errors: dict[int, str] = {}
        if "error" in table.column_names:
            own = table.column("error").combine_chunks()
            said = np.flatnonzero(own.is_valid().to_numpy(zero_copy_only=False))
            errors = dict(zip(said.tolist(), own.take(pa.array(said)).to_pylist(), strict=True))
        return TrialBatch(
            trial=table.column("trial").to_numpy(),
            rank=table.column("rank").fill_null(0).to_numpy(),
            state=codes[state.indices.to_numpy()],
            objective=_floats(table, "objective"),
            places={key: _places(axis, table.column(key)) for key, axis in self._space.axes.items()},
            metrics={name: _floats(table, name) for name in metrics},
            errors=errors,
        )


def _places(axis: Axis, column: pa.ChunkedArray) -> NDArray[Any]:
    """The places of a column's values; of a list of values each different one is looked up once."""
    if not isinstance(axis.values, tuple):
        plain: NDArray[Any] = axis.places(column)
        return plain
    coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    distinct: NDArray[Any] = axis.places(pa.chunked_array([coded.dictionary]))
    places: NDArray[Any] = distinct[coded.indices.to_numpy()]
    return places


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column of numbers, NaN for none."""
    values: NDArray[np.float64] = table.column(name).cast(pa.float64()).to_numpy()
    return values
