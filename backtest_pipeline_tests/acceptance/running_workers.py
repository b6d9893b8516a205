"""Which process runs a task, how far a search is, and what it has come to."""

from __future__ import annotations

import re
from typing import Any

from backtest_pipeline import BacktestClient
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline_tests.polling import until

_EVENTS = """
query Events($id: ID!) {
  logsForRun(runId: $id) { ... on EventConnection { events { ... on MessageEvent { message } } } }
}
"""


def worker_pid(graphql: GraphQL, task_id: str) -> int:
    """The process that the only attempt of a task has been given to, once it has been."""
    found: set[int] = set()

    def is_given() -> bool:
        answer: dict[str, Any] = graphql.ask(_EVENTS, {"id": task_id})["logsForRun"]
        texts = [event.get("message", "") for event in answer["events"]]
        given = [re.search(r"Started process for run \(pid: (\d+)\)", text) for text in texts]
        found.update(int(one[1]) for one in given if one)
        return bool(found)

    until(is_given, "a worker to start")
    [pid] = found
    return pid


def until_some_trials_are_done(client: BacktestClient, task_id: str, trials: int) -> int:
    """How many of so many trials a search tells of once it tells of some; it must not have ended by then."""
    told = [0]

    def happened() -> bool:
        now = client.status(task_id)
        assert not now.final, now
        if f" of {trials:,} trials" not in now.stage:
            return False
        told[0] = trials_told(now.stage)
        return told[0] > 0

    until(happened, "trials that are done")
    return told[0]


def trials_told(stage: str) -> int:
    """How many trials are done, as a search's stage says."""
    return int(stage.partition(" of ")[0].replace(",", ""))


def table_digests(client: BacktestClient, task_id: str) -> dict[str, str]:
    """The checksums of a task's tables, by path."""
    manifest = client.result(task_id).manifest
    return {file.path: file.sha256 for file in manifest.result_files if file.kind == "parquet"}
