"""Every command that takes a task's id takes the beginning of it, and `last`; results need no server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import ResultMissing, ServerUnreachable, TaskAmbiguous, TaskUnknown
from backtest_pipeline.settings import get_settings
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, wandering


@pytest.fixture
def data_root(own_data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two tasks, and no server."""
    monkeypatch.setenv("BACKTEST_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    for task_id in (TASK, OTHER):
        publish(own_data_root, wandering(bars=60), task_id=task_id)
    return own_data_root


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.usefixtures("data_root")
@pytest.mark.parametrize(
    "arguments",
    [
        ("result", TASK[:8], "--json"),
        ("report", TASK[:8], "--no-open", "--force"),
        ("compare", TASK[:8], OTHER[:10], "--no-open", "--json"),
        ("verify", TASK[:8], "--json"),
        ("pin", TASK[:8], "--json"),
        ("unpin", TASK[:8]),
        ("export", TASK[:8], "--to", "one.tar.zst"),
    ],
)
def test_eight_characters_name_a_task(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _run(*arguments)
    assert done.exit_code == 0, done.exception
    assert TASK in done.stdout


@pytest.mark.usefixtures("data_root")
def test_last_is_a_task_and_which_one_is_said() -> None:
    done = _run("result", "last")
    assert done.exit_code == 0
    assert f"last: task {OTHER}" in done.stderr


@pytest.mark.usefixtures("data_root")
def test_a_beginning_that_nobody_has_is_said_to_be_missing_in_that_folder() -> None:
    unknown = _run("result", "deadbeef").exception
    assert isinstance(unknown, TaskUnknown)
    assert str(get_settings().data_root / "tasks") in str(unknown)
    missing = _run("result", f"2{TASK[1:]}").exception
    assert isinstance(missing, ResultMissing)
    assert "DATA_ROOT" in str(missing)


def test_an_ambiguous_beginning_lists_its_candidates(data_root: Path) -> None:
    twin = TASK[:-1] + "1"
    (data_root / "tasks" / twin).mkdir()
    ambiguous = _run("report", TASK[:8]).exception
    assert isinstance(ambiguous, TaskAmbiguous)
    assert ambiguous.candidates == [TASK, twin]


@pytest.mark.usefixtures("data_root")
def test_without_a_server_two_seconds_pass_at_most_until_that_is_said() -> None:
    began_s = time.monotonic()
    assert isinstance(_run("status", TASK).exception, ServerUnreachable)
    assert time.monotonic() - began_s < 2
