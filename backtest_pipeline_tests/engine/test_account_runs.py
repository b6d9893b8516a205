"""Whole runs against the slow simulator: one account for all symbols, and one for each."""

from __future__ import annotations

import dataclasses
import math
import os

import pytest

from backtest_pipeline_tests.engine.account_cases import AccountCase, simulated
from backtest_pipeline_tests.engine.account_outcomes import in_order
from backtest_pipeline_tests.engine.account_simulators import computed_by_the_engine
from backtest_pipeline_tests.engine.generated_accounts import generated_case

CASES = int(os.environ.get("ACCOUNT_CASES", "500")) // 5
TRADE_NAMES = ["symbol", "side", "quantity", "entry_price", "exit_price", "fees", "pnl", "exit_reason"]

pytestmark = pytest.mark.slow


def test_a_run_of_one_account_equals_the_reference() -> None:
    """Steps, rows, the weights that are acted upon, finer candles and funding are found by the engine."""
    for seed in range(CASES):
        case = generated_case(seed)
        expected, result = in_order(simulated(case)), computed_by_the_engine(case)
        for name in ("equity", "cash"):
            assert result.equity[name].tolist() == expected.of_rows(getattr(expected, name)), seed
        found = sorted(result.trades[TRADE_NAMES].itertuples(index=False, name=None))
        assert found == sorted(
            tuple(getattr(trade, name) for name in TRADE_NAMES) for trade in expected.trades
        ), seed
        assert result.positions is not None
        changes = result.positions[["symbol", "quantity", "value", "weight"]]
        assert list(changes.itertuples(index=False, name=None)) == [
            (change.symbol, change.quantity, change.value, change.weight) for change in expected.changes
        ], seed


def test_what_the_symbols_add_makes_the_account() -> None:
    """Where all end together: what a position costs after its symbol's last bar is the account's alone."""
    for seed in range(CASES):
        case = generated_case(seed)
        if len({own.timestamp[-1] for own in case.candles.values()}) > 1:
            continue
        result, cash = computed_by_the_engine(case), case.request.initial_cash
        own = [metrics["final_equity"] for metrics in result.by_symbol.values()]
        added = math.fsum(value - cash for value in own if value is not None)
        turned_over = float((result.trades["quantity"] * result.trades["entry_price"]).sum())
        assert len(own) == len(case.request.symbols)
        assert added == pytest.approx(
            result.equity["equity"].iloc[-1] - cash, rel=1e-9, abs=1e-9 * (turned_over + cash)
        ), seed


def alone(case: AccountCase, symbol: str) -> AccountCase:
    """The account that a symbol has for itself."""
    request = case.request.model_copy(
        update={
            "symbols": (symbol,),
            "initial_cash": case.request.initial_cash / len(case.request.symbols),
        }
    )
    return dataclasses.replace(case, request=request)


def test_an_account_a_symbol_knows_orders_levels_and_leverage_as_well() -> None:
    compared = 0
    for seed in range(CASES):
        case = generated_case(seed)
        if case.weights is not None or case.request.sizing == "slots":
            continue
        compared += 1
        split = case.request.model_copy(update={"account": "split", "max_positions": None})
        case = dataclasses.replace(case, request=split)
        result = computed_by_the_engine(case)
        expected = {symbol: simulated(alone(case, symbol)) for symbol in split.symbols}
        found = sorted(result.trades[TRADE_NAMES].itertuples(index=False, name=None))
        assert found == sorted(
            tuple(getattr(trade, name) for name in TRADE_NAMES)
            for outcome in expected.values()
            for trade in outcome.trades
        ), seed
        for symbol, outcome in expected.items():
            assert result.by_symbol[symbol]["final_equity"] == outcome.equity[-1], seed
    assert compared > CASES / 3
