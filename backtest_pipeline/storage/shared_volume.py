"""What a volume must offer for results to be safe on it, tried with files of its own.

Results are whole because a folder is renamed into place when everything in it has been synced, and because
one process at a time does so, by a locked file. A network file system may promise all that and keep none of
it. What one machine alone cannot see is seen by the marks that workers leave: each keeps a file, locked and
written again and again, that others compare with what the worker says elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_ASK_FOR_LOCK = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
_ENDED_BY_ERROR = 1


def volume_problems(root: Path) -> list[str]:
    """What is wrong with a volume as this machine sees it, a sentence each; empty where nothing is.

    Raises:
        OSError: nothing can be written there.
    """
    folder = root / f".volume-test-{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    try:
        return [
            problem
            for look in (_renames_files, _renames_folders, _syncs, _locks)
            if (problem := look(folder))
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _renames_files(folder: Path) -> str:
    old, new = folder / "old", folder / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    with old.open("rb") as reader:
        try:
            new.replace(old)
        except OSError as error:
            return f"a file cannot be renamed over another one ({error.strerror})"
        kept = reader.read()
    if old.read_bytes() != b"new" or new.exists():
        return "a file that was renamed over another one is not there at once"
    return "" if kept == b"old" else "who reads a file that is replaced does not get the old one whole"


def _renames_folders(folder: Path) -> str:
    staged, target = folder / "staged", folder / "target"
    staged.mkdir()
    (staged / "file").write_bytes(b"content")
    try:
        staged.rename(target)
    except OSError as error:
        return f"a folder cannot be renamed ({error.strerror})"
    if not (target / "file").exists() or staged.exists():
        return "a folder that was renamed is not there at once, with what is in it"
    target2 = folder / "target2"
    target2.mkdir()
    (target2 / "other").touch()
    try:
        target.rename(target2)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return ""
        return f"renaming a folder over another one is refused for a wrong reason ({error.strerror})"
    return "a folder can be renamed over another one that is not empty"


def _syncs(folder: Path) -> str:
    try:
        with (folder / "synced").open("wb") as file:
            file.write(b"content")
            os.fsync(file.fileno())
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"files and folders cannot be synced ({error.strerror})"
    return ""


def _locks(folder: Path) -> str:
    path = folder / "locked"
    command = [sys.executable, "-I", "-c", _ASK_FOR_LOCK, str(path)]
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return f"files cannot be locked ({error.strerror})"
        while_held = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  our own
    afterwards = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  as above
    if while_held.returncode != _ENDED_BY_ERROR:
        return "two processes can lock the same file at once"
    return "" if afterwards.returncode == 0 else "a lock that was given back is not free"


class WorkerMark:
    """The file that a worker keeps on the volume: locked for its life, and numbered anew all the time."""

    def __init__(self, root: Path, worker: str) -> None:
        """Makes the file.

        Raises:
            OSError: it cannot be written, or not be locked.
        """
        self._path = mark_of(root, worker)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def number(self, number: int) -> None:
        """Writes a number for others to see.

        Raises:
            OSError: the volume refuses.
        """
        os.pwrite(self._file.fileno(), f"{number:020d}".encode(), 0)
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Takes the file away."""
        with suppress(OSError):
            self._path.unlink()
        with suppress(OSError):
            self._file.close()


def mark_of(root: Path, worker: str) -> Path:
    """Where a worker's mark is."""
    return root / ".workers" / f"{worker}.mark"


def mark_problem(root: Path, worker: str, number: int, most_behind: int) -> str:
    """What a worker's mark, as this machine sees it, says is wrong with the volume; empty where nothing is.

    Args:
        root: the volume, as it is mounted here.
        worker: a worker that is alive.
        number: what it has numbered its mark with lately, as it says elsewhere.
        most_behind: how far the mark may be behind that here.
    """
    path = mark_of(root, worker)
    try:
        seen = int(path.read_bytes() or b"0")
    except FileNotFoundError:
        return "has left no mark here: its DATA_ROOT is not this folder, or what it writes is not seen here"
    except (OSError, ValueError) as error:
        return f"has left a mark that cannot be read ({error})"
    if seen < number - most_behind:
        return "has written what is not seen here yet: mount the volume with actimeo=1 or shorter"
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return ""  # it has it, as it should
    return "holds a lock that this machine does not see: mount the volume without nolock and local_lock"
