"""The launchpad marks what cannot be run while it is written."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.definitions.selector import JobSubsetSelector

from backtest_pipeline.orchestration.dagster_internals import form_gate, submission_channel

FORM: dict[str, Any] = {"symbols": ["TSLA"], "start": "2020-13-01", "strategy": {"sma_cross": {}}}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Checks a form of a job where the code server answers so; returns what Dagster's own check says."""

    async def valid(*_: object) -> str:
        return "valid"

    def check(answer: dict[str, Any], job: str = "backtest") -> Any:
        monkeypatch.setattr(form_gate, "validate_pipeline_config", valid)
        monkeypatch.setattr(submission_channel, "ask", lambda *_, within_s: answer)
        selector = JobSubsetSelector(
            location_name="ours", repository_name="__repository__", job_name=job, op_selection=None
        )
        return asyncio.run(form_gate._validated(SimpleNamespace(context=None), selector, FORM))

    return check


def test_a_form_that_can_be_run_is_valid(checked: Any) -> None:
    assert checked({"config": {}}) == "valid"


def test_where_the_code_server_cannot_tell_dagster_s_own_check_stands(checked: Any) -> None:
    assert checked({}) == "valid"


def test_other_jobs_are_none_of_its_business(checked: Any) -> None:
    assert checked({"refused": [["", "never asked"]]}, "cleanup_task_results") == "valid"
