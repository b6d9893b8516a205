"""The worked examples of docs/execution-model.md, computed by the engine and by the slow simulators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.account_cases import AccountCase, simulated
from backtest_pipeline_tests.engine.account_examples import (
    ACCOUNT_EXAMPLES,
    FIRST_EXAMPLES,
    Example,
    approximately,
    by_rule,
    case_of,
)
from backtest_pipeline_tests.engine.account_simulators import (
    computed_by_the_account_kernel,
    computed_by_the_engine,
)
from backtest_pipeline_tests.engine.reference_holdings import AccountOutcome
from backtest_pipeline_tests.engine.reference_simulator import Bar, ReferenceSimulator
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES, play, signals_at

Simulator = Callable[[AccountCase], AccountOutcome]


def test_the_document_has_an_example_for_each_group_of_rules() -> None:
    assert len(FIRST_EXAMPLES) >= 18
    assert len(ACCOUNT_EXAMPLES) >= 30


@pytest.mark.parametrize("example", FIRST_EXAMPLES, ids=by_rule)
def test_the_engine_computes_the_example(example: Example) -> None:
    at = {name: example.get(name, []) for name in SIGNAL_NAMES}
    result = play(example["bars"], signals_at(len(example["bars"]), **at), **example.get("request", {}))

    trades = result.trades.assign(
        entry_bar=result.equity["timestamp"].searchsorted(result.trades["entry_time"]),
        exit_bar=result.equity["timestamp"].searchsorted(result.trades["exit_time"]),
    ).to_dict("records")
    assert len(trades) == len(example["trades"])
    for trade, expected in zip(trades, example["trades"], strict=True):
        assert {name: trade[name] for name in expected} == approximately(expected)
    assert result.equity["equity"].tolist() == pytest.approx(example["equity"], rel=1e-12)
    for sentence in example.get("diagnostics", []):
        assert sentence in result.diagnostics


@pytest.mark.parametrize("example", FIRST_EXAMPLES, ids=by_rule)
def test_the_reference_computes_the_example(example: Example) -> None:
    request = BacktestRequest(
        strategy="scripted",
        symbols=("X",),
        **({"initial_cash": 1_000, "fee_bps": 0} | example.get("request", {})),
    )
    bars = [
        Bar(*row, **{name: number in example.get(name, []) for name in SIGNAL_NAMES})
        for number, row in enumerate(example["bars"])
    ]
    outcome = ReferenceSimulator(request, request.initial_cash, request.max_hold_bars).run(bars)

    assert len(outcome.trades) == len(example["trades"])
    for trade, expected in zip(outcome.trades, example["trades"], strict=True):
        assert {name: getattr(trade, name) for name in expected} == approximately(expected)
    assert outcome.equity == pytest.approx(example["equity"], rel=1e-12)


@pytest.mark.parametrize("simulator", [simulated, computed_by_the_account_kernel])
@pytest.mark.parametrize("example", [*FIRST_EXAMPLES, *ACCOUNT_EXAMPLES], ids=by_rule)
def test_both_simulators_of_accounts_compute_the_example(example: Example, simulator: Simulator) -> None:
    outcome = simulator(case_of(example))

    assert_trades(example, [vars(trade) for trade in outcome.trades])
    assert outcome.of_rows(outcome.equity) == pytest.approx(example["equity"], rel=1e-12)
    if "cash" in example:
        assert outcome.of_rows(outcome.cash) == pytest.approx(example["cash"], rel=1e-12)
    if "skipped" in example:
        assert dict(outcome.skipped) == example["skipped"]
    assert_changes(example, [vars(change) for change in outcome.changes])


@pytest.mark.parametrize("example", ACCOUNT_EXAMPLES, ids=by_rule)
def test_the_engine_computes_the_example_of_an_account(example: Example) -> None:
    case = case_of(example)
    result = computed_by_the_engine(case)

    trades = result.trades.to_dict("records")
    for trade in trades:
        opens = case.candles[trade["symbol"]].to_frame()["timestamp"]
        trade["entry_bar"] = int(opens.searchsorted(trade["entry_time"]))
        trade["exit_bar"] = int(opens.searchsorted(trade["exit_time"]))
    assert_trades(example, trades)
    assert result.equity["equity"].tolist() == pytest.approx(example["equity"], rel=1e-12)
    if "cash" in example:
        assert result.equity["cash"].tolist() == pytest.approx(example["cash"], rel=1e-12)
    assert result.positions is not None
    assert_changes(example, result.positions.to_dict("records"))


def assert_trades(example: Example, trades: Sequence[Mapping[Any, Any]]) -> None:
    assert len(trades) == len(example["trades"])
    ordered = sorted(trades, key=lambda trade: (trade["symbol"], trade["entry_bar"]))
    for trade, expected in zip(ordered, example["trades"], strict=True):
        assert {name: trade[name] for name in expected} == approximately(expected)


def assert_changes(example: Example, changes: Sequence[Mapping[Any, Any]]) -> None:
    """Compares what an example says of each change of a position, as far as the change has it."""
    if "positions" not in example:
        return
    assert len(changes) == len(example["positions"])
    for change, said in zip(changes, example["positions"], strict=True):
        expected = {name: value for name, value in said.items() if name in change}
        assert {name: change[name] for name in expected} == approximately(expected)
