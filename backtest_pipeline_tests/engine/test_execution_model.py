"""The worked examples of docs/execution-model.md, computed by the engine and by the slow simulators."""

from __future__ import annotations

from typing import Any

import pytest

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.account_cases import simulated
from backtest_pipeline_tests.engine.account_examples import (
    ACCOUNT_EXAMPLES,
    FIRST_EXAMPLES,
    Example,
    approximately,
    by_rule,
    case_of,
)
from backtest_pipeline_tests.engine.reference_simulator import Bar, ReferenceSimulator
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES, play, signals_at


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


@pytest.mark.parametrize("example", [*FIRST_EXAMPLES, *ACCOUNT_EXAMPLES], ids=by_rule)
def test_the_reference_of_shared_accounts_computes_the_example(example: Example) -> None:
    outcome = simulated(case_of(example))

    expected_trades = example["trades"]
    assert len(outcome.trades) == len(expected_trades)
    ordered = sorted(outcome.trades, key=lambda trade: (trade.symbol, trade.entry_bar))
    for trade, expected in zip(ordered, expected_trades, strict=True):
        assert {name: getattr(trade, name) for name in expected} == approximately(expected)
    assert outcome.of_rows(outcome.equity) == pytest.approx(example["equity"], rel=1e-12)
    if "cash" in example:
        assert outcome.of_rows(outcome.cash) == pytest.approx(example["cash"], rel=1e-12)
    if "skipped" in example:
        assert dict(outcome.skipped) == example["skipped"]
    if "positions" in example:
        changes: list[dict[str, Any]] = [vars(change) for change in outcome.changes]
        assert len(changes) == len(example["positions"])
        for change, expected in zip(changes, example["positions"], strict=True):
            assert {name: change[name] for name in expected} == approximately(expected)
