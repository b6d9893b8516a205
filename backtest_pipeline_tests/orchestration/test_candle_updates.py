"""The job `update_candles`: what it stores, reports and materializes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from backtest_pipeline.candles.importer import import_table
from backtest_pipeline.candles.resampling import resample
from backtest_pipeline.candles.sources.downloads import download
from backtest_pipeline.candles.sources.updates import wanted_series
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.jobs.candle_updates import update_candles, update_schedule
from backtest_pipeline.orchestration.jobs.presets import result_assets
from backtest_pipeline.orchestration.tasks.candle_assets import candle_assets
from backtest_pipeline.orchestration.tasks.run_context import load_candles
from backtest_pipeline.orchestration.tasks.run_page import candle_lines
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies.registry import strategies
from backtest_pipeline.workflows.needed_candles import NeededCandles
from backtest_pipeline_tests.exchanges.conftest import QuickTime, source_of
from backtest_pipeline_tests.exchanges.exchange_files import FIRST_S, approx, stored
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

MARKET = MadeMarket.of(FIRST_S, 30 * 24, seed=4)
THEN_S, NOW_S = FIRST_S + 20 * 86_400 + 60.0, FIRST_S + 25 * 86_400 + 60.0


@pytest.fixture
def upbit(own_data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackExchange]:
    """Two markets that were downloaded five days ago; of one, four-hour bars were made."""
    exchange = LoopbackExchange("upbit", {"KRW-BTC": MARKET, "KRW-ETH": MARKET}, THEN_S)
    with exchange.serving() as url:
        store = CandleStore(own_data_root)
        clock = QuickTime(THEN_S).clock
        source = source_of(exchange, store, clock)
        download(store, source, wanted_series(source, ["KRW-BTC", "KRW-ETH"], ["1h"]), clock)
        resample(store, "KRW-BTC", "1h", "4h")
        exchange.now_s = NOW_S
        monkeypatch.setenv("EXCHANGE_URLS", f"upbit={url}")
        get_settings.cache_clear()
        yield exchange


def _run(instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    form = {"ops": {"update_stored_candles": {"config": config}}}
    return update_candles.execute_in_process(form, instance=instance, raise_on_error=False)


def _materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    events = [event for event in result.all_events if event.is_step_materialization]
    found = [event.step_materialization_data.materialization for event in events]
    return {
        one.asset_key.to_user_string(): {name: value.value for name, value in one.metadata.items()}
        for one in found
    }


def test_all_that_came_from_an_exchange_is_brought_up_to_date(
    upbit: LoopbackExchange, own_data_root: Path
) -> None:
    store = CandleStore(own_data_root)
    with dg.instance_for_test() as instance:
        result = _run(instance)
        run = instance.get_run_by_id(result.run_id)
    assert result.success
    whole = MARKET.complete(3_600, NOW_S)
    assert stored(store, "KRW-BTC") == stored(store, "KRW-ETH") == approx(whole)
    assert stored(store, "KRW-BTC", "4h") == approx(MARKET.complete(14_400, NOW_S))
    seen = _materialized(result)
    assert set(seen) == {"candles/KRW-BTC/1H", "candles/KRW-ETH/1H", "candles/KRW-BTC/4H"}
    facts = seen["candles/KRW-BTC/1H"]
    candles = store.load(["KRW-BTC"], "1h")["KRW-BTC"]
    assert facts["dagster/row_count"] == len(whole) == 25 * 24
    assert (facts["first"], facts["new"], facts["gaps"]) == ("2024-01-01T00:00:00.000000Z", 5 * 24, 0)
    assert facts["fingerprint"] == candles.fingerprint()
    assert run is not None
    assert run.tags[tags.STAGE].endswith("candles")


def test_a_series_that_fails_fails_the_run_after_the_others(
    upbit: LoopbackExchange, own_data_root: Path
) -> None:
    upbit.faults.extend(["451"])
    with dg.instance_for_test() as instance:
        result = _run(instance, symbols=["KRW-BTC"])
        assert not result.success
        again = _run(instance)
    assert again.success
    assert len(stored(CandleStore(own_data_root), "KRW-BTC")) == 25 * 24


def test_the_schedule_is_off_and_skips_while_an_update_runs() -> None:
    schedule = update_schedule("5 * * * *", "Asia/Seoul")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance=instance)
        assert [request.run_key for request in schedule.evaluate_tick(context).run_requests or []] == [None]
        run = dg.DagsterRun(job_name=tags.UPDATE_JOB, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        tick = schedule.evaluate_tick(context)
        assert tick.run_requests == []
        assert tick.skip_message == f"run {run.run_id} is still bringing candles up to date"


def test_candles_are_upstream_of_every_strategy_s_results(
    upbit: LoopbackExchange, own_data_root: Path
) -> None:
    specs = candle_assets(CandleStore(own_data_root))
    by_name = {spec.key.to_user_string(): spec for spec in specs}
    assert set(by_name) == {"candles/KRW-BTC/1H", "candles/KRW-BTC/4H", "candles/KRW-ETH/1H"}
    assert by_name["candles/KRW-BTC/1H"].description == "1h candles of KRW-BTC, from KRW-BTC of upbit"
    assert by_name["candles/KRW-BTC/1H"].freshness_policy is not None
    made = by_name["candles/KRW-BTC/4H"]
    assert [dep.asset_key.to_user_string() for dep in made.deps] == ["candles/KRW-BTC/1H"]
    assert made.freshness_policy is None
    results = result_assets(strategies(), [spec.key for spec in specs])
    assert all({dep.asset_key for dep in one.deps} == {spec.key for spec in specs} for one in results)
    assert dg.Definitions(assets=[*specs, *results]).resolve_asset_graph().get_all_asset_keys()


def test_a_backtest_says_how_many_of_its_bars_lack_shorter_ones(own_data_root: Path) -> None:
    """Two days of hours, of which one is missing on each; the backtest asks for the second day."""
    store = CandleStore(own_data_root)
    rows = {at: row for at, row in MARKET.rows.items() if at < FIRST_S + 2 * 86_400}
    del rows[FIRST_S + 5 * 3_600], rows[FIRST_S + 86_400 + 7 * 3_600]
    moments = np.array(sorted(rows), dtype="datetime64[s]").astype("datetime64[us]")
    prices = zip(*(rows[at] for at in sorted(rows)), strict=True)
    names = ("open", "high", "low", "close", "volume")
    columns = {"timestamp": moments, **{name: list(one) for name, one in zip(names, prices, strict=True)}}
    import_table(store, pa.table(columns), "KRW-BTC", "1h", calendar="24/7")
    resample(store, "KRW-BTC", "1h", "4h")
    needed = NeededCandles("4h", ["KRW-BTC"], date(2024, 1, 2), None)
    [line] = candle_lines(load_candles(store, needed, "auto"))
    assert line.endswith("no gaps; 1 bar made of fewer shorter ones than there should be")
