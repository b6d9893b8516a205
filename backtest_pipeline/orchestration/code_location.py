"""Is the code server there that a run is to be started on?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster._grpc.__generated__ import dagster_api_pb2

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._core.workspace.context import BaseWorkspaceRequestContext

ANSWERS_WITHIN_S = 5


def location_of(run: DagsterRun) -> str:
    """Name of the code location whose job a run is; empty where none is known."""
    origin = run.remote_job_origin
    return origin.location_name if origin is not None else ""


def code_answers(name: str, workspace: BaseWorkspaceRequestContext) -> bool:
    """Whether a location has loaded and its server answers: a launch that fails costs a run an attempt.

    Args:
        name: of the code location.
        workspace: what this process knows of it.
    """
    try:
        location = workspace.get_code_location(name)
        location.client._query(  # type: ignore[attr-defined]  # noqa: SLF001  of a location behind gRPC, as ours is; its `ping` waits a minute
            "Ping", dagster_api_pb2.PingRequest, timeout=ANSWERS_WITHIN_S, echo=""
        )
    except Exception:  # noqa: BLE001  whatever it is, the run stays in the queue
        return False
    return True
