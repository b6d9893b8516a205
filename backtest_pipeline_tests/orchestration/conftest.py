"""A sweep that has completed, which tests of what becomes of sweeps share."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest
from backtest_pipeline.model.sweep_config import to_sweep_config
from backtest_pipeline.orchestration.jobs.sweep import sweep
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import store_candles


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data root with one sweep of two symbols, and its task."""
    data_root = tmp_path_factory.mktemp("swept") / "data"
    store_candles(data_root, walk("A", 300), walk("B", 250))
    request = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["A", "B"], labels={"desk": "fx"}),
        space={"params.fast": IntRange(2, 20, step=3), "params.slow": [5, 20, 50], "fee_bps": [0, 10.5]},
        keep_best=4,
    )
    with pytest.MonkeyPatch.context() as patch, dg.instance_for_test() as instance:
        patch.setenv("DATA_ROOT", str(data_root))
        get_settings.cache_clear()
        run = sweep.execute_in_process(to_sweep_config(request), instance=instance)
    get_settings.cache_clear()
    return data_root, run.run_id


@pytest.fixture
def task(swept: tuple[Path, str], tmp_path: Path) -> tuple[Layout, str]:
    """A copy of it that may be harmed."""
    shutil.copytree(swept[0], tmp_path / "data")
    return Layout(tmp_path / "data"), swept[1]
