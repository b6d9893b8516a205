"""A launch goes on resolved, is refused, or goes on as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.definitions.selector import JobSubsetSelector
from dagster_graphql.implementation.utils import ExecutionMetadata, ExecutionParams

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.orchestration.dagster_internals import launch_gate, submission_channel

ASKED: dict[str, Any] = {"strategy": {"sma_cross": {}}}
RESOLVED = {"strategy": {"sma_cross": {"fast": 10, "slow": 20}}}


def _launch(job: str = "backtest") -> ExecutionParams:
    selector = JobSubsetSelector(
        location_name="ours", repository_name="__repository__", job_name=job, op_selection=None
    )
    return ExecutionParams(selector, ASKED, None, ExecutionMetadata(run_id=None, tags={}), None)


def _created_from(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], launch: ExecutionParams) -> Any:
    """The run config that a run is made from where the code server answers so."""
    asked: list[Any] = []

    def ask(location: str, _workspace: object, question: dict[str, Any], *, within_s: int) -> dict[str, Any]:
        asked.append((location, question))
        return answer

    monkeypatch.setattr(submission_channel, "ask", ask)
    monkeypatch.setattr(launch_gate, "create_valid_pipeline_run", lambda _context, _job, given: given)
    created = launch_gate._created(SimpleNamespace(), SimpleNamespace(), launch)  # type: ignore[arg-type]
    job = launch.selector.job_name
    questions = [("ours", {"resolve": ASKED, "job": job})]
    assert asked == (questions if job in {"backtest", "sweep", "walk_forward"} else [])
    return created.run_config


@pytest.mark.parametrize("job", ["backtest", "sweep", "walk_forward"])
def test_the_run_is_made_of_the_resolved_request(monkeypatch: pytest.MonkeyPatch, job: str) -> None:
    assert _created_from(monkeypatch, {"config": RESOLVED}, _launch(job)) == RESOLVED


def test_where_the_code_server_cannot_tell_the_run_is_made_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _created_from(monkeypatch, {}, _launch()) == ASKED


def test_other_jobs_are_none_of_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _created_from(monkeypatch, {"config": RESOLVED}, _launch("cleanup_task_results")) == ASKED


def test_what_is_refused_gets_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"refused": [["strategy", "the server has no 'mine'"], ["", "and more"]]}
    with pytest.raises(RequestInvalid, match=r"run: strategy: the server has no 'mine'; and more") as caught:
        _created_from(monkeypatch, refused, _launch())
    assert caught.value.problems == [("strategy", "the server has no 'mine'"), ("", "and more")]
