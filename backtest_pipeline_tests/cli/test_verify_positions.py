"""`backtest verify` values what a shared account held by the candles of the store, if these are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from backtest_pipeline.cli.main import app
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.bookkeeping import Fill, kept_by_hand
from backtest_pipeline_tests.results.published import TASK, forge, manifest_of, store_candles, wandering

CANDLES = {symbol: wandering(symbol, 30, seed=place) for place, symbol in enumerate(("A", "B"))}


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """DATA_ROOT with candles and the task of a shared account, kept by hand."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("BACKTEST_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    store_candles(tmp_path, *CANDLES.values())
    result = kept_by_hand(CANDLES, [Fill(2, "A", 3.0), Fill(5, "B", 2.0), Fill(20, "A", -3.0)])
    store = TaskStore(tmp_path)
    with store.staging(TASK) as staged:
        files = store.write_tables(staged, result)
        store.publish(manifest_of(result, [*CANDLES.values()], result_files=files), staged)
    yield tmp_path
    get_settings.cache_clear()


def _ten_more(equity: pd.DataFrame) -> pd.DataFrame:
    """The account of the tenth bar worth ten more, and everything in its row made to fit that."""
    values = equity["equity"].to_numpy(copy=True)
    values[10] += 10.0
    peak = pd.Series(values).clip(lower=1_000.0).cummax()
    gross = (values - equity["cash"]) / values
    return equity.assign(equity=values, exposure_frac=gross, drawdown_frac=1.0 - values / peak)


def _said() -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", TASK])
    return done.exit_code, done.stdout


def test_a_sound_one_is_ok(data_root: Path) -> None:
    assert _said() == (0, f"ok\t{TASK}\tcompleted\n")


def test_equity_that_fits_all_tables_and_not_the_candles_is_found(data_root: Path) -> None:
    forge(data_root, "equity", _ten_more)
    assert verify_task(Layout(data_root), TASK).problems == []
    status, told = _said()
    assert status == 1
    assert "positions.parquet: equity at 2020-01-11T00:00:00.000000 is" in told


def test_with_other_candles_nothing_can_be_said(data_root: Path) -> None:
    forge(data_root, "equity", _ten_more)
    store_candles(data_root, replace(CANDLES["A"], volume=CANDLES["A"].volume + 1.0))
    assert _said()[0] == 0
