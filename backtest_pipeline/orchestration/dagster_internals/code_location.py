"""Is the code server there that a run is to be started on?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from dagster._core.errors import (
    DagsterCodeLocationLoadError,
    DagsterCodeLocationNotFoundError,
    DagsterUserCodeUnreachableError,
)
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import BaseWorkspaceRequestContext
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.client import DagsterGrpcClient

from backtest_pipeline.orchestration.dagster_internals.compat import uses

if TYPE_CHECKING:
    from dagster import DagsterRun

ANSWERS_WITHIN_S = 5
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_NOT_LOADED = (DagsterCodeLocationLoadError, DagsterCodeLocationNotFoundError)

uses(BaseWorkspaceRequestContext, "get_code_location")
uses(GrpcServerCodeLocation, "client", within=GrpcServerCodeLocation.__init__)
uses(DagsterGrpcClient, "_query")
uses(dagster_api_pb2, "PingRequest")


def location_of(run: DagsterRun) -> str:
    """Name of the code location whose job a run is; empty where none is known."""
    origin = run.remote_job_origin
    return origin.location_name if origin is not None else ""


def code_answers(name: str, workspace: BaseWorkspaceRequestContext) -> bool:
    """Whether a location has loaded and its server answers: a launch that fails costs a run an attempt.

    What means that the server is away is answered with no; anything else is a fault of ours or of Dagster's,
    which would come again however long the queue waited, and passes through.

    Args:
        name: of the code location.
        workspace: what this process knows of it.
    """
    try:
        location = workspace.get_code_location(name)
    except (*_NOT_LOADED, DagsterUserCodeUnreachableError):
        return False
    try:
        location.client._query(  # type: ignore[attr-defined]  # noqa: SLF001  of a location behind gRPC, as ours is; its `ping` waits a minute
            "Ping", dagster_api_pb2.PingRequest, timeout=ANSWERS_WITHIN_S, echo=""
        )
    except DagsterUserCodeUnreachableError as error:
        if not _is_away(error):
            raise
        return False
    return True


def _is_away(error: DagsterUserCodeUnreachableError) -> bool:
    """Whether gRPC says so: Dagster calls every failure of a question "unreachable", our mistakes too."""
    cause = error.__cause__
    return cause is None or (isinstance(cause, grpc.RpcError) and cause.code() in _AWAY)
