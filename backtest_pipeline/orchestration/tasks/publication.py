"""Publishing a run's results so that they are there when the run has succeeded.

Somebody may delete or replace folders below DATA_ROOT/tasks while backtests write. What is gone is written
once more, as the result is still in memory: at once, before the run succeeds, and once again after it has.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from backtest_pipeline.model.errors import BacktestError, ResultVanished
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.results.task_store import TaskStore

PAUSES_S = (0.2, 1.0, 3.0)
"""Before each further try; deleting a large folder takes seconds. Past them the attempt fails."""

_log = logging.getLogger(__name__)


class Publication:
    """One attempt's results, written and published as often as it takes.

    Attributes:
        manifest: what was published last; `None` before the first time.
    """

    def __init__(
        self,
        store: TaskStore,
        attempt: Attempt,
        *,
        write: Callable[[Path], list[ResultFile]],
        manifest_of: Callable[[list[ResultFile]], Manifest],
        refuse: Callable[[], object],
        record: Callable[[Manifest, Path], object] = lambda *_: None,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        """Prepares; nothing is written yet.

        Args:
            store: where results go.
            attempt: whose results they are.
            write: writes all files into a folder.
            manifest_of: makes the record of those files.
            refuse: raises where the attempt may publish no more; asked before it publishes while it runs.
            record: notes elsewhere what is about to be published, given the record and the folder of its
                files; an attempt that dies in between has its retry note the same again.
            pauses_s: how long to wait before each further try.
        """
        self.manifest: Manifest | None = None
        self._store = store
        self._attempt = attempt
        self._write = write
        self._manifest_of = manifest_of
        self._refuse = refuse
        self._record = record
        self._pauses_s = pauses_s

    def publish(self) -> tuple[Manifest, Path]:
        """Writes and publishes.

        Returns:
            The manifest and the task's folder.

        Raises:
            ResultVanished: the folders were deleted each time.
            AttemptSuperseded: a later attempt has published, or this one was given up.
            OSError: the disk refuses.
        """
        for pause_s in self._pauses_s:
            try:
                return self._published()
            except ResultVanished:
                time.sleep(pause_s)
        return self._published()

    def keep(self) -> None:
        """Publishes again what is gone by now; call it last before the run succeeds; raises as `publish`."""
        for pause_s in self._pauses_s:
            try:
                return self._require_whole()
            except ResultVanished as error:
                _log.warning("publishing once more: %s", error)
                time.sleep(pause_s)
                with suppress(ResultVanished):  # the next look will show
                    self._published()
        return self._require_whole()

    def keep_after_success(self) -> None:
        """Publishes again what went while the run's success was written down, whatever the run is now."""
        self._refuse = _nobody
        try:
            self.keep()
        except (BacktestError, OSError) as error:
            _log.warning("%s", error)

    def _published(self) -> tuple[Manifest, Path]:
        with self._store.staging(self._attempt.run_ids[-1]) as staged:
            try:
                manifest = self._manifest_of(self._write(staged))
            except (FileNotFoundError, NotADirectoryError) as error:
                if staged.is_dir():
                    raise
                raise ResultVanished(self._attempt.task_id, staged, ["the whole folder"]) from error
            self._refuse()
            self._record(manifest, staged)
            folder = self._store.publish(manifest, staged)
        self.manifest = manifest
        return manifest, folder

    def _require_whole(self) -> None:
        if self.manifest is not None:
            self._store.require_whole(self.manifest)


def _nobody() -> None:
    """Refuses nothing."""
