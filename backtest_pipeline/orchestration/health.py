"""What Dagster says of itself, for `/healthz`."""

from __future__ import annotations

from dagster import DagsterInstance
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.controller import get_daemon_statuses
from dagster._daemon.types import DaemonStatus

from backtest_pipeline.model import tags
from backtest_pipeline.settings import Settings
from backtest_pipeline.web.checks import Check, disk_check

_CODE_SERVER_TIMEOUT_S = 5

HEARTBEAT_TOLERANCE_S = 90
"""Beyond the half minute between two heartbeats; Dagster itself waits for half an hour."""


class Health:
    """Looks at everything that a task needs."""

    def __init__(self, context: WorkspaceProcessContext, settings: Settings) -> None:
        """Looks through the web server's own connections."""
        self._context = context
        self._settings = settings

    def checks(self) -> list[Check]:
        """Database, daemons, code server and disk, as they are now."""
        return [
            *_database_and_daemons(self._context.instance),
            self._code_server(),
            disk_check(self._settings.data_root, self._settings.backtest_least_free_bytes),
        ]

    def _code_server(self) -> Check:
        locations = self._context.create_request_context().get_code_location_entries()
        entry = locations.get(tags.CODE_LOCATION) or next(iter(locations.values()), None)
        if entry is None:
            return Check("code server", ok=False, detail="none is configured; pass --workspace")
        if entry.load_error is not None or entry.code_location is None:
            problem = entry.load_error.message.partition("\n")[0] if entry.load_error else "it is loading"
            return Check("code server", ok=False, detail=f"{problem}; see the code server's log")
        try:
            if isinstance(entry.code_location, GrpcServerCodeLocation):
                entry.code_location.client.get_server_id(timeout=_CODE_SERVER_TIMEOUT_S)
        except DagsterUserCodeUnreachableError:
            detail = "it does not answer, so no task can start; start it again, see the code server's log"
            return Check("code server", ok=False, detail=detail)
        return Check("code server", ok=True, detail="answers")


def _fault(status: DaemonStatus) -> str:
    """What went wrong last in a part of the daemon that is alive, or an empty text."""
    errors = status.last_heartbeat.errors if status.last_heartbeat else None
    return errors[0].message.strip().partition("\n")[0].partition("[SQL")[0] if errors else ""


def _database_and_daemons(instance: DagsterInstance) -> list[Check]:
    try:
        statuses = get_daemon_statuses(
            instance,
            instance.get_required_daemon_types(),
            heartbeat_tolerance_seconds=HEARTBEAT_TOLERANCE_S,
        )
    except Exception as error:  # noqa: BLE001  whatever a database driver raises
        problem = f"does not answer ({type(error).__name__}); start it, see the web server's log"
        return [
            Check("database", ok=False, detail=problem),
            Check("daemon", ok=False, detail="its heartbeats are in the database"),
        ]
    ill = {name.lower(): status for name, status in sorted(statuses.items()) if not status.healthy}
    if ill:
        faults = [f"{name} reports: {fault}" for name, status in ill.items() if (fault := _fault(status))]
        late = [name for name, status in ill.items() if not _fault(status)]
        if late:
            faults.append(f"no fresh heartbeat of {', '.join(late)}; start the daemon again")
        advice = f"{'; '.join(faults)}; see its log"
        return [Check("database", ok=True, detail="answers"), Check("daemon", ok=False, detail=advice)]
    return [
        Check("database", ok=True, detail="answers"),
        Check("daemon", ok=True, detail=f"{len(statuses)} of its parts are alive"),
    ]
