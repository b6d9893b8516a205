"""docs/results.md names everything that a task leaves, and what it says to type works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from backtest_pipeline import BacktestClient
from backtest_pipeline.cli import connection
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.results.catalog import COLUMNS
from backtest_pipeline.results.tables import SCHEMAS
from backtest_pipeline.settings import get_settings
from backtest_pipeline_tests.results.published import TASK, publish, store_candles, wandering
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, run

PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text()


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """DATA_ROOT with candles and a task of them; the working directory is beside it."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    store_candles(tmp_path / "data", wandering("AAPL"))
    publish(tmp_path / "data", wandering("AAPL"))
    yield tmp_path / "data"
    get_settings.cache_clear()


def _section(heading: str) -> str:
    """The page from a heading to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def _first_cells(section: str) -> list[str]:
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def _models_within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_within(inner)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_is_told_in_its_order(table: str) -> None:
    assert _first_cells(_section(f"{table}.parquet")) == SCHEMAS[table].names


def test_every_field_of_the_manifest_is_told_in_its_order() -> None:
    assert _first_cells(_section("manifest.json")) == list(Manifest.model_fields)


@pytest.mark.parametrize(
    ("field", "model"),
    [
        (name, model)
        for name, field in Manifest.model_fields.items()
        for model in _models_within(field.annotation)
    ],
)
def test_every_field_within_a_field_is_told_in_its_line(field: str, model: type[BaseModel]) -> None:
    [line] = [line for line in _section("manifest.json").splitlines() if line.startswith(f"| `{field}` ")]
    assert [name for name in model.model_fields if f"`{name}`" not in line] == []


def test_every_metric_is_told() -> None:
    assert _first_cells(_section("Metrics")) == list(METRICS)


def test_every_column_of_the_results_frame_is_told() -> None:
    assert [name for name in COLUMNS if f"`{name}`" not in _section("In pandas")] == []


def test_the_pages_python_runs(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"data_root": data_root}
    for block in _blocks("python"):
        exec(block, names)  # noqa: S102  the page's own
    assert "param.fast" in capsys.readouterr().out


def test_the_pages_commands_work(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer(run(TASK, status="SUCCESS", backtest__strategy="sma_cross"))

    def connected(**options: Any) -> BacktestClient:
        return server.client(**options)

    monkeypatch.setattr(connection, "BacktestClient", connected)
    commands = [line.removeprefix("$ ") for block in _blocks("console") for line in block.splitlines()]
    assert len(commands) > 9
    for command in commands:
        program, *arguments = shlex.split(command.replace("TASK", TASK))
        assert program == "backtest"
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert Path("trades.csv").exists()
    assert Path("equity.parquet").exists()
    assert (Path("copy_of_the_task") / "manifest.json").exists()
    assert Path("task.tar.zst").exists()
