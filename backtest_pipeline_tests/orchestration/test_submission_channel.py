"""Questions about submissions reach the code server's answers, and fail without harm."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError

from backtest_pipeline.orchestration.dagster_internals.submission_channel import answers_of, ask, reply_to

KNOWS = "module_that_knows"


@pytest.fixture(autouse=True)
def _somebody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(KNOWS)

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        return {"twice": 2 * question["number"]}

    module.answer = answer  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, KNOWS, module)


def _workspace(answered_by: str, asked: list[dict[str, Any]] | None = None) -> Any:
    """A workspace whose code server answers pings as ours does, or as Dagster's where nobody answers."""

    def query(method: str, kind: type, *, timeout: int, echo: str) -> Any:
        if asked is not None:
            asked.append({"method": method, "timeout": timeout})
        return kind(echo=reply_to(kind(echo=echo).echo, answers_of(answered_by)))

    client = SimpleNamespace(_query=query)
    return SimpleNamespace(get_code_location=lambda name: SimpleNamespace(client=client))


def test_a_question_is_answered_within_the_time_that_is_given() -> None:
    asked: list[dict[str, Any]] = []
    assert ask("ours", _workspace(KNOWS, asked), {"number": 21}, within_s=3) == {"twice": 42}
    assert asked == [{"method": "Ping", "timeout": 3}]


def test_dagsters_own_code_server_answers_nothing() -> None:
    assert ask("ours", _workspace(""), {"number": 21}, within_s=3) == {}


@pytest.mark.parametrize("question", [{}, {"number": None}, {"number": float("nan")}])
def test_a_question_that_makes_the_answer_fail_is_not_answered(
    question: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert ask("ours", _workspace(KNOWS), question, within_s=3) == {}
    assert "has no answer" in caplog.text


def test_a_question_that_is_no_json_is_not_asked() -> None:
    asked: list[dict[str, Any]] = []
    assert ask("ours", _workspace(KNOWS, asked), {"number": object()}, within_s=3) == {}
    assert asked == []


def test_a_code_server_that_is_away_answers_nothing() -> None:
    def away(name: str) -> None:
        raise DagsterUserCodeUnreachableError(name)

    assert ask("ours", SimpleNamespace(get_code_location=away), {"number": 1}, within_s=3) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("echo", ["", "hello", json.dumps({"number": 1})])
def test_a_ping_that_asks_nothing_is_echoed(echo: str) -> None:
    assert reply_to(echo, answers_of(KNOWS)) == echo


def test_code_that_does_not_load_answers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "module_that_breaks.py").write_text("this is no Python")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert answers_of("module_that_breaks") is None
    assert "questions about submissions are not answered" in caplog.text


def test_what_answers_is_the_code_that_was_loaded_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that is being answered while code is loaded anew is answered by one code throughout."""
    former = answers_of(KNOWS)
    anew = ModuleType(KNOWS)
    anew.answer = lambda question: {"anew": True}  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, KNOWS, anew)
    question = 'backtest_pipeline asks: {"number": 2}'
    assert json.loads(reply_to(question, former).partition(": ")[2]) == {"twice": 4}
    assert json.loads(reply_to(question, answers_of(KNOWS)).partition(": ")[2]) == {"anew": True}
