"""Writes database, results and candles as they are at one moment into one file, while everything runs.

Why they fit together: a run puts its results in place before the database calls it completed, and both that
and the deletion of results need the lock of the tasks' folder. This holds that lock while it fixes the
moment: it opens the view of the database that is dumped afterwards (SQLite: copies it) and then gives every
file a second name. Whatever the dump calls completed has its files in the backup, unless they had expired;
what was being written is not in it, and is run again after a restore. Files here are only ever replaced,
never changed, so that the second names stay what they were while the backup is written, which may take its
time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from backup_database import database
from backup_file import BackupRefused, write

from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout


def main() -> None:
    """Makes the backup and prints what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", help="the file to write, which must not exist yet; - for standard output")
    options = parser.parse_args()
    settings = get_settings()
    layout = Layout(settings.data_root)
    layout.tasks.mkdir(parents=True, exist_ok=True)
    storage = database(settings.dagster_home)
    with _sink(options.file) as sink, _scratch(settings.data_root) as scratch:
        with publishing(layout):
            storage.freeze(scratch / "database")
            moment = datetime.now(UTC)
            _link(layout, scratch / "data")
        storage.dump(scratch / "database")
        config = settings.dagster_home / "dagster.yaml"
        if config.exists():
            (scratch / "home").mkdir()
            shutil.copyfile(config, scratch / "home" / config.name)
        facts = {
            "made_at": moment.isoformat(),
            "backtest_pipeline": version("backtest-pipeline"),
            "dagster": version("dagster"),
            "database": storage.kind,
        }
        files = write(sink, scratch, facts)
    print(f"{files} files of {moment:%Y-%m-%d %H:%M:%S} UTC, {storage.kind}", file=sys.stderr)  # noqa: T201


@contextmanager
def _sink(name: str) -> Iterator[BinaryIO]:
    """A file gets its name when it is whole and on disk."""
    if name == "-":
        yield sys.stdout.buffer
        return
    path = Path(name).absolute()
    if path.exists():
        raise BackupRefused(f"{path} exists; name another file")
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as sink:  # noqa: PTH123  for its owner
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _scratch(data_root: Path) -> Iterator[Path]:
    """A hidden folder on the file system of the data: second names are had there only."""
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=data_root) as folder:
        yield Path(folder)


def _link(layout: Layout, target: Path) -> None:
    """Gives every file below DATA_ROOT a second name; hidden ones are unfinished, or notes for the moment."""
    for folder, folders, files in os.walk(layout.data_root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = target / Path(folder).relative_to(layout.data_root)
        here.mkdir(parents=True)
        for name in files:
            path = Path(folder) / name
            if path.is_symlink() or not path.is_file():
                continue
            if path == layout.result_log:  # grows in place
                shutil.copyfile(path, here / name)
            elif not name.startswith(".") or path == layout.last_cleanup:
                try:
                    os.link(path, here / name)
                except OSError:  # a file system without second names
                    shutil.copyfile(path, here / name)


if __name__ == "__main__":
    try:
        main()
    except BackupRefused as refused:
        sys.exit(f"backup: {refused}")
