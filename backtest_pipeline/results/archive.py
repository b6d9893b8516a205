"""One task's results as one file: a tar of its manifest and files, compressed with zstd.

An archive holds `manifest.json` first and then the files that it lists, in its order, all of them regular
files with plain names, in the old tar format that knows nothing else. The reader takes nothing but that, so
that a made-up archive has no feature to abuse; and it believes no size but the manifest's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pydantic import ValidationError

from backtest_pipeline.model.errors import ArchiveRefused, ResultDamaged, ResultMissing, TaskUnknown
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.result_log import note
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_folder, verify_task
from backtest_pipeline.storage.atomic import fsync_folder, make_folder_durably, write_and_sync
from backtest_pipeline.storage.layout import MANIFEST, Layout, is_result_path
from backtest_pipeline.storage.new_file import new_file

_BLOCK = 512
_CHUNK = 1 << 20
_LARGEST_MANIFEST = 64 << 20
_MOST_PADDING = 64 << 10


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
    with new_file(path, force=force) as tmp, pa.CompressedOutputStream(str(tmp), "zstd") as sink:
        _add(sink, MANIFEST, [content], len(content))
        for listed in manifest.result_files:
            with (folder / listed.path).open("rb") as source:
                _add(sink, listed.path, iter(lambda: source.read(_CHUNK), b""), listed.size_bytes)
        sink.write(b"\0" * 2 * _BLOCK)


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
    with _opened(path) as archive, staging as staged:
        manifest, content = _manifest(archive, path)
        target = _target(layout, manifest, path)
        if target.exists():
            _refuse_conflict(layout, manifest, path)
            return Imported(manifest.task_id, target, new=False)
        _require_room(layout, manifest, path)
        write_and_sync(staged / MANIFEST, content)
        for file in manifest.result_files:
            _take(archive, file, staged, path)
        _require_end(archive, path)
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


def _add(sink: Any, name: str, chunks: Any, size_bytes: int) -> None:
    header = tarfile.TarInfo(name)
    header.size = size_bytes
    header.mode = 0o644
    sink.write(header.tobuf(tarfile.USTAR_FORMAT))
    for chunk in chunks:
        sink.write(chunk)
    sink.write(b"\0" * (-size_bytes % _BLOCK))


class _Archive:
    """The decompressed stream, of which never more is held than was asked for."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        parts, missing = [], size
        while missing:
            part: bytes = self._stream.read(min(missing, _CHUNK))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    with path.open("rb") as file:
        try:
            with pa.CompressedInputStream(pa.PythonFile(file), "zstd") as stream:
                yield _Archive(stream)
        except pa.ArrowException as error:
            raise ArchiveRefused(path, f"this is no zstd archive, or it is damaged ({error})") from error
        except OSError as error:
            if error.errno is not None:  # the disk's own; Arrow's have no number
                raise
            raise ArchiveRefused(path, f"this is no zstd archive, or it is damaged ({error})") from error


def _staging_name(path: Path) -> str:
    """Its own for each process and archive: two imports at once do not meet."""
    return f"import-{os.getpid()}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"


def _manifest(archive: _Archive, path: Path) -> tuple[Manifest, bytes]:
    size_bytes = _member(archive, MANIFEST, path)
    if size_bytes > _LARGEST_MANIFEST:
        raise ArchiveRefused(path, f"its manifest is larger than {_LARGEST_MANIFEST:,} bytes")
    content = b"".join(_content(archive, size_bytes, MANIFEST, path))
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
    """Passes where the same results are here, whole; their chart, their report and their time may differ."""
    found = verify_task(layout, manifest.task_id)
    if not found.ok:
        problem = f"task {manifest.task_id} is here already, damaged ({'; '.join(found.problems)})"
        raise ArchiveRefused(path, f"{problem}: move {layout.task(manifest.task_id)} away and try again")
    here = Manifest.model_validate_json(layout.manifest(manifest.task_id).read_bytes())
    if _results_alone(here) != _results_alone(manifest):
        raise ArchiveRefused(path, f"task {manifest.task_id} is here already, with other results")


def _results_alone(manifest: Manifest) -> Manifest:
    tables = [file for file in manifest.result_files if file.kind == "parquet"]
    return _kept(manifest).model_copy(update={"result_files": tables})


def _kept(manifest: Manifest) -> Manifest:
    timestamps = manifest.timestamps.model_copy(update={"expires_at": None})
    return manifest.model_copy(update={"pinned": True, "timestamps": timestamps})


def _require_room(layout: Layout, manifest: Manifest, path: Path) -> None:
    wanted = sum(file.size_bytes for file in manifest.result_files)
    free = shutil.disk_usage(layout.tasks).free
    if wanted > free:
        raise ArchiveRefused(path, f"it needs {wanted:,} bytes, the disk has {free:,}; make room")


def _take(archive: _Archive, file: ResultFile, staged: Path, path: Path) -> None:
    size_bytes = _member(archive, file.path, path)
    if size_bytes != file.size_bytes:
        raise ArchiveRefused(
            path, f"{file.path} has {size_bytes:,} bytes, the manifest says {file.size_bytes:,}"
        )
    digest = hashlib.sha256()
    (staged / file.path).parent.mkdir(exist_ok=True)
    with (staged / file.path).open("xb") as target:
        for chunk in _content(archive, size_bytes, file.path, path):
            digest.update(chunk)
            target.write(chunk)
        _sync(target)
    if digest.hexdigest() != file.sha256:
        raise ArchiveRefused(path, f"{file.path} is not what the manifest lists (sha256)")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _member(archive: _Archive, name: str, path: Path) -> int:
    """Reads a member's header and returns its size.

    Raises:
        ArchiveRefused: the next member is not the regular file `name`.
    """
    block = archive.read(_BLOCK)
    if len(block) < _BLOCK:
        raise ArchiveRefused(path, f"it ends before {name}")
    if not any(block):
        raise ArchiveRefused(path, f"it has no {name}")
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ArchiveRefused(path, f"this is no archive of a task ({error})") from None
    if header.name != name or header.type != tarfile.REGTYPE or header.linkname or header.size < 0:
        kind = "file" if header.type == tarfile.REGTYPE else "member that is no regular file"
        raise ArchiveRefused(path, f"it has a {kind} {header.name!r} where {name} must come")
    return header.size


def _content(archive: _Archive, size_bytes: int, name: str, path: Path) -> Iterator[bytes]:
    missing = size_bytes
    while missing:
        chunk = archive.read(min(missing, _CHUNK))
        if not chunk:
            raise ArchiveRefused(path, f"it ends within {name}")
        missing -= len(chunk)
        yield chunk
    if len(archive.read(-size_bytes % _BLOCK)) < -size_bytes % _BLOCK:
        raise ArchiveRefused(path, f"it ends within {name}")


def _require_end(archive: _Archive, path: Path) -> None:
    """What follows the last file is an end mark and padding, nothing else."""
    rest = archive.read(_MOST_PADDING)
    if len(rest) < 2 * _BLOCK:
        raise ArchiveRefused(path, "it has no end mark")
    if any(rest) or archive.read(1):
        raise ArchiveRefused(path, "it holds more than its manifest lists")
