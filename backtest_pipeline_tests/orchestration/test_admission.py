"""Which runs are let into the queue."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from dagster._core.events import RunFailureReason
from dagster_graphql.schema import create_schema
from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type

from backtest_pipeline.definitions import definitions
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.tag_rules import CHOICES
from backtest_pipeline.orchestration.tasks.admission import gone_if_refused, refuse_inadmissible
from backtest_pipeline.orchestration.tasks.submission_tags import submission_tags

UNKNOWN = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"


def _run(instance: dg.DagsterInstance, job: str = "backtest", **fields: Any) -> dg.DagsterRun:
    """A run as Dagster makes it, with its tags of other attempts."""
    repeats = fields.get("root_run_id"), fields.get("parent_run_id")
    given = {
        name: value for name, value in zip((tags.ROOT_RUN, tags.PARENT_RUN), repeats, strict=True) if value
    }
    run = dg.DagsterRun(job_name=job, **{**fields, "tags": {**given, **fields.get("tags", {})}})
    instance.run_storage.add_run(run)
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"run_config": {"ops": {"a": {"config": {"b": {"env": "HOME"}}}}}}, "environment variables"),
        ({"run_config": {"symbols": ["A"] * 501}}, "at most 500"),
        ({"tags": {tags.RETRY_NUMBER: "99999"}}, "whole number from 0 to 100"),
        ({"tags": {"x" * 300: "a"}}, "1 to 255 characters"),
        ({"root_run_id": UNKNOWN, "parent_run_id": UNKNOWN}, "there is no run"),
    ],
)
def test_a_run_that_is_refused_is_gone(fields: dict[str, Any], says: str) -> None:
    with dg.instance_for_test() as instance:
        run = _run(instance, **fields)
        with pytest.raises(RequestInvalid, match=says), gone_if_refused(instance, run):
            refuse_inadmissible(instance, run, {})
        assert not instance.has_run(run.run_id)


def test_a_label_of_a_run_config_becomes_a_tag_only_where_it_fits() -> None:
    with dg.instance_for_test() as instance:
        run = _run(instance, run_config={"labels": {"x" * 300: "a"}})
        with pytest.raises(RequestInvalid, match="tag 'label/xxx"), gone_if_refused(instance, run):
            refuse_inadmissible(instance, run, submission_tags(run, now_s=0.0))
        assert not instance.has_run(run.run_id)


def test_a_further_attempt_is_one_of_a_task_of_the_same_job() -> None:
    with dg.instance_for_test() as instance:
        first, other = _run(instance), _run(instance, "cleanup_task_results")
        second = _run(instance, root_run_id=first.run_id, parent_run_id=first.run_id)
        third = _run(instance, root_run_id=first.run_id, parent_run_id=second.run_id)
        for sound in (first, second, third):
            refuse_inadmissible(instance, sound, {})
        for root, parent in ((other, other), (second, second), (first, other), (second, third)):
            wrong = _run(instance, root_run_id=root.run_id, parent_run_id=parent.run_id)
            with pytest.raises(RequestInvalid, match="rootRunId"):
                refuse_inadmissible(instance, wrong, {})


def test_no_job_has_a_field_that_would_read_the_environment() -> None:
    """Dagster's own configs and resources have: a bool or a path of theirs takes `{"env": NAME}`."""
    jobs = definitions.get_repository_def().get_all_jobs()
    assert {"backtest", "cleanup_task_results"} <= {job.name for job in jobs}
    for job in jobs:
        kinds = job.get_job_snapshot().config_schema_snapshot.all_config_keys
        assert not [kind for kind in kinds if "Source" in kind], job.name


def test_the_names_by_which_the_guard_knows_arguments_are_those_of_dagsters_schema() -> None:
    """A new argument that takes a run config or tags of a run must be known there."""
    found = set()
    for kind in create_schema().graphql_schema.type_map.values():
        if isinstance(kind, GraphQLInputObjectType):
            found |= {(get_named_type(field.type).name, name) for name, field in kind.fields.items()}
        elif isinstance(kind, GraphQLObjectType):
            for field in kind.fields.values():
                found |= {(get_named_type(one.type).name, name) for name, one in field.args.items()}
    names: dict[str, set[str]] = {}
    for kind_name, name in found:
        names.setdefault(kind_name, set()).add(name)
    assert names["RunConfigData"] == {"runConfigData"}
    assert names["ExecutionMetadata"] == {"executionMetadata"}
    assert names["ExecutionParams"] == {"executionParams", "executionParamsList"}
    assert names["ReexecutionParams"] == {"reexecutionParams"}
    assert names["LaunchBackfillParams"] == {"backfillParams"}
    assert names["ExecutionTag"] == {"tags", "extraTags"}


def test_the_reasons_of_failures_are_dagsters() -> None:
    assert set(CHOICES[tags.FAILURE_REASON]) == {reason.value for reason in RunFailureReason}
