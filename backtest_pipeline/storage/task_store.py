"""Results on disk: staged out of sight, published whole, read back."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from backtest_pipeline.model.errors import AttemptSuperseded, ResultDamaged, ResultMissing
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.storage.atomic import fsync_folder, write_bytes_durably
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.storage.result_tables import TABLES, read_table, write_table


class TaskStore:
    """The folder of all tasks' results below a data root."""

    def __init__(self, data_root: str | Path) -> None:
        """Looks at `data_root/tasks`, which need not exist yet."""
        self.layout = Layout(Path(data_root))

    @contextmanager
    def staging(self, run_id: str) -> Iterator[Path]:
        """A fresh hidden folder for one attempt's files; what is left of it afterwards is removed."""
        folder = self.layout.staging(run_id)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def write_tables(self, folder: Path, result: BacktestResult) -> list[ResultFile]:
        """Writes a result's three tables into a staging folder, durably.

        Raises:
            OSError: the disk refuses.
        """
        return [write_table(folder, name, getattr(result, name)) for name in TABLES]

    def publish(self, manifest: Manifest, staged: Path) -> Path:
        """Makes staged files the task's results: one rename, the manifest inside.

        An earlier attempt's folder is moved away first, so that nobody ever sees files of two attempts. An
        attempt that was given up but still lives cannot replace what a later one has published. What killed
        attempts had staged is removed.

        Returns:
            The task's folder.

        Raises:
            AttemptSuperseded: a later attempt has published.
            OSError: the disk refuses; the earlier attempt's results, if any, are still there.
        """
        write_bytes_durably(staged / self.layout.manifest(manifest.task_id).name, manifest.to_json().encode())
        fsync_folder(staged)
        with self._publishing():
            self._refuse_superseded(manifest)
            target = self._put_in_place(manifest, staged)
        for earlier in manifest.run_ids[:-1]:
            shutil.rmtree(self.layout.staging(earlier), ignore_errors=True)
            shutil.rmtree(self.layout.trash(earlier), ignore_errors=True)
        return target

    def _put_in_place(self, manifest: Manifest, staged: Path) -> Path:
        target = self.layout.task(manifest.task_id)
        replaced = self.layout.trash(manifest.run_ids[-1])
        if target.exists():
            replaced.parent.mkdir(exist_ok=True)
            target.rename(replaced)
        try:
            staged.rename(target)
        except OSError:
            if replaced.exists():
                replaced.rename(target)
            raise
        fsync_folder(target.parent)
        shutil.rmtree(replaced, ignore_errors=True)
        return target

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        with self.layout.publish_lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _refuse_superseded(self, manifest: Manifest) -> None:
        try:
            published = self.manifest(manifest.task_id)
        except (ResultMissing, ResultDamaged):
            return
        if published.attempt > manifest.attempt:
            raise AttemptSuperseded(manifest.task_id, manifest.attempt, published.attempt)

    def task_ids(self) -> list[str]:
        """Ids of the tasks that have a manifest, sorted."""
        return sorted(path.parent.name for path in self.layout.tasks.glob("[!.]*/manifest.json"))

    def manifest(self, task_id: str) -> Manifest:
        """Reads a task's manifest.

        Raises:
            TaskUnknown: `task_id` is no task id.
            ResultMissing: there is no manifest (yet).
            ResultDamaged: the manifest is not one of ours.
        """
        path = self.layout.manifest(task_id)
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise ResultMissing(task_id, path.parent, "nothing has been published there") from None
        except ValidationError as error:
            raise ResultDamaged(task_id, path, f"this is no manifest of schema version 1: {error}") from error

    def result(self, task_id: str) -> BacktestResult:
        """Reads a completed task's result, checking every file against its checksum.

        Raises:
            TaskUnknown: `task_id` is no task id.
            ResultMissing: nothing is published, or the task did not complete.
            ResultDamaged: a file is gone or differs from what was published.
        """
        manifest = self.manifest(task_id)
        folder = self.layout.task(task_id)
        if manifest.status != "completed":
            why = manifest.error.message if manifest.error else "no reason is recorded"
            raise ResultMissing(task_id, folder, f"it {manifest.status}: {why}")
        files = {file.name: file for file in manifest.result_files}
        for file in files.values():
            self._check(task_id, folder / file.path, file)
        return BacktestResult(
            **{name: read_table(folder / files[name].path) for name in TABLES},
            metrics=manifest.metrics,
            by_symbol=manifest.by_symbol,
            request=BacktestRequest.model_validate(manifest.request),
            diagnostics=manifest.diagnostics,
            checks=manifest.checks,
            manifest=manifest,
        )

    def _check(self, task_id: str, path: Path, file: ResultFile) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ResultDamaged(task_id, path, "the file is gone") from None
        if len(content) != file.size_bytes or hashlib.sha256(content).hexdigest() != file.sha256:
            raise ResultDamaged(task_id, path, "the file differs from what was published")
