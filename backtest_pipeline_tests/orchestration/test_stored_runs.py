"""Runs that are stored queued, many at once, are what Dagster would have stored one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from sqlalchemy import text

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import BacktestError, RequestInvalid
from backtest_pipeline.orchestration.dagster_internals import coordinator
from backtest_pipeline.orchestration.dagster_internals.coordinator import BacktestRunCoordinator
from backtest_pipeline.orchestration.dagster_internals.run_storage import run_storage_of
from backtest_pipeline.orchestration.dagster_internals.stored_runs import store_queued
from backtest_pipeline_tests.orchestration.queued_runs import queued_run

_ONE_FILE = {
    "event_log_storage": {
        "module": "dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log",
        "class": "ConsolidatedSqliteEventLogStorage",
        "config": {"base_dir": "events"},
    }
}
CONFIG: dict[str, Any] = {"strategy": {"sma_cross": {"fast": 10, "slow": 20}}, "symbols": ["ACME"]}


@pytest.fixture(params=["one file of events", "a file for each run"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    config = dict(_ONE_FILE) if request.param == "one file of events" else {}
    if config:
        config["event_log_storage"]["config"] = {"base_dir": str(tmp_path / "events")}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=config) as made:
        yield made


def _like(run: dg.DagsterRun, run_id: str, **run_tags: str) -> dg.DagsterRun:
    named = {name.replace("__", "/"): value for name, value in run_tags.items()}
    return run._replace(run_id=run_id, run_config=CONFIG, tags={**run.tags, **named})


def _ids(count: int) -> list[str]:
    return [f"{number:08}-0000-4000-8000-000000000000" for number in range(1, count + 1)]


def _rows(instance: dg.DagsterInstance, run_id: str) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """A run's row without what is its own, and its tags, as they stand in the database."""
    own = {"id", "run_id", "run_body", "create_timestamp", "update_timestamp"}
    with run_storage_of(instance).connect() as connection:
        asked = {"run_id": run_id}
        found = connection.execute(text("SELECT * FROM runs WHERE run_id = :run_id"), asked).mappings().one()
        of_run = connection.execute(text("SELECT key, value FROM run_tags WHERE run_id = :run_id"), asked)
        return {name: value for name, value in found.items() if name not in own}, {
            (key, value) for key, value in of_run
        }


def test_they_are_what_dagster_would_have_stored(instance: dg.DagsterInstance) -> None:
    [ours, theirs] = _ids(2)
    like = queued_run(instance)
    of_dagster = _like(like, theirs, a="1").with_status(dg.DagsterRunStatus.NOT_STARTED)
    instance.run_storage.add_run(of_dagster)
    instance.report_dagster_event(DagsterEvent.job_enqueue(of_dagster), run_id=theirs)

    store_queued(instance, [_like(like, ours, a="1")])

    assert _rows(instance, ours) == _rows(instance, theirs)
    [stored, wanted] = [instance.get_run_by_id(run_id) for run_id in (ours, theirs)]
    assert stored is not None
    assert stored._replace(run_id=theirs) == wanted
    [event] = instance.all_logs(ours)
    [event_of_dagster] = instance.all_logs(theirs)
    assert event.dagster_event == event_of_dagster.dagster_event
    assert (event.level, event.job_name) == (event_of_dagster.level, event_of_dagster.job_name)


def test_where_runs_cannot_be_stored_no_events_of_them_are_left(instance: dg.DagsterInstance) -> None:
    [there, new] = _ids(2)
    like = queued_run(instance)
    store_queued(instance, [_like(like, there)])
    with pytest.raises(Exception, match="UNIQUE"):
        store_queued(instance, [_like(like, new), _like(like, new)])
    assert instance.get_run_by_id(new) is None
    assert instance.all_logs(new) == []
    assert len(instance.all_logs(there)) == 1


@pytest.fixture
def submitting(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> BacktestRunCoordinator:
    monkeypatch.setattr(BacktestRunCoordinator, "_instance", instance)
    return BacktestRunCoordinator(max_concurrent_runs=0)


def _outcome(one: dg.DagsterRun | Exception) -> str:
    return one.run_id if isinstance(one, dg.DagsterRun) else type(one).__name__


def test_each_is_judged_by_itself_and_those_with_one_key_are_one_task(
    instance: dg.DagsterInstance, submitting: BacktestRunCoordinator
) -> None:
    ids = _ids(5)
    like = queued_run(instance)
    key, other = tags.IDEMPOTENCY_KEY.replace("/", "__"), {"backtest__reuse": "false"}
    runs = [
        _like(like, ids[0], **{key: "one"}),
        _like(like, ids[1], **{key: "one"}),
        _like(like, ids[2])._replace(run_config={**CONFIG, "symbols": [{"env": "HOME"}]}),
        _like(like, ids[3], **{key: "two"}, **other),
    ]
    told = submitting.submit_new(runs, None)  # type: ignore[arg-type]  # nobody looks at it
    assert [_outcome(one) for one in told] == [ids[0], ids[0], "RequestInvalid", ids[3]]

    [again] = submitting.submit_new([_like(like, ids[4], **{key: "two"})], None)  # type: ignore[arg-type]
    assert _outcome(again) == ids[3]

    waiting = {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))}
    assert waiting == {like.run_id, ids[0], ids[3]}


def test_they_have_the_tags_of_a_submission(
    instance: dg.DagsterInstance, submitting: BacktestRunCoordinator
) -> None:
    [run_id] = _ids(1)
    submitting.submit_new([_like(queued_run(instance), run_id)], None)  # type: ignore[arg-type]  # as above
    stored = instance.get_run_by_id(run_id)
    assert stored is not None
    assert stored.tags[tags.STRATEGY] == "sma_cross"
    assert stored.tags[tags.PROGRESS] == "0.00"
    found = instance.get_runs(dg.RunsFilter(tags={tags.STRATEGY: "sma_cross"}))  # by the table of tags
    assert [run.run_id for run in found] == [run_id]


def test_where_the_databases_fail_each_is_told_and_none_is_half_there(
    instance: dg.DagsterInstance, submitting: BacktestRunCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("disk I/O error")

    monkeypatch.setattr(coordinator, "store_queued", fails)
    like = queued_run(instance)
    runs = [_like(like, run_id) for run_id in _ids(2)]
    runs.append(_like(like, _ids(3)[2])._replace(run_config={"symbols": {"env": "HOME"}}))
    told = submitting.submit_new(runs, None)  # type: ignore[arg-type]  # as above
    assert [type(one) for one in told] == [OSError, OSError, RequestInvalid]
    assert issubclass(RequestInvalid, BacktestError)
    assert len(instance.get_runs()) == 1
