"""Puts a backup in place: database, results and candles. The service has to be stopped.

Everything is unpacked and checked beside the data before anything is touched. What was there, where --force
replaces it, is moved to a hidden folder `.before-restore-…` in DATA_ROOT and in DAGSTER_HOME, except what
PostgreSQL held.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from backup_database import Database, database
from backup_file import BackupRefused, read

from backtest_pipeline.settings import Settings, get_settings


def main() -> None:
    """Restores, or says why not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", help="a file that scripts/backup has written; - for standard input")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    options = parser.parse_args()
    settings = get_settings()
    settings.data_root.mkdir(parents=True, exist_ok=True)
    storage = database(settings.dagster_home)
    if not options.force:
        _refuse_what_is_there(settings, storage)
    with (
        storage.alone(),
        tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.data_root) as scratch,
        _source(options.file) as source,
    ):
        unpacked = Path(scratch)
        listing = read(source, unpacked)
        if listing["database"] != storage.kind:
            raise BackupRefused(
                f"the backup is of {listing['database']} and the environment chooses {storage.kind}: "
                "set the variables DAGSTER_PG_* for the one, or unset DAGSTER_PG_HOST for the other"
            )
        aside = f".before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        storage.load(unpacked / "database", settings.dagster_home / aside)
        _put_in_place(unpacked / "data", settings.data_root, aside)
        _keep_config(unpacked / "home" / "dagster.yaml", settings)
    made = f"{listing['made_at'][:19]} UTC by version {listing['backtest_pipeline']}"
    summary = f"{len(listing['files'])} files are back, of {made}; check them: backtest verify --all"
    print(summary, file=sys.stderr)  # noqa: T201


def _refuse_what_is_there(settings: Settings, storage: Database) -> None:
    problems = [] if storage.is_empty() else ["the database knows of runs"]
    if any(path.is_file() for top in _visible(settings.data_root) for path in (top, *top.rglob("[!.]*"))):
        problems.append(f"there are files in {settings.data_root}")
    if problems:
        raise BackupRefused(f"{' and '.join(problems)}; --force replaces that by the backup")


def _put_in_place(unpacked: Path, data_root: Path, aside: str) -> None:
    for path in _visible(data_root):
        (data_root / aside).mkdir(exist_ok=True)
        path.rename(data_root / aside / path.name)
    for path in _visible(unpacked):
        path.rename(data_root / path.name)


def _keep_config(saved: Path, settings: Settings) -> None:
    """An operator's own configuration comes back where there is none; ours is written by every start."""
    target = settings.dagster_home / saved.name
    if saved.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(saved, target)


def _visible(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*")) if folder.exists() else []


@contextmanager
def _source(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as source:
            yield source
    except FileNotFoundError:
        raise BackupRefused(f"there is no {name}") from None


if __name__ == "__main__":
    try:
        main()
    except BackupRefused as refused:
        sys.exit(f"restore: {refused}")
