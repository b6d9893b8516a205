"""Commands about tasks, against a server that keeps runs in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from backtest_pipeline import BacktestClient
from backtest_pipeline.cli import connection, progress_bar
from backtest_pipeline.cli.commands import task_commands as tasks
from backtest_pipeline.cli.main import app
from backtest_pipeline.cli.output import LateConsole
from backtest_pipeline.model.errors import RequestInvalid, TaskFailed
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run

pytestmark = pytest.mark.usefixtures("own_data_root")

Stderr = Callable[[], str]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, clock: StillClock) -> FakeServer:
    """The server that the commands talk to."""
    server = FakeServer()

    def connected(**options: Any) -> BacktestClient:
        return server.client(clock, **options)

    monkeypatch.setattr(connection, "BacktestClient", connected)
    return server


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Stderr:
    """What has been told on stderr, as without a terminal."""
    sink = io.StringIO()
    for module in (connection, progress_bar, tasks):
        monkeypatch.setattr(module, "stderr", Console(file=sink, width=200))
    return sink.getvalue


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_cancel_shows_where_the_task_stands_then(server: FakeServer) -> None:
    server.runs = [run("a", status="QUEUED")]
    server.terminate = lambda target, policy: target.update(status="CANCELED")
    done = _run("cancel", "a", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["state"] == "cancelled"
    assert _run("cancel", "a").stdout.splitlines()[1].split("\t")[:2] == ["a", "cancelled"]


def test_wait_takes_several_tasks_and_tells_which_is_which(server: FakeServer, told: Stderr) -> None:
    server.runs = [run("a", status="SUCCESS"), run("b", status="SUCCESS")]
    done = _run("wait", "a", "b", "--json")
    assert done.exit_code == 0
    assert [task["task_id"] for task in json.loads(done.stdout)] == ["a", "b"]
    assert told().splitlines() == ["a completed 100% completed", "b completed 100% completed"]


def test_wait_ends_with_1_unless_all_completed(server: FakeServer, told: Stderr) -> None:
    server.runs = [run("a", status="SUCCESS"), run("b", status="CANCELED")]
    assert _run("wait", "a").exit_code == 0
    assert _run("wait", "a", "b").exit_code == 1


def test_wait_shows_one_bar_for_several_tasks_on_a_terminal(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = io.StringIO()
    terminal = LateConsole()
    terminal.itself = Console(file=sink, width=120, force_terminal=True)
    monkeypatch.setattr(progress_bar, "stderr", terminal)
    server.runs = [run("a", status="SUCCESS"), run("b", status="FAILURE", dagster__max_retries="0")]
    assert _run("wait", "a", "b").exit_code == 1
    assert "2 of 2" in sink.getvalue()
    assert "1 completed, 1 failed" in sink.getvalue()


@pytest.mark.parametrize("arguments", [["run", "sma_cross", "--symbols", "AAPL"], ["wait", "run0"]])
def test_ctrl_c_leaves_the_task_and_tells_how_to_cancel_it(
    server: FakeServer, clock: StillClock, told: Stderr, arguments: list[str]
) -> None:
    server.runs = [run("run0")] if arguments[0] == "wait" else []

    def interrupt() -> None:
        raise KeyboardInterrupt

    clock.on_sleep = interrupt
    assert _run(*arguments).exit_code == 130
    assert "task run0 goes on; cancel it with: backtest cancel run0\n" in told()
    assert "Terminate" not in server.asked


def test_submit_with_a_key_yields_the_same_task_again(server: FakeServer) -> None:
    command = ["submit", "sma_cross", "--symbols", "AAPL", "--idempotency-key", "nightly"]
    assert _run(*command).stdout == _run(*command).stdout == "run0\n"
    assert len(server.runs) == 1


@pytest.mark.parametrize(
    "symbols",
    [["--symbols", "AAPL,IBM"], ["--symbols", "AAPL", "--symbols", "IBM"], ["--symbols", " AAPL, IBM,"]],
)
def test_symbols_may_be_given_in_one_option_or_in_several(server: FakeServer, symbols: list[str]) -> None:
    assert _run("submit", "sma_cross", *symbols).stdout == "run0\n"
    [sent] = server.sent
    assert sent["params"]["runConfigData"]["symbols"] == ["AAPL", "IBM"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "fast=3", "-p", "fast=4"], "--param: fast is given twice; give it once"),
        (["--label", "desk=a", "--label", "desk=b"], "--label: desk is given twice"),
        (["-p", "=3"], "--param: write NAME=VALUE, not '=3'"),
    ],
)
def test_a_name_that_is_given_twice_or_not_at_all_is_refused(
    server: FakeServer, arguments: list[str], says: str
) -> None:
    done = _run("submit", "sma_cross", "--symbols", "AAPL", *arguments)
    assert says in str(done.exception)
    assert server.asked == []


def test_no_symbol_at_all_is_refused_with_an_example(server: FakeServer) -> None:
    done = _run("submit", "sma_cross", "--symbols", ",")
    assert "symbols: at least 1 item, as in ['AAPL']" in str(done.exception)
    assert server.asked == []


def test_a_failed_run_is_an_error_with_its_message(server: FakeServer, told: Stderr) -> None:
    launched = FakeServer._launch

    def fails(params: dict[str, Any]) -> dict[str, Any]:
        answer = launched(server, params)
        server.runs[0] |= run("run0", status="FAILURE", dagster__max_retries="0", backtest__error="no [IBM]")
        return answer

    server._launch = fails  # type: ignore[method-assign]
    failed = _run("run", "sma_cross", "--symbols", "AAPL").exception
    assert isinstance(failed, TaskFailed)
    assert str(failed) == "task run0 failed: no [IBM]"


def test_list_narrows_by_state_strategy_label_and_time(server: FakeServer) -> None:
    marks = {"backtest__strategy": "sma_cross", "label__desk": "rates"}
    day_s = 86_400.0
    server.runs = [
        run("old", status="SUCCESS", created=0.0, **marks),
        run("other", status="SUCCESS", created=day_s, backtest__strategy="sma_cross", label__desk="fx"),
        run("wanted", status="SUCCESS", created=day_s + 1, **marks),
        run("running", created=day_s + 2, **marks),
        run("late", status="SUCCESS", created=2 * day_s, **marks),
    ]
    done = _run(
        "list", "--state", "completed", "--strategy", "sma_cross", "--label", "desk=rates",
        "--since", "1970-01-02", "--until", "1970-01-02", "--json",
    )  # fmt: skip
    assert [task["task_id"] for task in json.loads(done.stdout)] == ["wanted"]
    newest = _run("list", "--limit", "2", "--since", "1970-01-02T09:00:01+09:00", "--json")
    assert [task["task_id"] for task in json.loads(newest.stdout)] == ["late", "running"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--state", "done"], "there is no 'done'; choose one of queued, running"),
        (["--state", "complete"], "there is no 'complete' (did you mean completed?)"),
        (["--label", "desk"], "--label: write KEY=VALUE, not 'desk'"),
        (["--since", "yesterday"], "--since: write 2024-05-01 or 2024-05-01T09:30"),
        (["--until", "2024-13-01"], "--until: write 2024-05-01 or 2024-05-01T09:30"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_before_anything_is_asked(
    server: FakeServer, arguments: list[str], says: str
) -> None:
    refused = _run("list", *arguments).exception
    assert isinstance(refused, RequestInvalid)
    assert says in str(refused)
    assert server.asked == []


def test_trying_again_is_told_once(server: FakeServer, told: Stderr) -> None:
    server.runs = [run("a")]
    server.failures = [httpx.ConnectError("refused [Errno 111]")] * 3
    assert _run("status", "a").exit_code == 0
    assert told().count("trying again: no answer from http://pipeline (refused [Errno 111])") == 1
