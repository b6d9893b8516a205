"""The real processes, started once for all acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backtest_pipeline.cli.demo_candles import import_demo
from backtest_pipeline.service.local import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.candle_store import CandleStore
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port
from backtest_pipeline_tests.acceptance.postgres import postgres_server


@pytest.fixture(scope="session")
def demo_candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with five companies' daily candles."""
    data_root = tmp_path_factory.mktemp("data")
    import_demo(CandleStore(data_root))
    return data_root


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Environment of each database in turn: whatever uses it is tested on both."""
    if request.param == "sqlite":
        yield {}
        return
    with postgres_server() as server:
        yield server.env


@pytest.fixture(scope="session")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory, demo_candles: Path, database: dict[str, str]
) -> Iterator[Pipeline]:
    """Web server, daemon and code server over the demo's candles."""
    home = tmp_path_factory.mktemp("home")
    service = LocalService(Settings(data_root=demo_candles, dagster_home=home), port=free_port())
    with ExitStack() as stack:
        with (
            pytest.MonkeyPatch.context() as patch
        ):  # for the start only: other tests have services of their own
            for name, value in database.items():
                patch.setenv(name, value)
            stack.enter_context(service.running())
        yield Pipeline(service.url, demo_candles, home)
