"""What the engine makes of shared accounts, leverage and orders passes checks that know nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.positions_replay import replayed_problems
from backtest_pipeline.workflows.rerun import rerun
from backtest_pipeline_tests.orchestration.resting_orders import RestingOrders
from backtest_pipeline_tests.results.finer import finer_candles, rates_of, store_rates
from backtest_pipeline_tests.results.published import TASK, publish, store_candles, wandering

pytestmark = pytest.mark.usefixtures("resting_orders")
CANDLES = {symbol: wandering(symbol, 150, seed=place) for place, symbol in enumerate(("A", "B", "C"), 3)}
_BORROWED = {"leverage": 3.0, "maintenance_margin_frac": 0.2, "direction": "both"}
_FINER = {"detail_timeframe": "4h", "stop_loss_frac": 0.02, "take_profit_frac": 0.02}
_AT_RISK = {"sizing": "risk", "risk_frac": 0.05, "stop_loss_frac": 0.03}
_RESTING = {"strategy": RestingOrders.name, "params": {}}
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "slots": {"sizing": "slots", "max_positions": 2},
    "shorts": {"direction": "both", "position_frac": 0.4},
    "at risk and borrowed": {**_BORROWED, **_AT_RISK, "borrow_apr": 0.2},
    "with funding": {**_BORROWED, "funding": True, "position_frac": 2.5},
    "with finer candles": {**_FINER, "direction": "both", "position_frac": 0.3},
    "at the close": {"fill": "close", "position_frac": 0.5, "slippage_bps": 10, "fee_fixed": 1.0},
    "whole units of a volatility": {"sizing": "volatility", "target_volatility": 0.2, "quantity_step": 1.0},
    "orders": {**_RESTING, "position_frac": 0.3, "good_for_bars": 3},
    "orders within finer candles": {**_RESTING, **_FINER, "position_frac": 0.3, "limit_fills_on_touch": True},
    "several entries": {**_RESTING, "max_entries": 3, "position_frac": 0.2, "fee_fixed": 1.0},
    "equal parts": {"strategy": "equal_weight", "params": {"rebalance": "weekly"}, "fee_fixed": 1.0},
    "a rotation": {
        "strategy": "momentum_rotation",
        "params": {"lookback": 20, "skip": 2, "top": 2, "rebalance": "weekly"},
        "stop_loss_frac": 0.05,
    },
}
_SHARED = {"slots", "equal parts", "a rotation"}
"""Those that only a shared account can do."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "account"),
    [
        *((name, "shared") for name in REQUESTS),
        *((name, "split") for name in REQUESTS if name not in _SHARED),
    ],
)
def test_its_tables_agree_with_each_other_and_with_the_candles(
    name: str, account: str, tmp_path: Path
) -> None:
    fields = {"initial_cash": 5_000.0, **REQUESTS[name], "account": account}
    store_candles(tmp_path, *CANDLES.values(), *map(finer_candles, CANDLES.values()))
    store_rates(tmp_path, *map(rates_of, CANDLES.values()))
    manifest = publish(tmp_path, *CANDLES.values(), request=fields)
    assert manifest.summary.total_trades > 3
    assert verify_task(Layout(tmp_path), TASK).problems == []
    store, candles = TaskStore(tmp_path), CandleStore(tmp_path)
    assert replayed_problems(store, TASK, candles) == []
    assert rerun(store.result(TASK), manifest, candles).verdict == "identical"
