"""The worked examples of docs/execution-model.md, and the second part's as cases for both simulators."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.portfolio_strategy import Weights
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.signal_checks import LEVELS
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe
from backtest_pipeline_tests.engine.account_cases import AccountCase
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES

DOCUMENT = Path(__file__).parents[2] / "docs" / "execution-model.md"
SECOND_PART = "# One account, orders and leverage"

Example = dict[str, Any]


def _read(text: str) -> list[Example]:
    return [json.loads(block) for block in re.findall(r"```json example\n(.*?)```", text, re.DOTALL)]


_first, _second = DOCUMENT.read_text("utf-8").split(SECOND_PART)
FIRST_EXAMPLES, ACCOUNT_EXAMPLES = _read(_first), _read(_second)


def by_rule(example: Example) -> str:
    return str(example["rule"])


def approximately(expected: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str) else pytest.approx(value, rel=1e-12)
        for name, value in expected.items()
    }


def case_of(example: Example) -> AccountCase:
    """An example as a case; what is given for a symbol alone is given for X."""
    bars = _by_symbol(example, "bars")
    request = BacktestRequest(
        **{
            "strategy": "scripted",
            "symbols": tuple(bars),
            "account": "shared",
            "calendar": "24/7",
            "initial_cash": 1_000,
            "fee_bps": 0,
            **example.get("request", {}),
        }
    )
    opens, details = _by_symbol(example, "opens"), _by_symbol(example, "details")
    candles = {
        symbol: _candles(symbol, request.timeframe, rows, opens.get(symbol)) for symbol, rows in bars.items()
    }
    finer = {}
    if request.detail_timeframe is not None:
        finer = {
            symbol: _candles(symbol, request.detail_timeframe, list(rows.values()), list(rows))
            for symbol, rows in details.items()
        }
    funding = {
        symbol: (_moments(list(rates)), np.array(list(rates.values()), dtype=np.float64))
        for symbol, rates in _by_symbol(example, "funding").items()
    }
    if "weights" not in example:
        signals = {symbol: _signals(example, symbol, len(rows)) for symbol, rows in bars.items()}
        return AccountCase(request, candles, signals, None, finer, funding)
    table = np.array(
        [[math.nan if one is None else one for one in row] for row in example["weights"]], np.float64
    )
    weights = Weights(table, example.get("rebalance", "bar"), example.get("drift_frac", 0.0))
    return AccountCase(request, candles, {}, weights, finer, funding)


def _by_symbol(example: Example, name: str) -> dict[str, Any]:
    """What an example says under a name, by symbol."""
    value = example.get(name, {})
    if isinstance(example["bars"], dict):
        assert isinstance(value, dict)
        return value
    return {"X": value} if name in example else {}


def _candles(symbol: str, timeframe: Timeframe, rows: list[list[float]], opens: list[str] | None) -> Candles:
    """Candles bar after bar from 2024-01-01 on, or with the opens that are given."""
    table = np.array(rows, dtype=np.float64)
    step = np.timedelta64(BAR_SECONDS[timeframe], "s")
    moments = np.datetime64("2024-01-01", "us") + np.arange(len(rows)) * step
    columns: dict[str, NDArray[Any]] = {
        "timestamp": moments if opens is None else _moments(opens),
        "volume": np.full(len(rows), 1_000.0),
    }
    columns |= {name: table[:, column] for column, name in enumerate(("open", "high", "low", "close"))}
    return Candles.from_arrays(symbol, timeframe, columns)


def _moments(texts: list[str]) -> NDArray[np.datetime64]:
    return np.array([np.datetime64(text, "us") for text in texts], dtype="datetime64[us]")


def _signals(example: Example, symbol: str, bars: int) -> Signals:
    arrays: dict[str, Any] = {}
    for name in SIGNAL_NAMES:
        arrays[name] = np.zeros(bars, dtype=np.bool_)
        arrays[name][_by_symbol(example, name).get(symbol, [])] = True
    for name in ("confidence", *LEVELS):
        given = _by_symbol(example, name).get(symbol)
        if given is not None:
            arrays[name] = np.full(bars, 1.0 if name == "confidence" else np.nan)
            for bar, value in given.items():
                arrays[name][int(bar)] = value
    return Signals(**arrays)
