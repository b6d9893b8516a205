"""How often the code server is asked which steps a run has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from backtest_pipeline.orchestration.dagster_internals import execution_plans

_BEGUN_BEFORE: Any = SimpleNamespace()


class _CodeServer:
    """Answers with a plan of its own each time, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    def get_execution_plan(self, **_: object) -> str:
        self.asked += 1
        return f"plan {self.asked}"


@pytest.fixture
def code_server(monkeypatch: pytest.MonkeyPatch) -> _CodeServer:
    monkeypatch.setattr(execution_plans, "_plans", {})
    return _CodeServer()


def _plan(server: _CodeServer, name: str = "backtest", snapshot: str = "as loaded", **of_run: Any) -> object:
    job = SimpleNamespace(
        name=name,
        op_selection=of_run.get("op_selection"),
        identifying_job_snapshot_id=snapshot,
        get_remote_origin_id=lambda: f"origin of {name}",
    )
    return execution_plans.plan_of(
        server,  # type: ignore[arg-type]  # asked for the plan and for nothing else
        job,  # type: ignore[arg-type]  # a stand-in
        {"symbols": ["IBM"]},
        of_run.get("steps"),
        of_run.get("known_state"),
    )


def test_a_job_is_asked_about_once_and_again_when_it_has_changed(code_server: _CodeServer) -> None:
    assert [_plan(code_server), _plan(code_server)] == ["plan 1", "plan 1"]
    assert _plan(code_server, snapshot="as loaded anew") == "plan 2"
    assert _plan(code_server, name="sweep") == "plan 3"
    assert _plan(code_server) == "plan 1"


def test_where_nobody_answers_for_the_code_plans_are_forgotten(code_server: _CodeServer) -> None:
    assert _plan(code_server) == "plan 1"
    execution_plans.forget_plans()
    assert _plan(code_server) == "plan 2"


@pytest.mark.parametrize(
    "part",
    [{"op_selection": ["load_candles"]}, {"steps": ["write_results"]}, {"known_state": _BEGUN_BEFORE}],
    ids=["of some ops", "from a step on", "that goes on"],
)
def test_a_run_of_a_part_has_a_plan_of_its_own(code_server: _CodeServer, part: dict[str, Any]) -> None:
    assert [_plan(code_server), _plan(code_server, **part), _plan(code_server, **part)] == [
        "plan 1",
        "plan 2",
        "plan 3",
    ]
    assert _plan(code_server) == "plan 1"


def test_other_jobs_are_always_asked_about(code_server: _CodeServer) -> None:
    plans = [_plan(code_server, name="cleanup_task_results") for _ in range(2)]
    assert plans == ["plan 1", "plan 2"]
