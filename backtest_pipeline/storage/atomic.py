"""Writing so that a crash or a power cut leaves the old file or the new one, whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_MKDIR_TRIES = 10


def write_bytes_durably(path: Path, data: bytes) -> None:
    """Writes a file in one step: readers see what was there before or all of `data`.

    The bytes pass through a hidden file in the same folder. A second call with the same bytes leaves the
    same file; of two writers at once, the later one's bytes stay, whole.

    Args:
        path: the file, in a folder that exists.
        data: its whole content.
    """
    tmp = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        write_and_sync(tmp, data)
        replace_durably(tmp, path)
    finally:
        tmp.unlink(missing_ok=True)


def write_and_sync(path: Path, data: bytes) -> None:
    """Writes a file and waits until its bytes are on disk; its name may still be lost in a power cut."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(tmp: Path, target: Path) -> None:
    """Renames `tmp`, whose bytes are on disk, to `target` and waits until the new name is on disk too.

    Both lie on one file system. What was at `target` is gone.
    """
    tmp.replace(target)
    fsync_folder(target.parent)
    if tmp.parent != target.parent:
        fsync_folder(tmp.parent)


def fsync_folder(path: Path) -> None:
    """Waits until the names in a folder (files created, renamed, removed) are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Waits until a folder's files, and the names in it and in the folders below, are on disk.

    Takes less than to wait for each when it is written: what is waiting already goes together.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            fsync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    fsync_folder(folder)


def make_folder(path: Path) -> None:
    """Creates a folder and its missing parents, also where somebody deletes a parent at the same moment.

    Raises:
        OSError: the disk refuses, or parents are deleted again and again.
    """
    for tries_left in reversed(range(_MKDIR_TRIES)):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError):
            if not tries_left or path.exists():
                raise
        else:
            return


def make_folder_durably(path: Path) -> None:
    """Creates a folder and its missing parents and waits until their names are on disk.

    Repeated, it does nothing.
    """
    missing = []
    folder = path
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    make_folder(path)
    for created in missing:
        fsync_folder(created.parent)
