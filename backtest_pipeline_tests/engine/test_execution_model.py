"""The worked examples of docs/execution-model.md, computed by both simulators."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.reference_simulator import Bar, ReferenceSimulator
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES, play, signals_at

DOCUMENT = Path(__file__).parents[2] / "docs" / "execution-model.md"
EXAMPLES: list[dict[str, Any]] = [
    json.loads(block) for block in re.findall(r"```json example\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
]


def by_rule(example: dict[str, Any]) -> str:
    return str(example["rule"])


def test_the_document_has_an_example_for_each_group_of_rules() -> None:
    assert len(EXAMPLES) >= 18


@pytest.mark.parametrize("example", EXAMPLES, ids=by_rule)
def test_the_engine_computes_the_example(example: dict[str, Any]) -> None:
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


@pytest.mark.parametrize("example", EXAMPLES, ids=by_rule)
def test_the_reference_computes_the_example(example: dict[str, Any]) -> None:
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


def approximately(expected: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str) else pytest.approx(value, rel=1e-12)
        for name, value in expected.items()
    }
