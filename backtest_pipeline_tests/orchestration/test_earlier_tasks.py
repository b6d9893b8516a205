"""An earlier task answers a submission that repeats its key, or that takes its result."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.test_utils import create_run_for_test

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model import tags
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.orchestration.dagster_internals import coordinator
from backtest_pipeline.orchestration.dagster_internals.coordinator import BacktestRunCoordinator
from backtest_pipeline.orchestration.tasks.earlier_tasks import (
    MOST_CANDIDATES,
    completed_in_same_words,
    takes_earlier_result,
)

REQUEST = BacktestRequest(strategy="sma_cross", params={"fast": 3, "slow": 8}, symbols=["ACME"])
SUCCESS, STARTED, FAILURE = (dg.DagsterRunStatus[name] for name in ("SUCCESS", "STARTED", "FAILURE"))


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        monkeypatch.setattr(BacktestRunCoordinator, "_instance", made)
        monkeypatch.setattr(coordinator, "_key_lock", lambda *_: _nobody_else())
        yield made


class _nobody_else:  # noqa: N801  a context manager
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _add(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.NOT_STARTED,
    root: dg.DagsterRun | None = None,
    request: BacktestRequest = REQUEST,
    **run_tags: str,
) -> dg.DagsterRun:
    """A run of the request, as Dagster makes it; `backtest__reuse` stands for the tag `backtest/reuse`."""
    given = {name.replace("__", "/"): value for name, value in run_tags.items()}
    root_id = root.run_id if root else None
    if root_id:
        given |= {tags.ROOT_RUN: root_id, tags.PARENT_RUN: root_id}
    run: dg.DagsterRun = create_run_for_test(
        instance,
        job_name="backtest",
        run_config=to_run_config(request),
        status=status,
        tags=given,
        root_run_id=root_id,
        parent_run_id=root_id,
    )
    return run


def _completed(instance: dg.DagsterInstance, **fields: Any) -> dg.DagsterRun:
    return _add(instance, SUCCESS, backtest__request_digest=REQUEST.digest(), **fields)


def _asking(reuse: str | None) -> dict[str, Any]:
    return {} if reuse is None else {"backtest__reuse": reuse}


def _same_words(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    return list(completed_in_same_words(instance, run))


@pytest.mark.parametrize(("reuse", "takes"), [("true", True), ("false", False), (None, False)])
def test_the_tag_asks_for_an_earlier_result_or_forbids_it(
    instance: dg.DagsterInstance, reuse: str | None, takes: bool
) -> None:
    run, again = _add(instance, **_asking(reuse)), _add(instance, root=_add(instance), **_asking(reuse))
    assert takes_earlier_result(run) == takes
    assert not takes_earlier_result(again), "a further attempt"


def test_the_newest_completed_tasks_of_the_same_words_come_first(instance: dg.DagsterInstance) -> None:
    older, newer = _completed(instance), _completed(instance)
    other = REQUEST.model_copy(update={"fee_bps": 11.0})
    _add(instance, SUCCESS, request=other, backtest__request_digest=other.digest())
    for status in (STARTED, FAILURE, dg.DagsterRunStatus.CANCELED):
        _add(instance, status, backtest__request_digest=REQUEST.digest())
    assert _same_words(instance, _add(instance)) == [newer.run_id, older.run_id]


def test_a_task_that_is_executed_again_right_now_is_none_of_them(instance: dg.DagsterInstance) -> None:
    done = _completed(instance)
    again = _add(instance, STARTED, root=done)
    assert _same_words(instance, _add(instance)) == []
    instance.run_storage.delete_run(again.run_id)
    assert _same_words(instance, _add(instance)) == [done.run_id]


def test_a_task_that_took_a_second_attempt_is_answered_by_that(instance: dg.DagsterInstance) -> None:
    first = _add(instance, FAILURE)
    second = _completed(instance, root=first)
    found = completed_in_same_words(instance, _add(instance))
    assert {task_id: run.run_id for task_id, run in found.items()} == {first.run_id: second.run_id}


def test_at_most_five_are_looked_at(instance: dg.DagsterInstance) -> None:
    for _ in range(7):
        _completed(instance)
    assert len(_same_words(instance, _add(instance))) == MOST_CANDIDATES


def test_a_config_that_is_no_request_has_no_earlier_result(instance: dg.DagsterInstance) -> None:
    _completed(instance)
    configs: list[dict[str, Any]] = [
        {},
        {"strategy": {"a": {}, "b": {}}},
        to_run_config(REQUEST) | {"seed": 0.5},
    ]
    for config in configs:
        run = create_run_for_test(instance, job_name="backtest", run_config=config)
        assert _same_words(instance, run) == []


def _submitted(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    run: dg.DagsterRun,
    answer: dict[str, Any] | Exception,
) -> tuple[dg.DagsterRun, list[dict[str, Any]]]:
    """What a submission is answered where the code server answers so, and what that was asked."""
    asked: list[dict[str, Any]] = []

    def ask(_name: str, _workspace: object, question: dict[str, Any], *, within_s: int) -> dict[str, Any]:
        asked.append(question)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(coordinator, "ask", ask)
    monkeypatch.setattr(QueuedRunCoordinator, "submit_run", lambda _self, context: context.dagster_run)
    monkeypatch.setattr(BacktestRunCoordinator, "_start_if_free", lambda *_: None)
    context: Any = SimpleNamespace(dagster_run=run, workspace=None, get_request_header=lambda _: None)
    return BacktestRunCoordinator().submit_run(context), asked


def test_a_submission_that_takes_the_earlier_result_is_answered_by_its_task_and_is_gone(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _completed(instance)
    run = _add(instance, backtest__reuse="true", backtest__submitted_code_sha256="a" * 64)
    answered, asked = _submitted(instance, monkeypatch, run, {"task_id": done.run_id})
    assert answered.run_id == done.run_id
    assert asked == [
        {"same_result": to_run_config(REQUEST), "among": [done.run_id], "submitted_code": "a" * 64}
    ]
    assert not instance.has_run(run.run_id)
    messages = [entry.message for entry in instance.all_logs(done.run_id)]
    assert messages == ["Asked for again, with the tag backtest/reuse; this result was the answer."]


def test_who_runs_the_servers_code_takes_its_results(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _completed(instance)
    run = _add(
        instance,
        backtest__reuse="true",
        backtest__submitted_code_sha256="a" * 64,
        backtest__any_code="true",
    )
    _, asked = _submitted(instance, monkeypatch, run, {"task_id": done.run_id})
    assert [question["submitted_code"] for question in asked] == [None]


@pytest.mark.parametrize(
    "answer", [{}, {"task_id": None}, {"task_id": "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"}, OSError("away")]
)
def test_where_there_is_none_or_nobody_can_tell_it_runs(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | Exception
) -> None:
    _completed(instance)
    run = _add(instance, backtest__reuse="true")
    answered, asked = _submitted(instance, monkeypatch, run, answer)
    assert answered.run_id == run.run_id
    assert len(asked) == 1
    assert instance.has_run(run.run_id)


@pytest.mark.parametrize("reuse", ["false", None])
def test_nobody_is_asked_for_who_runs_afresh(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, reuse: str | None
) -> None:
    done = _completed(instance)
    run = _add(instance, **_asking(reuse))
    answered, asked = _submitted(instance, monkeypatch, run, {"task_id": done.run_id})
    assert (answered.run_id, asked) == (run.run_id, [])


def test_nobody_is_asked_where_no_task_was_asked_for_in_the_same_words(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _add(instance, backtest__reuse="true")
    answered, asked = _submitted(instance, monkeypatch, run, {})
    assert (answered.run_id, asked) == (run.run_id, [])


def test_a_repeated_submission_gets_its_own_task_and_not_another_with_the_result(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    key: dict[str, Any] = {"backtest__idempotency_key": "key", "backtest__reuse": "true"}
    done, first, again = _completed(instance), _add(instance, STARTED, **key), _add(instance, **key)
    answered, _ = _submitted(instance, monkeypatch, again, {"task_id": done.run_id})
    assert answered.run_id == first.run_id
    assert not instance.has_run(again.run_id)


def test_a_further_attempt_runs_whatever_its_task_was_submitted_with(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, failed = _completed(instance), _add(instance, FAILURE, backtest__reuse="true")
    retry = _add(instance, root=failed, backtest__reuse="true")
    answered, asked = _submitted(instance, monkeypatch, retry, {"task_id": done.run_id})
    assert (answered.run_id, asked) == (retry.run_id, [])


def test_a_tag_that_says_neither_is_refused(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _add(instance, backtest__reuse="maybe")
    with pytest.raises(Exception, match="tag 'backtest/reuse': write true or false, not 'maybe'"):
        _submitted(instance, monkeypatch, run, {})
    assert tags.REUSE == "backtest/reuse"
    assert not instance.has_run(run.run_id)
