"""GraphQL's field `taskRuns` tells the runs of tasks as Dagster's own fields do."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.test_utils import create_run_for_test

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals import launch_gate
from backtest_pipeline.orchestration.dagster_internals.task_runs_field import MOST_TASKS
from backtest_pipeline.sdk.queries import RUN_FIELDS, TASK_RUNS

_DAGSTERS = f"""{RUN_FIELDS}
query Runs {{ runsOrError {{ ... on Runs {{ results {{ ...RunFields }} }} }} }}
"""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def _asked(instance: dg.DagsterInstance, document: str, **variables: Any) -> Any:
    context = SimpleNamespace(instance=instance)
    return launch_gate._schema().execute(document, variables=variables, context_value=context)


def _add(instance: dg.DagsterInstance, root: str | None = None, **run_tags: str) -> str:
    of_root = {tags.ROOT_RUN: root, tags.PARENT_RUN: root} if root else {}
    run = create_run_for_test(
        instance,
        job_name="backtest",
        tags={**{name.replace("__", "/"): value for name, value in run_tags.items()}, **of_root},
        root_run_id=root,
        parent_run_id=root,
    )
    return str(run.run_id)


def _happened(instance: dg.DagsterInstance, run_id: str, *kinds: DagsterEventType) -> None:
    for kind in kinds:
        event = DagsterEvent(event_type_value=kind.value, job_name="backtest")
        instance.report_dagster_event(event, run_id=run_id)


def _plain(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Runs by id; tags by name, without the one that Dagster hides from its own pages."""
    told = {}
    for run in runs:
        named = {tag["key"]: tag["value"] for tag in run["tags"]}
        named.pop(".dagster/repository", None)
        told[run["runId"]] = {**run, "tags": named}
    return told


def test_it_tells_what_dagsters_own_fields_tell(instance: dg.DagsterInstance) -> None:
    first = _add(instance, backtest__strategy="sma_cross", backtest__progress="0.50")
    again = _add(instance, first, backtest__strategy="sma_cross")
    other, unrelated = _add(instance), _add(instance)
    start, fails = DagsterEventType.PIPELINE_START, DagsterEventType.PIPELINE_FAILURE
    _happened(instance, first, start, fails)
    _happened(instance, again, start)
    instance.add_run_tags(again, {"backtest/stage": "run_engine", "backtest/strategy": "ema_cross"})

    ours = _asked(instance, TASK_RUNS, taskIds=[first, other]).data["taskRuns"]
    theirs = _asked(instance, _DAGSTERS).data["runsOrError"]["results"]

    assert _plain(ours) == {run_id: run for run_id, run in _plain(theirs).items() if run_id != unrelated}
    assert set(_plain(ours)) == {first, again, other}


def test_the_id_of_any_attempt_stands_for_all_of_its_task(instance: dg.DagsterInstance) -> None:
    first = _add(instance)
    again, once_more = _add(instance, first), _add(instance, first)
    for asked in (first, again, once_more):
        found = _asked(instance, TASK_RUNS, taskIds=[asked]).data["taskRuns"]
        assert {run["runId"] for run in found} == {first, again, once_more}


def test_who_is_not_there_has_no_runs(instance: dg.DagsterInstance) -> None:
    assert _asked(instance, TASK_RUNS, taskIds=["nobody"]).data == {"taskRuns": []}
    assert _asked(instance, TASK_RUNS, taskIds=[]).data == {"taskRuns": []}


def test_no_more_than_so_many_are_told_at_once(instance: dg.DagsterInstance) -> None:
    most = [f"task {number}" for number in range(MOST_TASKS)]
    assert _asked(instance, TASK_RUNS, taskIds=most).errors is None
    [error] = _asked(instance, TASK_RUNS, taskIds=[*most, "one more"]).errors
    assert error.message == "ask for at most 1,000 tasks at once"
