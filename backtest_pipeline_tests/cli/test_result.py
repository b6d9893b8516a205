"""`backtest result`: numbers and tables of one task, and never over somebody's file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import FileThere, FileUnusable, RequestInvalid, ResultMissing, TaskUnknown
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, wandering


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """DATA_ROOT with one task; no server is there to be asked."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("BACKTEST_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    publish(tmp_path / "data", wandering())
    yield tmp_path / "data"
    get_settings.cache_clear()


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["result", TASK, *(str(argument) for argument in arguments)])


def test_metrics_are_printed(data_root: Path) -> None:
    lines = [line.split("\t") for line in _run().stdout.splitlines() if "\t" in line]
    shown = {cells[0]: cells[1] for cells in lines}
    metrics = TaskStore(data_root).manifest(TASK).metrics
    assert set(metrics) <= set(shown)
    assert shown["total_return"] == f"{metrics['total_return']:.2%}"


def test_json_is_the_manifest(data_root: Path) -> None:
    assert json.loads(_run("--json").stdout) == json.loads(Layout(data_root).manifest(TASK).read_text())


@pytest.mark.parametrize("table", ["signals", "trades", "equity"])
def test_a_table_goes_out_as_csv_to_stdout_and_to_a_file(data_root: Path, tmp_path: Path, table: str) -> None:
    stored = getattr(TaskStore(data_root).result(TASK), table)
    printed = _run("--table", table, "--csv", "-")
    times = [name for name in stored.columns if "time" in name]
    read = pd.read_csv(io.StringIO(printed.stdout), parse_dates=times)
    pd.testing.assert_frame_equal(read, stored, check_dtype=False, rtol=0)
    assert _run("--table", table, "--csv", tmp_path / "table.csv").stdout == ""
    assert (tmp_path / "table.csv").read_text() == printed.stdout


def test_a_table_goes_out_as_the_parquet_file_that_it_is(data_root: Path, tmp_path: Path) -> None:
    done = _run("--table", "trades", "--parquet", tmp_path / "out.parquet")
    assert done.exit_code == 0
    stored = Layout(data_root).task(TASK) / "trades.parquet"
    assert (tmp_path / "out.parquet").read_bytes() == stored.read_bytes()


def test_a_table_is_shown_by_its_first_rows_and_whole_as_json(data_root: Path) -> None:
    shown = _run("--table", "equity")
    assert len(shown.stdout.splitlines()) == 1 + 20
    assert "20 of 200 rows" in shown.stderr
    rows = json.loads(_run("--table", "equity", "--json").stdout)
    assert len(rows) == 200
    assert rows[0]["equity"] == 10_000.0


def test_everything_is_copied_to_a_folder(data_root: Path, tmp_path: Path) -> None:
    assert _run("--out", tmp_path / "new" / "folder").exit_code == 0
    folder = Layout(data_root).task(TASK)
    copied = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (["--table", "trades", "--csv"], "file"),
        (["--table", "trades", "--parquet"], "file"),
        (["--out"], "folder/equity.parquet"),
    ],
)
def test_nothing_is_overwritten_without_force(
    data_root: Path, tmp_path: Path, arguments: list[str], target: str
) -> None:
    taken = tmp_path / target
    taken.parent.mkdir(exist_ok=True)
    taken.write_text("precious")
    named = taken.parent if "--out" in arguments else taken
    assert isinstance(_run(*arguments, named).exception, FileThere)
    assert taken.read_text() == "precious"
    assert [path.name for path in taken.parent.iterdir() if path.is_file()] == [taken.name]
    assert _run(*arguments, named, "--force").exit_code == 0
    assert taken.read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (
            ["--table", "orders"],
            RequestInvalid,
            "--table: there is no 'orders' (did you mean trades?); choose one of signals",
        ),
        (["--csv", "x.csv"], RequestInvalid, "--table: name the table to write: signals, trades, equity"),
        (["--table", "trades", "--csv", "no/such/folder/x"], FileUnusable, "No such file or directory"),
    ],
)
def test_what_makes_no_sense_is_told(
    data_root: Path, arguments: list[str], error: type[Exception], says: str
) -> None:
    refused = _run(*arguments).exception
    assert isinstance(refused, error)
    assert says in str(refused)


def test_a_task_without_a_result_is_told(data_root: Path) -> None:
    for task_id, error in ((OTHER, ResultMissing), ("../etc", TaskUnknown)):
        assert isinstance(CliRunner().invoke(app, ["result", task_id]).exception, error)


def test_the_verdict_is_computed_when_somebody_looks_first(data_root: Path) -> None:
    assert TaskStore(data_root).manifest(TASK).robustness is None
    printed = _run().stdout.splitlines()[-1]
    known = TaskStore(data_root).manifest(TASK).robustness
    assert known is not None
    assert printed == f"verdict: {known.verdict}"
