"""Dagster's command for code servers, with our server in it."""

from __future__ import annotations

from typing import Any

from dagster._cli.api import grpc_command
from dagster._grpc import server as dagster_server

from backtest_pipeline.orchestration.dagster_internals.compat import check_all, replace
from backtest_pipeline.orchestration.dagster_internals.instance_databases import (
    create_databases,
    use_databases_well,
)
from backtest_pipeline.orchestration.dagster_internals.warm_server import WarmApiServer
from backtest_pipeline.settings import get_settings
from backtest_pipeline.web.monitoring.liveness import sign_file
from backtest_pipeline.web.monitoring.watch import BusyExecutor, Watch

_ALL_BUSY_FOR_S = 300.0


class _Watched(WarmApiServer):
    """Gives up where no thread of its own is free for minutes: nothing can be started then."""

    def __init__(self, **arguments: Any) -> None:
        busy = BusyExecutor(
            arguments["server_threadpool_executor"], "the code server", ended_after_s=_ALL_BUSY_FOR_S
        )
        Watch(sign_file(get_settings().dagster_home, "code"), busy).start()
        super().__init__(**arguments)


def install() -> None:
    """Puts our server where Dagster's command looks its own up.

    Raises:
        InternalsChanged: the command looks elsewhere, or the server does not wait as it did.
    """
    start_run = dagster_server.DagsterApiServer.StartRun
    replace(dagster_server, "DagsterApiServer", _Watched, used_by=grpc_command)
    # How soon a started worker is noticed, in seconds.
    replace(dagster_server, "EVENT_QUEUE_POLL_INTERVAL", 0.002, used_by=start_run)


def prepare(*, answered_by: str = "") -> None:
    """Install our server and check everything that it relies on.

    Args:
        answered_by: name of the module that answers questions about submissions; empty: nobody does.

    Raises:
        InternalsChanged: Dagster is not as this package knows it.
    """
    WarmApiServer.answer_by(answered_by)
    install()
    use_databases_well()
    check_all()


def run() -> None:
    """Run `dagster api grpc` with this process's arguments, until it is stopped."""
    create_databases()
    grpc_command()
