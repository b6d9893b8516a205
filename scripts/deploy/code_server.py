"""The code server of a deployment: told to stop, it starts nothing more and waits for the backtests that run.

Dagster's server refuses each launch meanwhile, which costs a waiting task one of its attempts. This one
seems to be away: whoever starts runs leaves them in the queue and tries again, for about a minute. All else
is as in `backtest_pipeline.orchestration.code_server`.
"""

from __future__ import annotations

from typing import Any

import grpc
from dagster._cli.api import grpc_command  # noqa: TID251  a process of its own around Dagster's command
from dagster._grpc import server as dagster_server  # noqa: TID251  as above

from backtest_pipeline.orchestration.warm_server import WarmApiServer


class DrainingServer(WarmApiServer):
    """Answers neither `Ping`, which is asked before a launch, nor a launch, once it was told to stop."""

    def Ping(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  gRPC's name
        """Tells that it is there, while it is to be."""
        self._seem_away_when_stopping(context)
        return super().Ping(request, context)

    def StartRun(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  gRPC's name
        """Starts a worker."""
        self._seem_away_when_stopping(context)
        return super().StartRun(request, context)

    def _seem_away_when_stopping(self, context: grpc.ServicerContext) -> None:
        if self._shutdown_once_executions_finish_event.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, "the code server is stopping")


if __name__ == "__main__":
    dagster_server.DagsterApiServer = DrainingServer  # what grpc_command looks up
    dagster_server.EVENT_QUEUE_POLL_INTERVAL = 0.01  # how soon a started worker is noticed, in seconds
    grpc_command()
