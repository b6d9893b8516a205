"""DAGSTER_HOME: its configuration file, its lock, its logs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from backtest_pipeline.model.errors import DatabaseMistaken, LockNotAcquired, ServiceNotReady
from backtest_pipeline.storage.locks import file_lock

_OWN_MARK = "# Kept up to date by `backtest up`; delete this line to keep changes of your own.\n"
_LONGEST_SOCKET_NAME = 100

# One database for all runs' events: Dagster's default makes a file a run, which costs each run 0.1 s.
_ONE_EVENT_LOG = """
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config:
    base_dir: {history}
"""

# Wanted where DAGSTER_PG_HOST is set. The scheme is spelled out: SQLAlchemy 2.1 reads a bare `postgresql` as
# psycopg 3, which dagster-postgres does not bring.
_POSTGRES_MARK = "\nstorage:\n  postgres:\n"
_POSTGRES = (
    _POSTGRES_MARK
    + """\
    postgres_db:
      hostname: {env: DAGSTER_PG_HOST}
      port: {env: DAGSTER_PG_PORT}
      username: {env: DAGSTER_PG_USERNAME}
      password: {env: DAGSTER_PG_PASSWORD}
      db_name: {env: DAGSTER_PG_DB}
      scheme: postgresql+psycopg2
"""
)


def logs_of(home: Path) -> Path:
    """Folder of the processes' logs; not `logs`, which Dagster's telemetry empties."""
    return home / "service_logs"


def socket_of(home: Path) -> Path:
    """The code server's socket, always at the same place: a restarted server is asked about earlier runs.

    Names of sockets are short (108 bytes on Linux), so a deep home has its socket in the temporary folder.
    """
    inside = home / "code.sock"
    if len(os.fsencode(inside)) < _LONGEST_SOCKET_NAME:
        return inside
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"backtest-{os.getuid()}-{digest}.sock"


def prepare(home: Path) -> None:
    """Makes the service's folder and its `dagster.yaml`, or brings that up to date.

    A file without our first line is the operator's and stays. The database is PostgreSQL where
    DAGSTER_PG_HOST is set, and SQLite in this folder otherwise; from SQLite a service may move to PostgreSQL,
    which begins with no runs.

    Raises:
        DatabaseMistaken: the folder's runs are in PostgreSQL, and the environment does not say where.
    """
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    found = target.read_text() if target.exists() else _OWN_MARK
    on_postgres = bool(os.environ.get("DAGSTER_PG_HOST"))
    if not found.startswith(_OWN_MARK):
        return
    if _POSTGRES_MARK in found and not on_postgres:
        raise DatabaseMistaken(home, on_postgres=True)
    storage = _POSTGRES if on_postgres else _ONE_EVENT_LOG.format(history=json.dumps(f"{home}/history"))
    wanted = _OWN_MARK + _template().read_text() + storage
    if found != wanted:
        temporary = target.with_name(".dagster.yaml.new")
        temporary.write_text(wanted)
        temporary.replace(target)


def prepare_beside(home: Path) -> None:
    """Makes the folder ready for a command that may run beside the service, whose file it never changes.

    Raises:
        DatabaseMistaken: the folder's runs are in another database than the environment says. The wrong one
            knows nobody's runs, and a cleanup by it would take them for nobody's.
    """
    target = home / "dagster.yaml"
    if not target.exists():
        prepare(home)
        return
    found = target.read_text()
    on_postgres = _POSTGRES_MARK in found
    if found.startswith(_OWN_MARK) and on_postgres != bool(os.environ.get("DAGSTER_PG_HOST")):
        raise DatabaseMistaken(home, on_postgres=on_postgres)


def end_former_code_server(lock: Path, server_socket: Path) -> None:
    """Kills the code server of a service that has died; its workers end with it and are tried again.

    It would go on until its backtests have ended, and then remove the socket of the one that is to start.

    Args:
        lock: held by a code server for its whole life, its process id in it.
        server_socket: where it listened; who finds somebody listening there finds the new one.
    """
    purpose = "the code server"
    try:
        with file_lock(lock, purpose, patience_s=0):
            pass  # there is none
    except LockNotAcquired:
        with suppress(ValueError, ProcessLookupError):
            os.kill(int(lock.read_text()), signal.SIGKILL)
        with file_lock(lock, purpose):
            pass  # it has ended
    server_socket.unlink(missing_ok=True)


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Keeps a second service away from the same folder.

    Raises:
        ServiceNotReady: one is running already.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = home / ".up.lock"
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(lock, "the service", patience_s=0))
        except LockNotAcquired:
            raise ServiceNotReady(
                f"`backtest up` is running already in {home} (process {lock.read_text().strip()}); "
                "use it, or set another DAGSTER_HOME"
            ) from None
        lock.write_text(str(os.getpid()))
        yield


def _template() -> Path:
    package = Path(__file__).parents[1]
    installed = package / "dagster.yaml"
    return installed if installed.exists() else package.parent / "dagster.yaml"
