"""Working on chunks of searches that run elsewhere: the record of a search on the volume, and its work here.

The run of a search leaves a record beside its parts. A worker makes its own work of it, from its own candles
and code, and refuses where that would yield other bytes than the run's.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model import tags
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.orchestration.tasks.chunk_places import SearchRecord
from backtest_pipeline.orchestration.tasks.submitted_code import code_of_run
from backtest_pipeline.orchestration.tasks.sweep_context import SweepContext
from backtest_pipeline.orchestration.tasks.walk_forward_context import WalkForwardContext
from backtest_pipeline.storage.atomic import make_folder, write_bytes_durably
from backtest_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    from dagster import DagsterRun

    from backtest_pipeline.settings import Settings

_CONTEXTS: dict[str, Any] = {tags.SWEEP_JOB: SweepContext, tags.WALK_FORWARD_JOB: WalkForwardContext}
_RECORD = ".search.json"
_KEPT = 2


def write_record(layout: Layout, record: SearchRecord) -> None:
    """Leaves a search's record for the workers, beside its parts.

    Raises:
        OSError: the disk refuses.
    """
    folder = layout.sweep_parts(record.key)
    make_folder(folder)
    write_bytes_durably(folder / _RECORD, json.dumps(asdict(record)).encode())


def read_record(layout: Layout, key: str) -> SearchRecord:
    """Reads it.

    Raises:
        OSError: it is not there, as on another volume, or cannot be read.
    """
    return SearchRecord(**json.loads((layout.sweep_parts(key) / _RECORD).read_bytes()))


class SearchWorks:
    """The searches that this process has begun to work on, the latest two."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contexts: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
        self._current = ""

    def begin(self, run: DagsterRun, key: str) -> None:
        """Makes a run's search the work of this process.

        Raises:
            WorkerUnfit, CodeDiffers: here it would be other work.
            BacktestError, OSError: as `SearchContext.loaded`, or the record is not there.
        """
        if key not in self._contexts:
            self._contexts[key] = self._loaded(run, key)
            while len(self._contexts) > _KEPT:
                self._contexts.popitem(last=False)[1][0].release()
        if key != self._current:
            self._contexts.move_to_end(key)
            self._contexts[key][1].begin()
            self._current = key

    def _loaded(self, run: DagsterRun, key: str) -> tuple[Any, Any]:
        record = read_record(Layout(self._settings.data_root), key)
        context = _CONTEXTS[run.job_name](self._settings)
        names = strategies_of(context.request(record.config).to_dict())
        ran = code_of_run(names, run.tags).ran
        return context, context.work_of(replace(record, code=ran or record.code))
