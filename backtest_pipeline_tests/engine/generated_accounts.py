"""Random cases for shared accounts that mix everything: the same seed makes the same case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.market_days import grid_slots
from backtest_pipeline.model.portfolio_strategy import Weights
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe
from backtest_pipeline_tests.engine.account_cases import AccountCase, Funding
from backtest_pipeline_tests.engine.generated import STYLES, generated_rows

NAMES = ("AAA", "BTC", "CCC", "ETH", "KRX", "ZZZ")
OPEN_HOURS = (0.0, 0.0, 5.0, 14.5, -9.0)
FINER: dict[Timeframe, tuple[Timeframe, ...]] = {"1w": ("1d",), "1d": ("4h", "1h"), "1h": ("15m", "30m")}
FIRST_DAY = np.datetime64("2023-12-28", "us")

Rng = np.random.Generator


def generated_case(seed: int) -> AccountCase:
    """The case of a seed."""
    rng = np.random.default_rng(seed)
    timeframe: Timeframe = _one_of(rng, ("1d", "1d", "1d", "1h", "1w"))
    symbols = rng.permutation(NAMES)[: _one_of(rng, (1, 1, 2, 2, 3, 4, 6))].tolist()
    is_portfolio = bool(rng.random() < 0.25)
    request = BacktestRequest(**_request_fields(rng, timeframe, symbols, is_portfolio=is_portfolio))
    if request.initial_cash > 1e6:  # beyond 1e12 steps one step is within the tolerance
        request = request.model_copy(update={"quantity_step": 0.0})
    scale, bars = _one_of(rng, (1.0,) * 12 + (1e-7, 1e9)), int(rng.integers(1, 45))
    if request.quantity_step:
        scale = 1.0
    is_aligned, style = bool(rng.random() < 0.6), _one_of(rng, STYLES)
    candles, details = {}, {}
    for symbol in symbols:
        opens = _opens(rng, timeframe, bars, is_aligned=is_aligned)
        own_style = style if rng.random() < 0.7 else _one_of(rng, STYLES)
        candles[symbol] = _candles(
            symbol, timeframe, opens, generated_rows(rng, len(opens), own_style, scale)
        )
        if request.detail_timeframe is not None and rng.random() < 0.9:
            candles[symbol], details[symbol] = _with_details(rng, candles[symbol], request.detail_timeframe)
    return AccountCase(
        request,
        candles,
        {} if is_portfolio else {symbol: _signals(rng, candles[symbol], request) for symbol in symbols},
        _weights(rng, request, candles) if is_portfolio else None,
        details,
        {symbol: _funding(rng, candles[symbol]) for symbol in symbols if rng.random() < 0.8},
    )


def _one_of(rng: Rng, values: Sequence[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def _request_fields(
    rng: Rng, timeframe: Timeframe, symbols: list[str], *, is_portfolio: bool
) -> dict[str, Any]:
    direction = _one_of(rng, ("long", "short", "both", "both", "both"))
    leverage = _one_of(rng, (1.0, 1.0, 1.0, 1.5, 2.0, 5.0, 10.0))
    margin = _one_of(rng, (0.5, 0.25, 0.1)) / leverage if leverage > 1 or rng.random() < 0.1 else None
    sizing = _one_of(rng, ("fraction", "fraction", "slots", "risk", "volatility"))
    max_positions = _one_of(rng, (None, 1, 2, 3))
    trailing = _one_of(rng, (None, None, 0.25, 0.1, 0.05))
    fields: dict[str, Any] = {
        "strategy": "scripted",
        "symbols": tuple(symbols),
        "timeframe": timeframe,
        "account": "shared",
        "calendar": "24/7",
        "direction": direction,
        "initial_cash": _one_of(rng, (1_000.0, 1_000.0, 10_000.0, 0.37, 1e12)),
        "fee_bps": _one_of(rng, (0.0, 0.0, 10.0, 10.0, 1_000.0)),
        "fee_fixed": _one_of(rng, (0.0, 0.0, 0.0, 1.0, 50.0)),
        "slippage_bps": _one_of(rng, (0.0, 0.0, 25.0, 25.0, 2_500.0)),
        "fill": _one_of(rng, ("next_open", "next_open", "close")),
        "position_frac": _one_of(rng, (1.0, 0.5, 0.3, 0.1)) * _one_of(rng, (1.0, leverage)),
        "quantity_step": _one_of(rng, (0.0, 0.0, 0.0, 1.0, 0.1)),
        "stop_loss_frac": _one_of(rng, (None, None, 0.25, 0.1, 0.05)),
        "take_profit_frac": _one_of(rng, (None, None, 0.25, 0.1, 0.05)),
        "trailing_stop_frac": trailing,
        "max_hold_bars": _one_of(rng, (None, None, 1, 3, 8)),
        "on_conflict": _one_of(rng, ("exit", "exit", "ignore")),
        "take_profit_steps": _one_of(rng, ((), (), ((0, 0.25), (2, 0.1), (4, 0.0)), ((3, 0.05),))),
        "max_positions": max_positions,
        "sizing": "fraction" if sizing == "slots" and max_positions is None else sizing,
        "leverage": leverage,
        "maintenance_margin_frac": margin,
        "borrow_apr": _one_of(rng, (0.0, 0.0, 0.05, 0.5)),
        "funding": bool(rng.random() < 0.4),
        "max_entries": _one_of(rng, (1, 1, 2, 3)),
        "good_for_bars": _one_of(rng, (1, 2, 5)),
        "limit_fills_on_touch": bool(rng.random() < 0.4),
        "detail_timeframe": _one_of(rng, FINER[timeframe]) if rng.random() < 0.25 else None,
    }
    if trailing is not None:
        fields["trailing_activation_frac"] = _one_of(rng, (None, None, 0.1, 0.25))
        fields["same_bar_trail"] = _one_of(rng, ("proven", "pessimistic"))
    if fields["sizing"] == "risk":
        fields["risk_frac"] = _one_of(rng, (0.01, 0.05, 0.3))
        if rng.random() < 0.7:
            fields["stop_loss_frac"] = fields["stop_loss_frac"] or 0.1
    if fields["sizing"] == "volatility":
        fields["target_volatility"] = _one_of(rng, (0.05, 0.2, 0.6))
    if leverage == 1 and margin is None and rng.random() < 0.05:
        fields["fee_bps"] = 12_000.0
    return fields


def _opens(rng: Rng, timeframe: Timeframe, bars: int, *, is_aligned: bool) -> NDArray[np.datetime64]:
    """Opens of a symbol's bars: some late, some missing, at the market's own hour."""
    length_s = BAR_SECONDS[timeframe]
    places = np.arange(bars)
    if not is_aligned:
        places = places[int(rng.integers(0, 1 + bars // 3)) :]
        places = places[: len(places) - int(rng.integers(0, 1 + len(places) // 3))]
        kept = rng.random(len(places)) >= _one_of(rng, (0.0, 0.1, 0.4))
        kept[int(rng.integers(len(places)))] = True
        places = places[kept]
    offset_s = 0.0 if is_aligned or timeframe == "1h" else _one_of(rng, OPEN_HOURS) * 3_600
    opens: NDArray[np.datetime64] = FIRST_DAY + (places * length_s + int(offset_s)).astype("timedelta64[s]")
    return opens


def _candles(
    symbol: str, timeframe: Timeframe, opens: NDArray[np.datetime64], rows: NDArray[np.float64]
) -> Candles:
    columns: dict[str, NDArray[Any]] = {"timestamp": opens, "volume": np.full(len(opens), 1_000.0)}
    columns |= {name: rows[:, column] for column, name in enumerate(("open", "high", "low", "close"))}
    return Candles.from_arrays(symbol, timeframe, columns)


def _with_details(rng: Rng, candles: Candles, finer: Timeframe) -> tuple[Candles, Candles]:
    """Finer candles for most bars, and the bars that they make together; a few bars say something else."""
    rows = np.column_stack([candles.open, candles.high, candles.low, candles.close])
    opens, parts = [], []
    count = BAR_SECONDS[candles.timeframe] // BAR_SECONDS[finer]
    for number, begin in enumerate(candles.timestamp):
        if rng.random() < 0.15:
            continue
        own = generated_rows(rng, count, _one_of(rng, STYLES), 1.0) / 100.0 * rows[number, 0]
        kept = np.flatnonzero(rng.random(count) >= _one_of(rng, (0.0, 0.0, 0.3)))
        if not len(kept):
            continue
        own = own[kept]
        if rng.random() < 0.95:
            rows[number] = own[0, 0], own[:, 1].max(), own[:, 2].min(), own[-1, 3]
        opens += (begin + kept * np.timedelta64(BAR_SECONDS[finer], "s")).tolist()
        parts.append(own)
    together = _candles(candles.symbol, candles.timeframe, candles.timestamp, rows)
    moments = np.array(opens, dtype="datetime64[us]")
    return together, _candles(candles.symbol, finer, moments, np.concatenate([np.empty((0, 4)), *parts]))


def _signals(rng: Rng, candles: Candles, request: BacktestRequest) -> Signals:
    bars, density = len(candles), _one_of(rng, (0.1, 0.3, 0.6))
    arrays: dict[str, Any] = {
        name: rng.random(bars) < density * share
        for name, share in (("entry", 1), ("exit", 0.5), ("short_entry", 1), ("short_exit", 0.5))
    }
    if rng.random() < 0.6:
        arrays["confidence"] = rng.choice([0.0, 0.5, 0.5, 1.0], bars)

    def prices(density: float) -> NDArray[np.float64]:
        """Of the bar's own prices, or shares of its close, so that levels are often touched exactly."""
        shares = rng.choice([0.75, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25], bars)
        own = np.choose(rng.integers(3, size=bars), [candles.high, candles.low, candles.close])
        values = np.where(rng.random(bars) < 0.6, candles.close * shares, own)
        return np.where(rng.random(bars) < density, values, np.nan)

    if rng.random() < 0.5:
        for side in ("", "short_"):
            limit, stop = prices(_one_of(rng, (0.1, 0.4))), prices(_one_of(rng, (0.1, 0.4)))
            arrays[f"{side}entry_limit"] = limit
            arrays[f"{side}entry_stop"] = np.where(np.isnan(limit), stop, np.nan)
    if rng.random() < 0.3:
        arrays["stop_price"] = prices(0.5)
    if rng.random() < 0.3:
        arrays["target_price"] = prices(0.5)
    if rng.random() < 0.3:
        sizes = rng.choice([0.1, 0.5, 1.0, 3.0], bars)
        arrays["size_frac"] = np.where(rng.random(bars) < 0.5, sizes, np.nan)
    return Signals(**arrays)


def _weights(rng: Rng, request: BacktestRequest, candles: dict[str, Candles]) -> Weights:
    """Weights whose absolute values add up to the leverage at most."""
    slots = [grid_slots(candles[symbol].timestamp, request.timeframe) for symbol in request.symbols]
    shape = len(np.unique(np.concatenate(slots))), len(slots)
    drawn = rng.choice([0.0, 0.0, 1.0, 1.0, 2.0, 3.0], shape)
    if request.direction != "long":
        drawn *= rng.choice([-1.0, 1.0] if request.direction == "both" else [-1.0], shape)
    total = np.maximum(np.abs(drawn).sum(axis=1, keepdims=True), 1.0)
    drawn *= _one_of(rng, (1.0, 1.0, 0.5)) * request.leverage * (1 - 2.0**-40) / total
    drawn[rng.random(shape) < _one_of(rng, (0.0, 0.2, 0.7))] = np.nan
    if rng.random() < 0.3:
        drawn[: shape[0] // 3] = np.nan
    return Weights(
        drawn,
        _one_of(rng, ("bar", "bar", "daily", "weekly", "monthly")),
        _one_of(rng, (0.0, 0.0, 0.02, 0.2)),
    )


def _funding(rng: Rng, candles: Candles) -> Funding:
    """A rate every eight hours of daily bars, every quarter of others; some at a bar's open, some not."""
    length = np.timedelta64(BAR_SECONDS[candles.timeframe] // 4, "s")
    if candles.timeframe == "1d":
        length = np.timedelta64(8 * 3_600, "s")
    moments = np.arange(candles.timestamp[0], candles.timestamp[-1] + 4 * length, length)
    moments = moments + np.timedelta64(int(_one_of(rng, (0, 0, 60))), "s")
    moments = moments[rng.random(len(moments)) < 0.7].astype("datetime64[us]")
    return moments, rng.choice([0.0001, 0.0001, -0.0003, 0.02, -0.05], len(moments))
