"""Results on disk: staged out of sight, published whole, read back."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import from_json

from backtest_pipeline.model.errors import AttemptSuperseded, ResultDamaged, ResultMissing, ResultVanished
from backtest_pipeline.model.manifest import Manifest, ResultFile, of_another_system
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.robustness import Robustness
from backtest_pipeline.model.task_request import stored_backtest
from backtest_pipeline.quick_imports import ImportedWhenUsed
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.result_log import note
from backtest_pipeline.storage.atomic import fsync_folder, fsync_tree, make_folder, write_bytes_durably
from backtest_pipeline.storage.layout import MANIFEST, Layout

if TYPE_CHECKING:
    from backtest_pipeline.results import tables
else:  # whoever only looks for a task needs neither pandas nor Arrow
    tables = ImportedWhenUsed("backtest_pipeline.results.tables")


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
        make_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def write_tables(self, folder: Path, result: BacktestResult) -> list[ResultFile]:
        """Writes a result's tables into a staging folder.

        Raises:
            OSError: the disk refuses.
        """
        return [tables.write_table(folder, name, table) for name, table in tables.tables_of(result).items()]

    def write_file(self, folder: Path, file: str, content: bytes, *, name: str) -> ResultFile:
        """Writes a picture or a page into a folder, durably; `name` is the one in the manifest.

        Raises:
            OSError: the disk refuses.
        """
        path = folder / file
        write_bytes_durably(path, content)
        return ResultFile(
            name=name,
            path=path.name,
            kind=path.suffix.removeprefix("."),
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            rows=None,
        )

    def add_file(self, manifest: Manifest, file: str, content: bytes, *, name: str) -> None:
        """Adds a file to what an attempt has published: first the file, then the manifest that lists it.

        Raises:
            AttemptSuperseded: another attempt's results are there by now.
            ResultMissing, ResultDamaged: as for `manifest`.
            OSError: the disk refuses.
        """
        with publishing(self.layout):
            published = self._of_attempt(manifest)
            folder = self.layout.task(manifest.task_id)
            added = self.write_file(folder, file, content, name=name)
            others = [one for one in published.result_files if one.name != name]
            self._write(folder, published.model_copy(update={"result_files": [*others, added]}))

    def add_robustness(self, manifest: Manifest, robustness: Robustness) -> Manifest:
        """Adds statistics to what an attempt published and returns the manifest; raises as `add_file`."""
        with publishing(self.layout):
            found = self._of_attempt(manifest).model_copy(update={"robustness": robustness})
            self._write(self.layout.task(manifest.task_id), found)
        return found

    def _of_attempt(self, manifest: Manifest) -> Manifest:
        published = self.manifest(manifest.task_id)
        if published.run_ids != manifest.run_ids:
            raise AttemptSuperseded(manifest.task_id, manifest.attempt, published.attempt)
        return published

    def publish(self, manifest: Manifest, staged: Path) -> Path:
        """Makes staged files the task's results: one rename, the manifest inside.

        An earlier attempt's folder is moved away first, so that nobody ever sees files of two attempts. An
        attempt that was given up but still lives cannot replace what a later one has published. What one has
        completed is replaced only by what another completes: a task that is run again and then fails or is
        cancelled keeps its results. What killed attempts had staged is removed. A task that somebody has
        pinned stays pinned.

        Returns:
            The task's folder.

        Raises:
            AttemptSuperseded: a later attempt has published.
            ResultVanished: somebody has deleted or replaced folders meanwhile; nothing is published.
            OSError: the disk refuses; the earlier attempt's results, if any, are still there.
        """
        try:
            target = self._published_from(manifest, staged)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ResultVanished(manifest.task_id, staged, [MANIFEST]) from error
        for earlier in manifest.run_ids[:-1]:
            shutil.rmtree(self.layout.staging(earlier), ignore_errors=True)
            shutil.rmtree(self.layout.trash(earlier), ignore_errors=True)
        return target

    def _published_from(self, manifest: Manifest, staged: Path) -> Path:
        (staged / MANIFEST).write_text(manifest.to_json(), "utf-8")
        fsync_tree(staged)
        with publishing(self.layout) as lock_is_held:
            published = self._published(manifest.task_id)
            if published and published.attempt > manifest.attempt:
                raise AttemptSuperseded(manifest.task_id, manifest.attempt, published.attempt)
            if published and published.status == "completed" != manifest.status:
                shutil.rmtree(staged)
                return self.layout.task(manifest.task_id)
            if published and published.pinned:
                self._write(staged, _pinned(manifest, pinned=True, ttl_days=0))
            if manifest.pinned:
                note(self.layout, manifest.task_id, "pinned")
            target = self._put_in_place(manifest, staged)
            if not lock_is_held():
                raise ResultVanished(manifest.task_id, self.layout.tasks, [self.layout.publish_lock.name])
        return target

    def _put_in_place(self, manifest: Manifest, staged: Path) -> Path:
        target = self.layout.task(manifest.task_id)
        replaced = self.layout.trash(manifest.run_ids[-1])
        if target.exists():
            make_folder(replaced.parent)
            shutil.rmtree(replaced, ignore_errors=True)
            target.rename(replaced)
        try:
            staged.rename(target)
            fsync_folder(target.parent)
            self.require_whole(manifest)
        except (OSError, ResultVanished, ResultDamaged):
            if replaced.exists():
                shutil.rmtree(target, ignore_errors=True)
                with suppress(OSError):  # the first error is the one to report
                    replaced.rename(target)
            raise
        shutil.rmtree(replaced, ignore_errors=True)
        return target

    def require_whole(self, manifest: Manifest) -> None:
        """Looks whether what an attempt has published is still there: its manifest, and every file's size.

        Raises:
            ResultVanished: the folder or a file of it is gone.
            ResultDamaged: the manifest cannot be read.
            AttemptSuperseded: another attempt's results are there.
        """
        folder = self.layout.task(manifest.task_id)
        try:
            published = self.manifest(manifest.task_id)
        except (ResultMissing, NotADirectoryError):
            raise ResultVanished(manifest.task_id, folder, [MANIFEST]) from None
        if published.run_ids != manifest.run_ids:
            raise AttemptSuperseded(manifest.task_id, manifest.attempt, published.attempt)
        listed = {file.name: file for file in (*manifest.result_files, *published.result_files)}
        missing = [file.path for file in listed.values() if _size_of(folder / file.path) != file.size_bytes]
        if missing:
            raise ResultVanished(manifest.task_id, folder, missing)

    def pin(self, task_id: str, *, pinned: bool, ttl_days: int) -> Manifest:
        """Keeps a finished task's results past their time, or gives them a time again; may be repeated.

        Args:
            task_id: the task.
            pinned: whether to keep it.
            ttl_days: how long results live that are not pinned, in days from the task's end; 0: for ever.

        Returns:
            The manifest as it stands now.

        Raises:
            TaskUnknown, ResultMissing, ResultDamaged: as for `manifest`.
            OSError: the disk refuses.
        """
        manifest = self.manifest(task_id)
        with publishing(self.layout):
            manifest = _pinned(self.manifest(task_id), pinned=pinned, ttl_days=ttl_days)
            note(self.layout, task_id, "pinned" if pinned else "unpinned")
            self._write(self.layout.task(task_id), manifest)
        return manifest

    def _write(self, folder: Path, manifest: Manifest) -> None:
        write_bytes_durably(folder / MANIFEST, manifest.to_json().encode())

    def _published(self, task_id: str) -> Manifest | None:
        try:
            return self.manifest(task_id)
        except (ResultMissing, ResultDamaged):
            return None

    def task_ids(self) -> list[str]:
        """Ids of the tasks that have a manifest, damaged ones too but not other systems', sorted."""
        paths = self.layout.tasks.glob("[!.]*/manifest.json")
        return sorted(path.parent.name for path in paths if not _is_foreign(path))

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
        if manifest.kind != "backtest":
            raise ResultMissing(task_id, folder, f"it is a {manifest.kind}; see `backtest result`")
        if manifest.status != "completed":
            why = manifest.error.message if manifest.error else "no reason is recorded"
            raise ResultMissing(task_id, folder, f"it {manifest.status}: {why}")
        files = {file.name: file for file in manifest.result_files}
        for file in files.values():
            self._check(task_id, folder / file.path, file)
        return BacktestResult(
            **tables.read_tables(folder, manifest),
            metrics=manifest.metrics,
            by_symbol=manifest.by_symbol,
            request=stored_backtest(manifest.request),
            diagnostics=manifest.diagnostics,
            checks=manifest.checks,
            calendars=manifest.calendars,
            manifest=manifest,
        )

    def _check(self, task_id: str, path: Path, file: ResultFile) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ResultDamaged(task_id, path, "the file is gone") from None
        if len(content) != file.size_bytes or hashlib.sha256(content).hexdigest() != file.sha256:
            raise ResultDamaged(task_id, path, "the file differs from what was published")


def _pinned(manifest: Manifest, *, pinned: bool, ttl_days: int) -> Manifest:
    expires_at = (
        None if pinned or not ttl_days else manifest.timestamps.finished_at + timedelta(days=ttl_days)
    )
    timestamps = manifest.timestamps.model_copy(update={"expires_at": expires_at})
    return manifest.model_copy(update={"pinned": pinned, "timestamps": timestamps})


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _is_foreign(manifest: Path) -> bool:
    try:
        return of_another_system(from_json(manifest.read_bytes()))
    except (OSError, ValueError):
        return False
