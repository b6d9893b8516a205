"""What Dagster says of itself, for `/healthz`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.controller import DEFAULT_HEARTBEAT_INTERVAL_SECONDS, get_daemon_statuses
from dagster._daemon.types import DaemonHeartbeat, DaemonStatus

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.tasks.cluster_figures import cluster_figures
from backtest_pipeline.settings import Settings
from backtest_pipeline.web.monitoring.health_checks import Check, disk_check
from backtest_pipeline.web.monitoring.liveness import NOTICED_AFTER_S, read_sign, sign_file

_CODE_SERVER_TIMEOUT_S = 5

HEARTBEAT_TOLERANCE_S = 90
"""Beyond the half minute between two heartbeats; Dagster itself waits for half an hour."""

ANOTHER_DAEMON_S = 5.0
"""Signs of life come every second, heartbeats beside them."""


class Health:
    """Looks at everything that a task needs."""

    def __init__(self, context: WorkspaceProcessContext, settings: Settings) -> None:
        """Looks through the web server's own connections."""
        self._context = context
        self._settings = settings
        self._cluster = cluster_figures(context.instance, settings)

    def checks(self) -> list[Check]:
        """Database, daemons, code server and disk, as they are now."""
        return [
            *_database_and_daemons(self._context.instance, self._settings.dagster_home, time.time()),
            self._code_server(),
            *(self._cluster.checks() if self._cluster is not None else []),
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


def _database_and_daemons(instance: DagsterInstance, home: Path, now_s: float) -> list[Check]:
    try:
        statuses = get_daemon_statuses(
            instance,
            instance.get_required_daemon_types(),
            heartbeat_tolerance_seconds=HEARTBEAT_TOLERANCE_S,
            curr_time_seconds=now_s,
        )
    except Exception as error:  # noqa: BLE001  whatever a database driver raises
        problem = f"does not answer ({type(error).__name__}); start it, see the web server's log"
        silence = daemon_silence(home, None, now_s)
        return [
            Check("database", ok=False, detail=problem),
            Check("daemon", ok=False, detail=silence or "its heartbeats are in the database"),
        ]
    problem = daemon_silence(home, newest_heartbeat_s(statuses), now_s) or loop_problem(statuses, now_s)
    detail = problem or f"{len(statuses)} of its parts are alive"
    return [Check("database", ok=True, detail="answers"), Check("daemon", ok=not problem, detail=detail)]


def newest_heartbeat_s(statuses: Mapping[str, DaemonStatus]) -> float | None:
    """When any loop of a daemon, be it on another machine, has written to the database last."""
    beats = (status.last_heartbeat for status in statuses.values())
    return max((beat.timestamp for beat in beats if beat is not None), default=None)


def daemon_silence(home: Path, heartbeat_s: float | None, now_s: float) -> str:
    """What the daemon's own signs of life say is wrong with it; empty where nothing is, or there are none.

    Args:
        home: DAGSTER_HOME, where a daemon of this machine leaves its signs.
        heartbeat_s: when it has written to the database last; later than the last sign, it is another daemon,
            on another machine or not ours, which leaves none here.
        now_s: seconds since 1970.
    """
    sign = read_sign(sign_file(home, "daemon"))
    if sign is None or (heartbeat_s is not None and heartbeat_s > sign.at_s + ANOTHER_DAEMON_S):
        return ""
    silent_s = sign.silent_s(now_s)
    if silent_s > NOTICED_AFTER_S:
        advice = "it hangs or has ended: start it again, see its log"
        return f"no sign of life for {silent_s:.0f} s (process {sign.pid}); {advice}"
    if sign.standstill:
        return f"{sign.standstill} (process {sign.pid}); start it again, see its log"
    return ""


def loop_problem(statuses: Mapping[str, DaemonStatus], now_s: float) -> str:
    """What the heartbeats of its loops say is wrong with a daemon; empty where nothing is."""
    late, failing = [], []
    for name, status in sorted(statuses.items()):
        beat = status.last_heartbeat
        if status.healthy:
            continue
        if (
            beat is None
            or now_s - beat.timestamp > DEFAULT_HEARTBEAT_INTERVAL_SECONDS + HEARTBEAT_TOLERANCE_S
        ):
            late.append(name.lower())
        else:
            failing.append(f"{name.lower()} ({_first_line(beat)})")
    problems = (
        [f"no fresh heartbeat of {', '.join(late)}; start the daemon again, see its log"] if late else []
    )
    problems += [f"errors in {', '.join(failing)}; see the daemon's log"] if failing else []
    return "; ".join(problems)


def _first_line(beat: DaemonHeartbeat) -> str:
    return (beat.errors[0].message if beat.errors else "").strip().partition("\n")[0].partition("[SQL")[0]
