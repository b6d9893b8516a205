"""Files that people ask for: whole or not at all, and never over something else unasked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backtest_pipeline.model.errors import FileThere
from backtest_pipeline.storage.atomic import fsync_folder, replace_durably


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Gives a hidden path to write to, which gets its name when the block ends well, else is removed.

    Args:
        path: the name, in a folder that exists.
        force: whether what has that name may be replaced.

    Raises:
        FileThere: the name is taken; also where it is taken only while the block writes.
        OSError: the folder is missing or cannot be written.
    """
    if not force and os.path.lexists(path):
        raise FileThere(path)
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield tmp
        with tmp.open("rb") as file:
            os.fsync(file.fileno())
        if force:
            replace_durably(tmp, path)
        else:
            _name_only_if_free(tmp, path)
    except OSError as error:
        if error.filename == str(tmp):
            error.filename = str(path)  # the name that people know
        raise
    finally:
        with suppress(OSError):
            tmp.unlink()


def _name_only_if_free(tmp: Path, path: Path) -> None:
    try:
        os.link(tmp, path)
    except FileExistsError:
        raise FileThere(path) from None
    fsync_folder(path.parent)
