"""Which process runs a task."""

from __future__ import annotations

import re
from typing import Any

from backtest_pipeline.sdk.transport import GraphQL

_EVENTS = """
query Events($id: ID!) {
  logsForRun(runId: $id) { ... on EventConnection { events { ... on MessageEvent { message } } } }
}
"""


def worker_pid(graphql: GraphQL, task_id: str) -> int:
    """The process that the only attempt of a task has been given to."""
    answer: dict[str, Any] = graphql.ask(_EVENTS, {"id": task_id})["logsForRun"]
    texts = [event.get("message", "") for event in answer["events"]]
    found = [re.search(r"Started process for run \(pid: (\d+)\)", text) for text in texts]
    [pid] = {int(one[1]) for one in found if one}
    return pid
