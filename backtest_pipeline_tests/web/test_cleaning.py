"""What leaves in answers, and what stays in the log."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from backtest_pipeline.model.errors import ServerTroubled
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.web.access.answer_cleaning import cleaned

FRAMES = ['  File "/app/secret_place.py", line 3, in resolve\n    raise ValueError(password)\n']
SQL = (
    "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) server closed the connection\n"
    "[SQL: SELECT runs.run_body FROM runs WHERE runs.run_id = %(run_id)s]\n[parameters: {'run_id': 'r'}]\n"
    "(Background on this error at: https://sqlalche.me/e/20/e3q8)"
)
LOCKED = "backtest_pipeline.model.errors.LockNotAcquired: the lock for submitting runs is held\n"


def _cleaned(content: object) -> Any:
    return json.loads(cleaned(json.dumps(content).encode()))


def test_an_answer_without_anything_suspicious_is_not_touched() -> None:
    body = b'{"data": {"runOrError": {"status":"SUCCESS","message":"File a, line 1"}}}'
    assert cleaned(body) is body


def test_stack_and_sql_leave_a_typed_error_and_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    error = {"__typename": "PythonError", "message": SQL, "stack": FRAMES, "causes": [{"stack": FRAMES}]}
    with caplog.at_level(logging.WARNING, "dagster-webserver.guard"):
        left = _cleaned({"data": {"launchRun": error}})["data"]["launchRun"]
    assert left["stack"] == []
    assert left["causes"] == [{"stack": []}]
    first, hint = left["message"].splitlines()
    assert (
        first == "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) server closed the connection"
    )
    error_id = hint.split()[2]
    assert error_id in caplog.text
    assert "SELECT runs.run_body" in caplog.text
    assert "secret_place.py" in caplog.text


def test_a_field_cannot_be_renamed_past_it() -> None:
    left = _cleaned({"data": {"launchRun": {"m": SQL, "innocent": FRAMES}}})["data"]["launchRun"]
    assert left["innocent"] == []
    assert "SELECT" not in left["m"]


def test_the_answer_says_under_which_id_the_log_has_what_was_removed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left = _cleaned({"data": {"a": {"stack": FRAMES}}, "extensions": {"cost": 1}})
    assert left["data"] == {"a": {"stack": []}}
    assert left["extensions"]["cost"] == 1
    assert f"error {left['extensions']['error_id']}" in caplog.text


def test_untyped_errors_lose_what_dagster_packs_beside_them() -> None:
    packed = {"errorInfo": {"__class__": "SerializableErrorInfo", "message": SQL, "stack": FRAMES}}
    left = _cleaned({"data": None, "errors": [{"message": SQL, "extensions": packed}]})
    assert "SELECT" not in json.dumps(left)
    assert "secret_place" not in json.dumps(left)


@pytest.mark.parametrize("start", ["Traceback (most recent call last):\n", "\nStack Trace:\n", ""])
def test_a_stack_inside_a_message_is_cut_off(start: str) -> None:
    left = _cleaned({"errors": [{"message": f"it failed\n{start}{FRAMES[0]}"}]})
    assert left["errors"][0]["message"].splitlines()[0] == "it failed"
    assert "secret_place" not in json.dumps(left)


def test_the_record_of_a_run_keeps_its_stack_but_no_sql() -> None:
    error = {"__typename": "PythonError", "message": SQL, "stack": FRAMES}
    event = {"__typename": "ExecutionStepFailureEvent", "error": error}
    left = _cleaned({"data": {"logsForRun": {"events": [event]}}})["data"]["logsForRun"]["events"][0]
    assert left["error"]["stack"] == FRAMES
    assert "SELECT" not in left["error"]["message"]


def test_clients_still_recognise_a_lock_that_somebody_else_has() -> None:
    error = {"__typename": "PythonError", "className": "LockNotAcquired", "message": LOCKED, "stack": FRAMES}
    left = _cleaned({"data": {"launchRun": error}})["data"]["launchRun"]
    known = refusal_of_answer("http://here", left)
    assert isinstance(known, ServerTroubled)
    assert known.retryable


def test_clients_still_recognise_a_database_in_trouble() -> None:
    left = _cleaned({"errors": [{"message": SQL}]})["errors"][0]
    known = refusal_of_answer("http://here", left)
    assert isinstance(known, ServerTroubled)
    assert "OperationalError" in str(known)


def test_an_answer_that_is_no_json_tells_nothing() -> None:
    assert b"secret_place" not in cleaned(f"Traceback (most recent call last):\n{FRAMES[0]}".encode())
