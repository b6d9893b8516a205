"""Running a failed task again from the web UI: from the failed step and from the start."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import free_port
from backtest_pipeline_tests.polling import PATIENCE_S

# What the buttons "Re-execute all" and "Re-execute from failure" of the run's page send.
REEXECUTE = """
mutation($parent: String!, $strategy: ReexecutionStrategy!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $parent, strategy: $strategy}) {
    __typename
    ... on LaunchRunSuccess { run { runId rootRunId } }
    ... on PythonError { message }
  }
}
"""
STEPS = """
query($id: ID!) { logsForRun(runId: $id) {
  ... on EventConnection { events { ... on ExecutionStepSuccessEvent { stepKey } } } } }
"""


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [("FROM_FAILURE", ["write_results"]), ("ALL_STEPS", ["load_candles", "run_engine", "write_results"])],
)
def test_a_task_that_could_not_write_its_results_is_run_again(
    strategy: str, steps: list[str], demo_candles: Path, tmp_path: Path
) -> None:
    data_root = tmp_path / "data"
    shutil.copytree(demo_candles / "IBM", data_root / "IBM")
    (data_root / "tasks").write_text("a file where the folder of all results should be")
    service = LocalService(
        Settings(data_root=data_root, dagster_home=tmp_path / "home", reports_ahead=False), port=free_port()
    )
    request = BacktestRequest(strategy="sma_cross", symbols=["IBM"], max_retries=0)
    with (
        service.running(),
        BacktestClient(service.url, data_root=data_root) as client,
        closing(GraphQL(service.url)) as graphql,
    ):
        failed = client.wait(client.submit(request, reuse=False).task_id, timeout_s=PATIENCE_S)
        assert (failed.state, failed.attempt) == ("failed", 1)
        assert failed.error is not None
        assert failed.error.startswith("writing results failed: [Errno 20] Not a directory")

        (data_root / "tasks").unlink()
        again = graphql.ask(REEXECUTE, {"parent": failed.task_id, "strategy": strategy})[
            "launchRunReexecution"
        ]
        assert again["__typename"] == "LaunchRunSuccess", again
        assert again["run"]["rootRunId"] == failed.task_id
        ended = client.wait(failed.task_id, timeout_s=PATIENCE_S)
        assert (ended.state, ended.attempt, ended.error) == ("completed", 2, None)
        events = graphql.ask(STEPS, {"id": again["run"]["runId"]})["logsForRun"]["events"]
        assert [event["stepKey"] for event in events if event] == steps
        manifest = client.result(failed.task_id).manifest
        assert manifest is not None
        assert manifest.run_ids == [failed.task_id, again["run"]["runId"]]
