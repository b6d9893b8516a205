"""One live pipeline with the demo's candles, shared by all pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port
from backtest_pipeline_tests.docs.quick_command import quick_commands
from backtest_pipeline_tests.exchanges.exchange_files import FIRST_S
from backtest_pipeline_tests.exchanges.loopback_exchange import DIALECTS, LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Web server, daemon and code server over the demo's candles, on SQLite."""
    data_root, home = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("home")
    import_demo(CandleStore(data_root))
    service = LocalService(Settings(data_root=data_root, dagster_home=home), port=free_port())
    with service.running():
        yield Pipeline(service.url, data_root, home)


@pytest.fixture(scope="session")
def exchange_urls() -> Iterator[str]:
    """Upbit, Binance and Bybit on loopback, as `EXCHANGE_URLS` names them, with two months of hours."""
    made = [MadeMarket.of(FIRST_S, 24 * 60, seed=seed) for seed in range(2)]
    won = dict(zip(("KRW-BTC", "KRW-ETH"), made, strict=True))
    tether = dict.fromkeys(("BTCUSDT", "BTCUSDT.P"), made[0])
    now_s = FIRST_S + 60 * 86_400
    exchanges = [LoopbackExchange(name, won if name == "upbit" else tether, now_s) for name in DIALECTS]
    with ExitStack() as serving:
        yield ",".join(f"{one.dialect}={serving.enter_context(one.serving())}" for one in exchanges)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with quick `backtest` and `run-python`."""
    with quick_commands(tmp_path_factory.mktemp("programs")) as folder:
        yield folder
