"""Dagster's database for backup and restore: SQLite's files in DAGSTER_HOME, or PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from backup_file import BackupRefused

from backtest_pipeline.local_service.home import locked
from backtest_pipeline.model.errors import ServiceNotReady

# Dagster's daemon reports twice a minute.
_QUIET_S = 60


class Database(Protocol):
    """What backup and restore need of a database."""

    kind: str

    def freeze(self, folder: Path) -> None:
        """Fixes the moment that the backup shows, in an instant or nearly so."""

    def dump(self, folder: Path) -> None:
        """Writes that moment into a folder."""

    def alone(self) -> Any:
        """A context in which no service uses the database; BackupRefused where one does."""

    def is_empty(self) -> bool:
        """Whether it knows of no run."""

    def load(self, folder: Path, aside: Path) -> None:
        """Puts what was dumped in place of what is there; what can be kept of that goes to `aside`."""


def database(home: Path) -> Database:
    """The one that the environment chooses, as the service chooses it."""
    return Postgres() if os.environ.get("DAGSTER_PG_HOST") else Sqlite(home)


class Sqlite:
    """Several files, copied by SQLite itself while others may write."""

    kind = "sqlite"

    def __init__(self, home: Path) -> None:
        """Looks at a DAGSTER_HOME."""
        self._home = home

    def freeze(self, folder: Path) -> None:
        """Copies everything: the runs first, so that whatever they refer to is in the event log's copy."""
        for path in sorted(self._files(), key=lambda path: path.name != "runs.db"):
            target = folder / path.relative_to(self._home)
            target.parent.mkdir(parents=True, exist_ok=True)
            with closing(_opened(path)) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy)

    def dump(self, folder: Path) -> None:
        """Has been done."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the lock of `backtest up`."""
        self._home.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self._home):
                yield
        except ServiceNotReady as error:
            raise BackupRefused(f"{error}; stop it first") from error

    def is_empty(self) -> bool:
        """Whether no run is in any of the files."""
        runs = self._home / "history" / "runs.db"
        if not runs.exists():
            return True
        with closing(_opened(runs)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'runs'").fetchall()
            return not tables or connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is None

    def load(self, folder: Path, aside: Path) -> None:
        """Moves the files in place, and those that are there out of the way."""
        for path in [*self._files(), *self._home.rglob("*.db-wal"), *self._home.rglob("*.db-shm")]:
            kept = aside / path.relative_to(self._home)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, kept)
        for path in sorted(folder.rglob("*.db")):
            target = self._home / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)

    def _files(self) -> list[Path]:
        found = self._home.rglob("*.db")
        return sorted(path for path in found if not path.relative_to(self._home).parts[0].startswith("."))


class Postgres:
    """One database, dumped by PostgreSQL's own programs."""

    kind = "postgresql"

    def __init__(self) -> None:
        """Connects with the variables that the service uses, or a password file of libpq."""
        try:
            import psycopg2  # noqa: PLC0415  of the extra `postgres`
        except ImportError:
            raise BackupRefused("DAGSTER_PG_HOST is set; install the extra `postgres`") from None
        names = {"host": "HOST", "port": "PORT", "user": "USERNAME", "dbname": "DB"}
        self._place = {key: os.environ[f"DAGSTER_PG_{name}"] for key, name in names.items()}
        self._password = os.environ.get("DAGSTER_PG_PASSWORD") or None
        try:
            self._connection = psycopg2.connect(**self._place, password=self._password)
        except psycopg2.OperationalError as error:
            raise BackupRefused(f"PostgreSQL does not answer: {error}") from error
        self._connection.set_session(isolation_level="REPEATABLE READ")
        self._snapshot = ""

    def freeze(self, folder: Path) -> None:  # noqa: ARG002  SQLite needs it
        """Opens the transaction whose view pg_dump shares afterwards."""
        self._snapshot = str(self._ask("SELECT pg_export_snapshot()"))

    def dump(self, folder: Path) -> None:
        """Dumps the frozen view."""
        folder.mkdir(parents=True)
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={self._snapshot}"]
        self._run("pg_dump", [*options, *self._where(), f"--file={folder / 'postgresql.dump'}"])
        self._connection.rollback()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only looks: the daemon's last sign of life must be older than it ever is while it lives."""
        age_s = None
        if self._ask("SELECT to_regclass('daemon_heartbeats')"):
            newest = (
                "SELECT extract(epoch FROM now() AT TIME ZONE 'UTC' - max(timestamp)) FROM daemon_heartbeats"
            )
            age_s = self._ask(newest)
        self._connection.rollback()
        if age_s is not None and age_s < _QUIET_S:
            wait_s = _QUIET_S - float(age_s)
            raise BackupRefused(
                f"the daemon was alive {age_s:.0f} s ago; stop it, and come back in {wait_s:.0f} s"
            )
        yield

    def is_empty(self) -> bool:
        """Whether there is no run."""
        known = self._ask("SELECT to_regclass('runs')") and self._ask("SELECT count(*) FROM runs")
        self._connection.rollback()
        return not known

    def load(self, folder: Path, aside: Path) -> None:  # noqa: ARG002  SQLite needs it
        """Replaces everything in one transaction: afterwards all of it is there, or what was before."""
        script = folder / "postgresql.sql"
        self._run(
            "pg_restore", ["--no-owner", "--no-privileges", f"--file={script}", folder / "postgresql.dump"]
        )
        fresh = "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public"
        options = ["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--single-transaction"]
        self._run("psql", [*options, *self._where(), f"--command={fresh}", f"--file={script}"])

    def _ask(self, statement: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]

    def _where(self) -> list[str]:
        place = self._place
        where = [f"--host={place['host']}", f"--port={place['port']}", f"--username={place['user']}"]
        return [*where, "--no-password", f"--dbname={place['dbname']}"]

    def _run(self, name: str, arguments: Sequence[str | Path]) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        program = str(found[-1]) if found else shutil.which(name)
        if program is None:
            raise BackupRefused(f"{name} is missing; on Debian: apt-get install postgresql-client")
        env = dict(os.environ) | ({"PGPASSWORD": self._password} if self._password else {})
        done = subprocess.run(  # noqa: S603  PostgreSQL's own programs
            [program, *map(str, arguments)], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BackupRefused(f"{name}: {done.stderr.strip()}")


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
