"""What holds for every account, whatever the candles, signals and settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backtest_pipeline.model.candles import PRICE_COLUMNS, Candles
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.signal_checks import LEVELS
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline_tests.engine.account_cases import AccountCase, simulated
from backtest_pipeline_tests.engine.account_outcomes import differences, scaled
from backtest_pipeline_tests.engine.account_simulators import computed_by_the_account_kernel
from backtest_pipeline_tests.engine.generated import (
    SCALES,
    STYLES,
    generated_rows,
    generated_signals,
    requests,
)
from backtest_pipeline_tests.engine.generated_accounts import generated_case
from backtest_pipeline_tests.engine.reference_holdings import AccountOutcome
from backtest_pipeline_tests.engine.reference_simulator import Bar, ReferenceSimulator, Trade
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES, candles_of

Simulator = Callable[[AccountCase], AccountOutcome]
SIMULATORS: dict[str, Simulator] = {"reference": simulated, "kernel": computed_by_the_account_kernel}
CASES = 200

pytestmark = pytest.mark.slow


@pytest.fixture(params=SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> Simulator:
    return SIMULATORS[request.param]


def cases(count: int = CASES) -> Iterator[AccountCase]:
    return map(generated_case, range(count))


def test_the_generated_cases_come_to_everything() -> None:
    outcomes = [simulated(case) for case in cases()]
    reasons = {trade.exit_reason for outcome in outcomes for trade in outcome.trades}
    assert reasons == {
        "signal",
        "stop_loss",
        "take_profit",
        "trailing_stop",
        "max_hold",
        "liquidation",
        "end_of_data",
    }
    assert {reason for outcome in outcomes for reason in outcome.skipped} == {
        "cash",
        "slots",
        "stop",
        "volatility",
    }
    assert sum(bool(outcome.trades) for outcome in outcomes) > 0.7 * len(outcomes)


def test_cash_is_never_negative_without_leverage(simulator: Simulator) -> None:
    for case in cases():
        if case.request.leverage == 1:
            assert min(simulator(case).cash) >= 0, case.request


def test_equity_is_the_cash_and_the_marked_positions(simulator: Simulator) -> None:
    for case in cases():
        outcome = simulator(case)
        signs = {"long": (1, 1), "short": (-1, -1), "both": (-1, 1)}[case.request.direction]
        for equity, cash, gross in zip(outcome.equity, outcome.cash, outcome.gross, strict=True):
            slack = 1e-9 * (abs(cash) + gross)
            assert signs[0] * gross - slack <= equity - cash <= signs[1] * gross + slack


def test_the_pnl_of_all_trades_adds_up_to_the_change_of_the_equity(simulator: Simulator) -> None:
    for seed, case in enumerate(cases()):
        outcome = simulator(case)
        change = outcome.equity[-1] - case.request.initial_cash
        total = math.fsum(trade.pnl for trade in outcome.trades)
        turned_over = math.fsum(trade.quantity * trade.entry_price for trade in outcome.trades)
        assert total == pytest.approx(change, rel=1e-9, abs=1e-9 * turned_over), seed


def doubled(candles: Candles) -> Candles:
    prices = {name: 2 * getattr(candles, name) for name in PRICE_COLUMNS}
    return dataclasses.replace(candles, **prices)


def test_doubled_prices_and_money_double_the_account_and_change_no_weight(simulator: Simulator) -> None:
    for case in cases():
        request = case.request.model_copy(
            update={
                "initial_cash": 2 * case.request.initial_cash,
                "fee_fixed": 2 * case.request.fee_fixed,
            }
        )
        signals = {
            symbol: dataclasses.replace(
                own,
                **{
                    name: 2 * getattr(own, name)
                    for name in LEVELS
                    if name != "size_frac" and getattr(own, name) is not None
                },
            )
            for symbol, own in case.signals.items()
        }
        larger = dataclasses.replace(
            case,
            request=request,
            candles={symbol: doubled(own) for symbol, own in case.candles.items()},
            details={symbol: doubled(own) for symbol, own in case.details.items()},
            signals=signals,
        )
        assert differences(scaled(simulator(case), 2.0), simulator(larger)) == []


def test_the_order_of_the_symbols_decides_ties_and_nothing_else(simulator: Simulator) -> None:
    rng = np.random.default_rng(0)
    for case in cases():
        sure = {
            symbol: dataclasses.replace(own, confidence=rng.random(len(own.entry)))
            for symbol, own in case.signals.items()
        }
        places = rng.permutation(len(case.request.symbols)).tolist()
        turned = case.request.model_copy(
            update={"symbols": tuple(case.request.symbols[place] for place in places)}
        )
        weights = case.weights
        if weights is not None:
            weights = dataclasses.replace(weights, weights=weights.weights[:, places])
        one = dataclasses.replace(case, signals=sure)
        other = dataclasses.replace(case, signals=sure, request=turned, weights=weights)
        assert differences(simulator(one), simulator(other)) == []


def test_a_symbol_that_never_trades_changes_nothing(simulator: Simulator) -> None:
    for case in cases():
        if case.weights is not None or len(case.candles) == 1:
            continue
        own = next(iter(case.candles.values()))
        idle = Signals(entry=np.zeros(len(own), dtype=np.bool_))
        with_idle = dataclasses.replace(
            case,
            request=case.request.model_copy(update={"symbols": (*case.request.symbols, "IDLE")}),
            candles={**case.candles, "IDLE": dataclasses.replace(own, symbol="IDLE")},
            signals={**case.signals, "IDLE": idle},
        )
        assert differences(simulator(case), simulator(with_idle)) == []


def test_costs_never_help_where_quantities_are_the_same(simulator: Simulator) -> None:
    compared = 0
    for case in cases():
        if case.weights is not None:
            continue
        steady: dict[str, Any] = {"quantity_step": case.request.initial_cash / 2_000, "position_frac": 0.1}
        free = case.request.model_copy(update={**steady, "fee_bps": 0.0, "fee_fixed": 0.0, "borrow_apr": 0.0})
        costly = free.model_copy(update={"fee_bps": 5.0, "borrow_apr": 0.01})
        cheap, dear = (simulator(dataclasses.replace(case, request=request)) for request in (free, costly))
        if [_fills(cheap)] != [_fills(dear)] or not cheap.trades:
            continue
        compared += 1
        for without, with_costs in zip(cheap.equity, dear.equity, strict=True):
            assert with_costs <= without * (1 + 1e-12)
    assert compared > 25


def _fills(outcome: AccountOutcome) -> list[tuple[Any, ...]]:
    return [
        (trade.symbol, trade.quantity, trade.entry_bar, trade.entry_price, trade.exit_bar, trade.exit_price)
        for trade in outcome.trades
    ]


@pytest.mark.parametrize("simulator", SIMULATORS.values(), ids=SIMULATORS)
@settings(max_examples=600, derandomize=True, deadline=None)
@given(
    request=requests,
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(1, 60),
    style=st.sampled_from(STYLES),
    scale=st.sampled_from(SCALES),
)
def test_one_symbol_without_anything_new_is_as_it_always_was(
    simulator: Simulator, request: BacktestRequest, seed: int, bars: int, style: str, scale: float
) -> None:
    # beyond 1e12 steps one step lies within the tolerance
    assume(not request.quantity_step or request.initial_cash / scale < 1e12 * request.quantity_step)
    rng = np.random.default_rng(seed)
    signals = generated_signals(rng, bars)
    rows = generated_rows(rng, bars, style, scale).tolist()
    flags = zip(*(getattr(signals, name).tolist() for name in SIGNAL_NAMES), strict=True)
    written = [Bar(*row, *marks) for row, marks in zip(rows, flags, strict=True)]
    expected = ReferenceSimulator(request, request.initial_cash, request.max_hold_bars).run(written)

    shared = request.model_copy(update={"calendar": "24/7"})
    found = simulator(AccountCase(shared, {"X": candles_of(rows)}, {"X": signals}))

    names = [field.name for field in dataclasses.fields(Trade)]
    trades = [Trade(**{name: getattr(trade, name) for name in names}) for trade in found.trades]
    assert trades == expected.trades
    assert (found.equity, found.cash, found.gross) == (expected.equity, expected.cash, expected.gross)
    assert found.skipped["cash"] == expected.skipped_entries
