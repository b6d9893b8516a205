"""One task's results as one file: a tar of its manifest and files, compressed with zstd.

An archive holds `manifest.json` first and then the files that it lists, in its order, all of them regular
files with plain names. The reader takes nothing else, so that a made-up archive has no feature to abuse; and
it believes no size but the manifest's.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from backtest_pipeline.model.errors import ArchiveRefused, ResultDamaged, ResultMissing, TaskUnknown
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.results.archive_stream import ArchiveReader, opened_archive, written_archive
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.result_log import note
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_folder, verify_task
from backtest_pipeline.storage.atomic import fsync_folder, make_folder_durably, write_and_sync
from backtest_pipeline.storage.layout import MANIFEST, Layout, is_result_path
from backtest_pipeline.storage.new_file import new_file

_LARGEST_MANIFEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        task_id: the task that the archive held.
        folder: where its results are now.
        new: false where they were there already.
    """

    task_id: str
    folder: Path
    new: bool


def export_task(layout: Layout, task_id: str, path: Path, *, force: bool = False) -> None:
    """Writes a task's results into an archive. The same folder gives the same bytes.

    Args:
        layout: where the tasks are.
        task_id: the task.
        path: the archive to write, in a folder that exists.
        force: whether a file of that name may be replaced.

    Raises:
        TaskUnknown: `task_id` is no task id.
        ResultMissing: nothing is published.
        ResultDamaged: the results are not whole; nothing is written.
        FileThere: there is a file of that name.
        OSError: the disk refuses.
    """
    folder = layout.task(task_id)
    found = verify_task(layout, task_id)
    if not layout.manifest(task_id).exists():
        raise ResultMissing(task_id, folder, "nothing has been published there")
    if not found.ok:
        raise ResultDamaged(task_id, folder, "; ".join(found.problems))
    content = layout.manifest(task_id).read_bytes()
    manifest = Manifest.model_validate_json(content)
    with new_file(path, force=force) as tmp, written_archive(tmp) as archive:
        archive.add(MANIFEST, io.BytesIO(content), len(content))
        for listed in manifest.result_files:
            with (folder / listed.path).open("rb") as source:
                archive.add(listed.path, source, listed.size_bytes)


def import_archive(layout: Layout, path: Path, *, pinned: bool = True) -> Imported:
    """Puts an archive's results beside the others: all of them, checked, in one step, or nothing.

    Repeated, or where the same results are there already, it changes nothing.

    Args:
        layout: where the tasks are.
        path: the archive.
        pinned: whether to keep the results past their time, which for an old task is over already.

    Raises:
        ArchiveRefused: this is no archive of ours, it is damaged, or other results of the same task are here.
        OSError: the disk refuses, or there is no such file.
    """
    make_folder_durably(layout.tasks)
    staging = TaskStore(layout.data_root).staging(_staging_name(path))
    with opened_archive(path) as archive, staging as staged:
        manifest, content = _manifest(archive, path)
        target = _target(layout, manifest, path)
        if target.exists():
            _refuse_conflict(layout, manifest, path)
            return Imported(manifest.task_id, target, new=False)
        _require_room(layout, manifest, path)
        write_and_sync(staged / MANIFEST, content)
        for file in manifest.result_files:
            _take(archive, file, staged, path)
        archive.require_end()
        found = verify_folder(staged, manifest.task_id)
        if not found.ok:
            raise ArchiveRefused(path, "; ".join(found.problems))
        if pinned:
            write_and_sync(staged / MANIFEST, _kept(manifest).to_json().encode())
        fsync_folder(staged)
        with publishing(layout):
            if target.exists():  # somebody else was quicker
                _refuse_conflict(layout, manifest, path)
                return Imported(manifest.task_id, target, new=False)
            if pinned or manifest.pinned:
                note(layout, manifest.task_id, "pinned")
            staged.rename(target)
            fsync_folder(target.parent)
    return Imported(manifest.task_id, target, new=True)


def _staging_name(path: Path) -> str:
    """Its own for each process and archive: two imports at once do not meet."""
    return f"import-{os.getpid()}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"


def _manifest(archive: ArchiveReader, path: Path) -> tuple[Manifest, bytes]:
    member = archive.member(MANIFEST)
    if member.size > _LARGEST_MANIFEST:
        raise ArchiveRefused(path, f"its manifest is larger than {_LARGEST_MANIFEST:,} bytes")
    content = b"".join(archive.content(member))
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise ArchiveRefused(path, f"{MANIFEST} is none of schema version 1: {error}") from error
    names = [file.path for file in manifest.result_files]
    strange = [name for name in names if not is_result_path(name)]
    if strange or len(set(names)) < len(names):
        raise ArchiveRefused(
            path, f"its manifest lists {strange[0]!r}" if strange else "it lists a file twice"
        )
    return manifest, content


def _target(layout: Layout, manifest: Manifest, path: Path) -> Path:
    try:
        return layout.task(manifest.task_id)
    except TaskUnknown:
        raise ArchiveRefused(path, f"{manifest.task_id!r} is no task id") from None


def _refuse_conflict(layout: Layout, manifest: Manifest, path: Path) -> None:
    """Passes where the same results are here, whole; what is added later may differ."""
    found = verify_task(layout, manifest.task_id)
    if not found.ok:
        problem = f"task {manifest.task_id} is here already, damaged ({'; '.join(found.problems)})"
        raise ArchiveRefused(path, f"{problem}: move {layout.task(manifest.task_id)} away and try again")
    here = Manifest.model_validate_json(layout.manifest(manifest.task_id).read_bytes())
    if _results_alone(here) != _results_alone(manifest):
        raise ArchiveRefused(path, f"task {manifest.task_id} is here already, with other results")


def _results_alone(manifest: Manifest) -> Manifest:
    tables = [file for file in manifest.result_files if file.kind == "parquet"]
    return _kept(manifest).model_copy(update={"result_files": tables, "robustness": None})


def _kept(manifest: Manifest) -> Manifest:
    timestamps = manifest.timestamps.model_copy(update={"expires_at": None})
    return manifest.model_copy(update={"pinned": True, "timestamps": timestamps})


def _require_room(layout: Layout, manifest: Manifest, path: Path) -> None:
    wanted = sum(file.size_bytes for file in manifest.result_files)
    free = shutil.disk_usage(layout.tasks).free
    if wanted > free:
        raise ArchiveRefused(path, f"it needs {wanted:,} bytes, the disk has {free:,}; make room")


def _take(archive: ArchiveReader, file: ResultFile, staged: Path, path: Path) -> None:
    member = archive.member(file.path)
    if member.size != file.size_bytes:
        raise ArchiveRefused(
            path, f"{file.path} has {member.size:,} bytes, the manifest says {file.size_bytes:,}"
        )
    digest = hashlib.sha256()
    (staged / file.path).parent.mkdir(exist_ok=True)
    with (staged / file.path).open("xb") as target:
        for chunk in archive.content(member):
            digest.update(chunk)
            target.write(chunk)
        _sync(target)
    if digest.hexdigest() != file.sha256:
        raise ArchiveRefused(path, f"{file.path} is not what the manifest lists (sha256)")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
