"""`backtest export` and `backtest import-result`, from one data root to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline import BacktestClient
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import ArchiveRefused, FileThere, FileUnusable
from backtest_pipeline.settings import get_settings
from backtest_pipeline_tests.results.published import TASK, publish, wandering

Enter = Callable[[str], Path]


@pytest.fixture
def enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Enter]:
    """Makes a data root the one that commands look at."""

    def change(name: str) -> Path:
        monkeypatch.setenv("DATA_ROOT", str(tmp_path / name))
        get_settings.cache_clear()
        return tmp_path / name

    yield change
    get_settings.cache_clear()


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_result_travels_and_is_like_any_other_where_it_arrives(enter: Enter, tmp_path: Path) -> None:
    archive = tmp_path / "task.tar.zst"
    publish(enter("here"), wandering())
    shown = _run("result", TASK).stdout
    assert _run("export", TASK, "--to", archive).exit_code == 0

    enter("there")
    done = _run("import-result", archive, "--json")
    assert json.loads(done.stdout) == {
        "task_id": TASK, "folder": str(tmp_path / "there" / "tasks" / TASK), "new": True,
    }  # fmt: skip
    assert "nothing to do" in _run("import-result", archive).stdout
    assert _run("result", TASK).stdout == shown
    assert _run("verify", TASK).exit_code == 0
    assert _run("verify", "--all").exit_code == 0
    assert TASK in _run("list", "--offline").stdout
    with BacktestClient() as client:
        frame = client.results_frame()
    assert list(frame.index) == [TASK]
    assert bool(frame.loc[TASK, "pinned"])


def test_an_import_may_expire_where_that_is_wanted(enter: Enter, tmp_path: Path) -> None:
    publish(enter("here"), wandering())
    _run("export", TASK, "--to", tmp_path / "task.tar.zst")
    enter("there")
    _run("import-result", tmp_path / "task.tar.zst", "--no-pin")
    with BacktestClient() as client:
        assert not client.results_frame().loc[TASK, "pinned"]


def test_errors_name_the_file_and_what_to_do(enter: Enter, tmp_path: Path) -> None:
    publish(enter("here"), wandering())
    archive = tmp_path / "task.tar.zst"
    archive.write_bytes(b"precious")
    assert isinstance(_run("export", TASK, "--to", archive).exception, FileThere)
    assert isinstance(_run("export", TASK, "--to", tmp_path / "no" / "folder").exception, FileUnusable)
    assert isinstance(_run("import-result", archive).exception, ArchiveRefused)
    missing = _run("import-result", tmp_path / "missing").exception
    assert isinstance(missing, FileUnusable)
    assert str(missing).startswith(f"{tmp_path / 'missing'}: No such file")
    assert archive.read_bytes() == b"precious"
