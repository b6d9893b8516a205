"""A launch goes on resolved, is refused, or goes on as it is; several launches of one request go together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.definitions.selector import JobSubsetSelector
from dagster_graphql.implementation.utils import ExecutionMetadata, ExecutionParams
from dagster_graphql.schema.roots import mutation

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.orchestration.dagster_internals import launch_gate, submission_channel
from backtest_pipeline.orchestration.dagster_internals.coordinator import BacktestRunCoordinator

ASKED: dict[str, Any] = {"strategy": {"sma_cross": {}}}
RESOLVED = {"strategy": {"sma_cross": {"fast": 10, "slow": 20}}}


def _launch(job: str = "backtest", **metadata: Any) -> ExecutionParams:
    selector = JobSubsetSelector(
        location_name="ours", repository_name="__repository__", job_name=job, op_selection=None
    )
    return ExecutionParams(
        selector, ASKED, None, ExecutionMetadata(**{"run_id": None, "tags": {}, **metadata}), None
    )


def _created_from(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], launch: ExecutionParams) -> Any:
    """The run config that a run which goes Dagster's way is made from, where the code server answers so."""
    asked: list[Any] = []

    def ask(location: str, _workspace: object, question: dict[str, Any], *, within_s: int) -> dict[str, Any]:
        asked.append((location, question))
        return {"resolved": [answer]}

    monkeypatch.setattr(submission_channel, "ask", ask)
    monkeypatch.setattr(launch_gate, "create_valid_pipeline_run", lambda _context, _job, given: given)
    created = launch_gate._created(SimpleNamespace(), SimpleNamespace(), launch)  # type: ignore[arg-type]
    job = launch.selector.job_name
    questions = [("ours", {"resolve": [ASKED], "job": job})]
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


@pytest.mark.parametrize("answers", [{}, {"resolved": [{"config": RESOLVED}]}, {"resolved": "all"}])
def test_a_code_server_that_answers_otherwise_has_not_answered(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]
) -> None:
    """As one of an earlier version, while a new web server is there already: of two requests, both go on."""
    monkeypatch.setattr(submission_channel, "ask", lambda *_, **__: answers)
    selector = _launch().selector
    told = submission_channel.ask_to_resolve(selector, SimpleNamespace(), [ASKED, ASKED])  # type: ignore[arg-type]
    assert told == [{}, {}]


OURS = SimpleNamespace(instance=SimpleNamespace(run_coordinator=BacktestRunCoordinator()))
SOMEBODYS = SimpleNamespace(instance=SimpleNamespace(run_coordinator=object()))
ROOT = {"root_run_id": "r", "parent_run_id": "r"}


@pytest.mark.parametrize(
    ("workspace", "launch", "new"),
    [
        (OURS, _launch(), True),
        (OURS, _launch("sweep"), True),
        (OURS, _launch("cleanup_task_results"), False),
        (OURS, _launch(**ROOT), False),
        (OURS, _launch(run_id="mine"), False),
        (OURS, _launch()._replace(step_keys=["load_candles"]), False),
        (SOMEBODYS, _launch(), False),
    ],
)
def test_whole_first_runs_of_tasks_are_queued_by_us(
    workspace: Any, launch: ExecutionParams, new: bool
) -> None:
    assert launch_gate._is_new_task(workspace, launch) == new


def test_launches_of_one_request_go_together_and_each_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One is refused before it is asked for, one after; the answers keep the order of the launches."""
    together: list[list[str]] = []

    async def mutate(_root: object, info: Any, executionParams: Mapping[str, str]) -> str:  # noqa: N803  GraphQL's
        """As Dagster's mutation: whatever goes wrong is answered with its type."""
        name = executionParams["name"]
        if name == "forbidden":
            return "UnauthorizedError"
        await asyncio.sleep(0.01 if name == "slow" else 0)
        try:
            return str(await launch_gate._launch(info, _launch(root_run_id=None, tags={"name": name})))
        except RequestInvalid:
            return "PythonError"

    async def outcomes(_info: object, launches: list[ExecutionParams]) -> list[Any]:
        names = [one.execution_metadata.tags["name"] for one in launches]
        together.append(sorted(names))
        return [RequestInvalid([("", "no")]) if name == "bad" else f"run of {name}" for name in names]

    monkeypatch.setattr(mutation.GrapheneLaunchRunMutation, "mutate", mutate)
    monkeypatch.setattr(launch_gate, "_outcomes", outcomes)
    info = SimpleNamespace(context=OURS)
    asked = [{"name": name} for name in ("slow", "bad", "forbidden", "quick")]
    answer = asyncio.run(launch_gate._launch_many(None, info, executionParamsList=asked))
    wanted = ["run of slow", "PythonError", "UnauthorizedError", "run of quick"]
    assert answer.launchMultipleRunsResult == wanted
    assert together == [["bad", "quick", "slow"]]
    none = asyncio.run(launch_gate._launch_many(None, info, executionParamsList=[]))
    assert none.launchMultipleRunsResult == []
