"""A worker runs the submitter's code, or the server's on demand, or refuses."""

from __future__ import annotations

import dagster as dg
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import CodeDiffers
from backtest_pipeline.orchestration.tasks import submitted_code
from backtest_pipeline.orchestration.tasks.submission_tags import submission_tags
from backtest_pipeline.orchestration.tasks.submitted_code import code_of_run
from backtest_pipeline.sdk import submission
from backtest_pipeline.sdk.states import status_of
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, run

pytestmark = pytest.mark.usefixtures("own_data_root")

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.mark.parametrize(
    ("loaded", "on_disk", "submitted", "any_code", "refused"),
    [
        (A, A, A, False, None),
        (A, A, None, False, None),  # the web UI, or a client that has not the strategy
        (None, None, None, False, None),  # no sources to be had
        (A, B, A, False, None),  # queued before the file was edited, and the old code is still there
        (A, A, B, False, "bring package and strategy files to the same version"),
        (A, A, B, True, None),
        (A, B, B, False, "is not what the server has loaded"),
        (A, B, None, False, "is not what the server has loaded"),
        (A, None, A, False, None),
        (A, None, None, False, r"its source on disk \(unknown\)"),
        (A, B, C, False, "is not what the server has loaded"),
        (None, None, A, False, "submit with --server-code"),
        (A, B, None, True, None),
    ],
)
def test_no_other_code_than_the_submitters_runs_unless_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    loaded: str | None,
    on_disk: str | None,
    submitted: str | None,
    any_code: bool,
    refused: str | None,
) -> None:
    monkeypatch.setattr(submitted_code, "code_sha256_of", lambda _: loaded)
    monkeypatch.setattr(submitted_code, "code_sha256_on_disk_of", lambda _: on_disk)
    run_tags = {tags.SUBMITTED_CODE: submitted or ""} | ({tags.ANY_CODE: "true"} if any_code else {})
    if refused is not None:
        with pytest.raises(CodeDiffers, match=f"sma_cross: .*{refused}") as caught:
            code_of_run("sma_cross", run_tags)
        assert not caught.value.retryable
        return
    code = code_of_run("sma_cross", run_tags)
    assert (code.ran, code.submitted) == (loaded, submitted)
    assert bool(code.remarks) == (submitted not in {None, loaded})


def test_a_result_of_other_code_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitted_code, "code_sha256_of", lambda _: A)
    run_tags = {tags.SUBMITTED_CODE: B, tags.ANY_CODE: "true"}
    [remark] = code_of_run("sma_cross", run_tags).remarks
    assert remark == (
        f"run by the server's code {'a' * 12}, as asked for, and not by the submitter's {'b' * 12}"
    )


def _sent(server: FakeServer) -> dict[str, str]:
    [sent] = server.sent
    return {tag["key"]: tag["value"] for tag in sent["params"]["executionMetadata"]["tags"]}


@pytest.mark.parametrize("server_code", [False, True])
def test_a_client_tells_what_it_has_on_disk(monkeypatch: pytest.MonkeyPatch, server_code: bool) -> None:
    """Not what a notebook has loaded before its file was edited: the file is what its author looks at."""
    monkeypatch.setattr(submission, "code_sha256_on_disk_of", lambda _: B)
    server = FakeServer()
    with server.client() as client:
        request = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])
        task = client.submit(request, reuse=False, server_code=server_code)
    assert _sent(server)[tags.SUBMITTED_CODE] == B
    assert (tags.ANY_CODE in _sent(server)) == server_code
    assert (task.submitted_code_sha256, task.code_sha256) == (B, None)


def test_a_client_without_the_strategy_tells_nothing() -> None:
    server = FakeServer()
    with server.client() as client:
        client.submit(BacktestRequest(strategy="of_the_server", symbols=["AAPL"]))
    assert tags.SUBMITTED_CODE not in _sent(server)


def test_a_status_tells_which_code_ran() -> None:
    ran = run("a", status="SUCCESS", backtest__code_sha256=A, backtest__submitted_code_sha256=B)
    status = status_of([ran], now_s=10.0)
    assert (status.code_sha256, status.submitted_code_sha256) == (A, B)


def _again(**run_tags: str) -> dict[str, str]:
    """Tags of a later attempt, once it is submitted."""
    own = {tags.SUBMITTED_CODE: A, tags.CODE: A, **run_tags}
    later = dg.DagsterRun(job_name=tags.JOB, tags=own, root_run_id="root", parent_run_id="root")
    return {**own, **submission_tags(later, now_s=0.0)}


def test_a_retry_must_be_of_the_submitters_code_and_an_execution_by_hand_is_of_the_servers() -> None:
    retry = _again(**{tags.RETRY_NUMBER: "1"})
    assert (retry[tags.SUBMITTED_CODE], retry[tags.CODE]) == (A, "")
    by_hand = _again(**{tags.ANY_CODE: "true"})
    assert (by_hand[tags.SUBMITTED_CODE], by_hand[tags.CODE], by_hand[tags.ANY_CODE]) == ("", "", "")
