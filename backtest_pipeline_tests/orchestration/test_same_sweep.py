"""A sweep whose result is there already is answered by that task, and only then."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from backtest_pipeline import BacktestRequest, SweepRequest
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.sweep_config import to_sweep_config
from backtest_pipeline.orchestration.jobs.submissions import answer
from backtest_pipeline.orchestration.jobs.sweep import sweep
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import store_candles

pytestmark = pytest.mark.slow

CANDLES = (walk("A", 300), walk("B", 250))
SPACE: dict[str, Any] = {"params.fast": [2, 5], "symbols": [["A"], ["B"]]}


def _request(
    space: dict[str, Any] | None = None, backtest: dict[str, Any] | None = None, **fields: Any
) -> SweepRequest:
    asked = {"strategy": "sma_cross", "params": {"slow": 20}, "symbols": ["A"], **(backtest or {})}
    return SweepRequest(backtest=BacktestRequest(**asked), space=space or SPACE, **fields)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data root with one sweep, and its task."""
    data_root = tmp_path_factory.mktemp("same")
    store_candles(data_root, *CANDLES)
    with pytest.MonkeyPatch.context() as patch, dg.instance_for_test() as instance:
        patch.setenv("DATA_ROOT", str(data_root))
        get_settings.cache_clear()
        run = sweep.execute_in_process(to_sweep_config(_request()), instance=instance)
    get_settings.cache_clear()
    return data_root, run.run_id


@pytest.fixture
def task(swept: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The sweep's task, in the data root of this process."""
    monkeypatch.setenv("DATA_ROOT", str(swept[0]))
    get_settings.cache_clear()
    return swept[1]


def _found(task: str, request: SweepRequest) -> str | None:
    question = {"same_result": to_sweep_config(request), "among": [task], "submitted_code": None}
    return answer(question).get("task_id")


def test_the_same_sweep_has_the_same_result(task: str) -> None:
    assert _found(task, _request()) == task
    assert _found(task, resolve_sweep(_request()).request) == task, "with every default written out"


@pytest.mark.parametrize(
    "other",
    [
        _request(SPACE | {"params.fast": [2, 6]}),
        _request(objective="calmar"),
        _request(keep_best=3),
        _request(where=["trades >= 1"]),
        _request(backtest={"fee_bps": 11}),
        _request(backtest={"pinned": True}),
        _request(SPACE | {"symbols": [["A"]]}),
    ],
)
def test_another_sweep_has_another_result(task: str, other: SweepRequest) -> None:
    assert _found(task, other) is None


def _more_candles(data_root: Path) -> None:
    store_candles(data_root, walk("B", 251))


def _corrected_candle(data_root: Path) -> None:
    volume = CANDLES[1].volume + np.where(np.arange(250) == 100, 1.0, 0.0)
    store_candles(data_root, replace(CANDLES[1], volume=volume))


def _calendar(data_root: Path) -> None:
    (data_root / "B" / "symbol.json").write_text(SymbolRecord.of("XKRX").model_dump_json())


def _lost_file(data_root: Path) -> None:
    [found] = Layout(data_root).tasks.glob("*/trials.parquet")
    found.unlink()


@pytest.mark.parametrize("change", [_more_candles, _corrected_candle, _calendar, _lost_file])
def test_what_has_changed_since_is_noticed(
    swept: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    data_root = Path(shutil.copytree(swept[0], tmp_path / "data"))
    monkeypatch.setenv("DATA_ROOT", str(data_root))
    get_settings.cache_clear()
    assert _found(swept[1], _request()) == swept[1]
    change(data_root)
    assert _found(swept[1], _request()) is None
