"""In a live system, the schedule fires, and the backtest after it sees the new candles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg
import httpx
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings, get_settings
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port, run_backtest_command
from backtest_pipeline_tests.exchanges.exchange_files import FIRST_S
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket
from backtest_pipeline_tests.polling import until

MARKET = MadeMarket.of(FIRST_S, 60 * 24, seed=8)
REQUEST = BacktestRequest(
    strategy="sma_cross", params={"fast": 5, "slow": 20}, symbols=["KRW-BTC"], timeframe="1h"
)
DOWNLOAD = ["candles", "download", "--exchange", "upbit", "--symbols", "KRW-BTC", "--timeframe", "1h"]
START = """mutation { startSchedule(scheduleSelector: {repositoryLocationName: "backtest_pipeline",
repositoryName: "__repository__", scheduleName: "update_candles_regularly"}) { __typename } }"""
ASSETS = (
    """{ assetNodes { assetKey { path } dependencyKeys { path } freshnessStatusInfo { freshnessStatus } } }"""
)


@pytest.fixture
def upbit(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackExchange]:
    """Thirty days of an exchange, whose days go on when a test says so."""
    exchange = LoopbackExchange("upbit", {"KRW-BTC": MARKET}, FIRST_S + 30 * 86_400 + 60.0)
    with exchange.serving() as url:
        monkeypatch.setenv("EXCHANGE_URLS", f"upbit={url}")
        monkeypatch.setenv("CANDLE_UPDATE_SCHEDULE", "* * * * *")
        get_settings.cache_clear()
        yield exchange
        get_settings.cache_clear()


@pytest.fixture
def live(upbit: LoopbackExchange, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline on candles that were downloaded before it started."""
    data_root, home = tmp_path / "data", tmp_path / "home"
    pipeline = Pipeline("", data_root, home)
    assert run_backtest_command(DOWNLOAD, {**pipeline.env, "DATA_ROOT": str(data_root)}).returncode == 0
    service = LocalService(Settings(data_root=data_root, dagster_home=home), port=free_port())
    with service.running():
        yield Pipeline(service.url, data_root, home)


def _last(pipeline: Pipeline) -> datetime:
    store = CandleStore(pipeline.data_root)
    last = store.inventory()[0].last
    assert last is not None
    return last


def _rerun(pipeline: Pipeline, task: str) -> dict[str, object]:
    told = run_backtest_command(["verify", task, "--rerun", "--json"], pipeline.env)
    rerun: dict[str, object] = json.loads(told.stdout)[0]["rerun"]
    return rerun


def test_a_backtest_after_the_schedule_sees_the_new_candles(live: Pipeline, upbit: LoopbackExchange) -> None:
    with live.client() as client:
        before = client.wait(client.submit(REQUEST).task_id, timeout_s=120)
        assert before.state == "completed"
        assert client.result(before.task_id).manifest.candles[0].rows == 30 * 24

        upbit.now_s = FIRST_S + 40 * 86_400 + 60.0
        answer = httpx.post(f"{live.url}/graphql", json={"query": START}).json()
        assert answer["data"]["startSchedule"]["__typename"] == "ScheduleStateResult", answer
        until(lambda: _last(live).day == 9, "the schedule to bring ten days", 150)

        after = client.wait(client.submit(REQUEST).task_id, timeout_s=120)
        assert after.task_id != before.task_id  # the same request is another question now
        assert client.result(after.task_id).manifest.candles[0].rows == 40 * 24

        # Candles were only added: the earlier result still comes out of those of then, and says so.
        told = _rerun(live, before.task_id)
        assert told["verdict"] == "identical"
        assert told["details"] == ["KRW-BTC: 240 rows have been added around those of then"]

        # The exchange corrects a price of then; a refresh takes it, and the results say so.
        at = FIRST_S + 10 * 86_400
        opened, high, low, _, volume = MARKET.rows[at]
        rows = MARKET.rows | {at: (opened, high * 1.5, low, high * 1.5, volume)}
        upbit.markets["KRW-BTC"] = MadeMarket(MARKET.base_s, rows)
        refreshed = run_backtest_command(["candles", "update", "--refresh"], live.env)
        assert refreshed.returncode == 0, refreshed.stderr
        for task in (before, after):
            assert _rerun(live, task.task_id)["verdict"] == "candles changed since"

    with dg.DagsterInstance.from_config(str(live.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["candles", "KRW-BTC", "1H"]))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["dagster/row_count"].value == 40 * 24
    nodes = httpx.post(f"{live.url}/graphql", json={"query": ASSETS}).json()["data"]["assetNodes"]
    by_path = {"/".join(node["assetKey"]["path"]): node for node in nodes}
    upstream = by_path["backtests/sma_cross"]["dependencyKeys"]
    assert {"path": ["candles", "KRW-BTC", "1H"]} in upstream

    def fresh() -> bool:
        found = httpx.post(f"{live.url}/graphql", json={"query": ASSETS}).json()["data"]["assetNodes"]
        [own] = [node for node in found if node["assetKey"]["path"] == ["candles", "KRW-BTC", "1H"]]
        status = (own["freshnessStatusInfo"] or {}).get("freshnessStatus")
        return status == "HEALTHY"

    until(fresh, "the catalog to call the candles fresh", 90)
