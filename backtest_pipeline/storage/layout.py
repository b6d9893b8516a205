"""The only place that joins paths below `DATA_ROOT`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backtest_pipeline.model.errors import RequestInvalid, TaskUnknown
from backtest_pipeline.model.task_names import is_task_id
from backtest_pipeline.model.timeframe import Timeframe, symbol_problem

MANIFEST = "manifest.json"
CHART = "equity.png"
HEATMAP = "heatmap.png"
REPORT = "report.html"
BEST = "best"
"""Folder, within a sweep's, of the tables of its best trial."""


def is_result_path(path: str) -> bool:
    """Whether a text is the path of a file that results may have, relative to the task's folder.

    It is a visible name, or one in `best/`, and not the manifest's.
    """
    name = path.removeprefix(f"{BEST}/")
    allowed = path.isascii() and all(one.isalnum() or one in "._-" for one in name)
    return allowed and bool(name) and len(path) <= 100 and not name.startswith(".") and name != MANIFEST


@dataclass(frozen=True, slots=True)
class Layout:
    """Where candles and results lie.

    Attributes:
        data_root: the volume that holds everything.
    """

    data_root: Path

    def timeframe_folder(self, symbol: str, timeframe: Timeframe) -> Path:
        """Folder of a symbol's yearly candle files.

        Raises:
            RequestInvalid: the text is not a symbol.
        """
        return self._symbol_folder(symbol) / timeframe.upper()

    def candle_file(self, symbol: str, timeframe: Timeframe, year: int) -> Path:
        """File of one year of a symbol's candles."""
        return self.timeframe_folder(symbol, timeframe) / f"{year:04d}.parquet"

    def coverage(self, symbol: str, timeframe: Timeframe) -> Path:
        """File that records from which market a symbol's candles come, and from when to when it was asked."""
        return self.timeframe_folder(symbol, timeframe) / ".source.json"

    def funding(self, symbol: str) -> Path:
        """File of a perpetual's funding rates.

        Raises:
            RequestInvalid: the text is not a symbol.
        """
        return self._symbol_folder(symbol) / "funding.parquet"

    def funding_coverage(self, symbol: str) -> Path:
        """File that records from which market a symbol's funding rates come, and for which time."""
        return self._symbol_folder(symbol) / ".funding.json"

    def resampled(self, symbol: str, timeframe: Timeframe) -> Path:
        """File that records of which shorter candles a symbol's candles were made."""
        return self.timeframe_folder(symbol, timeframe) / ".resampled.json"

    def download_lock(self, symbol: str, timeframe: Timeframe) -> Path:
        """File that is locked while a symbol's candles are downloaded."""
        return self.timeframe_folder(symbol, timeframe) / ".download.lock"

    @property
    def pace(self) -> Path:
        """Folder in which all who ask an exchange from this machine share their pace."""
        return self.data_root / ".exchanges"

    def symbol_record(self, symbol: str) -> Path:
        """File that records a symbol's calendar, currency and time zone.

        Raises:
            RequestInvalid: the text is not a symbol.
        """
        return self._symbol_folder(symbol) / "symbol.json"

    def schedule(self, calendar: str) -> Path:
        """File that keeps the sessions of an exchange's calendar, which may be made again at any time."""
        return self.data_root / ".calendars" / f"{calendar.replace('/', '_')}.parquet"

    def _symbol_folder(self, symbol: str) -> Path:
        if problem := symbol_problem(symbol):
            raise RequestInvalid([("symbols", problem)])
        return self.data_root / symbol

    @property
    def tasks(self) -> Path:
        """Folder of all tasks' results."""
        return self.data_root / "tasks"

    def task(self, task_id: str) -> Path:
        """Folder of one task's results.

        Raises:
            TaskUnknown: the text is not a task id, which are UUIDs.
        """
        if not is_task_id(task_id):
            raise TaskUnknown(task_id)
        return self.tasks / task_id

    def manifest(self, task_id: str) -> Path:
        """The file whose presence says that a task's results are whole."""
        return self.task(task_id) / MANIFEST

    def staging(self, run_id: str) -> Path:
        """Folder in which one attempt prepares its files, on the same file system as the tasks."""
        return self.tasks / ".staging" / run_id

    def sweep_parts(self, key: str) -> Path:
        """Folder of the chunks that a sweep has finished, for whoever runs the same one next."""
        return self.tasks / ".sweeps" / key

    @property
    def publish_lock(self) -> Path:
        """File that is locked while a task's folder is put in place or taken away."""
        return self.tasks / ".lock"

    @property
    def last_cleanup(self) -> Path:
        """File that records when results were cleaned up last."""
        return self.tasks / ".last_cleanup.json"

    @property
    def result_log(self) -> Path:
        """File that records which results were deleted or pinned on purpose; outlives the tasks' folder."""
        return self.data_root / "result_log.jsonl"

    @property
    def ledger(self) -> Path:
        """Folder that remembers every trial; outlives the tasks' folder."""
        return self.data_root / "ledger"

    def trash(self, run_id: str) -> Path:
        """Where a folder goes in one step before it is deleted."""
        return self.tasks / ".trash" / run_id
