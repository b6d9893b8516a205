"""Orders of the slow simulator: which are placed at a close, and which a bar fills, at what price."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline_tests.engine.reference_holdings import TOLERANCE, Candle, Holding, Order

SIDES = {1: "long", -1: "short"}


def _reached(price: float, wanted: float, *, is_below: bool) -> bool:
    """Whether a price lies at an order's price, or beyond it, within the tolerance."""
    return price <= wanted * (1 + TOLERANCE) if is_below else price >= wanted * (1 - TOLERANCE)


def _passed(price: float, wanted: float, *, is_below: bool) -> bool:
    """Whether a price lies beyond an order's price by more than the tolerance."""
    return price < wanted * (1 - TOLERANCE) if is_below else price > wanted * (1 + TOLERANCE)


def is_filled_by(order: Order, price: float, request: BacktestRequest) -> bool:
    assert order.price is not None
    test = _passed if order.is_limit and not request.limit_fills_on_touch else _reached
    return test(price, order.price, is_below=order.is_below)


@dataclass(frozen=True)
class Fill:
    """An order that a candle fills: at its open, or at the order's price."""

    order: Order
    raw: float
    is_at_open: bool


def filled_inside(order: Order, candle: Candle, request: BacktestRequest) -> Fill | None:
    assert order.price is not None
    if is_filled_by(order, candle.open, request):
        return Fill(order, candle.open, is_at_open=True)
    furthest = candle.low if order.is_below else candle.high
    if not is_filled_by(order, furthest, request):
        return None
    raw = max(order.price, furthest) if order.is_below else min(order.price, furthest)
    return Fill(order, raw, is_at_open=False)


def first_filled(pending: dict[int, Order], candle: Candle, request: BacktestRequest) -> Fill | None:
    """Of both sides' orders, the one that a candle fills nearer to its open; of two as near, the long."""

    def distance(fill: Fill) -> float:
        assert fill.order.price is not None
        return -1.0 if fill.is_at_open else abs(fill.order.price - candle.open)

    both = [filled_inside(pending[side], candle, request) for side in (1, -1) if side in pending]
    return min((fill for fill in both if fill is not None), key=distance, default=None)


@dataclass(frozen=True)
class Decision:
    """What the signals of a bar ask for, beside the orders that they place and withdraw."""

    exit_reason: str | None = None
    entry: Order | None = None


def ordered(symbol: str, signals: Signals, bar: int, side: int) -> Order | None:
    """The entry that a bar's signals ask for to one side, whatever the account holds."""
    name = "entry" if side > 0 else "short_entry"
    limit, stop = _at(signals, f"{name}_limit", bar), _at(signals, f"{name}_stop", bar)
    flags = getattr(signals, name)
    if limit is None and stop is None and not (flags is not None and flags[bar]):
        return None
    confidence = 1.0 if signals.confidence is None else float(signals.confidence[bar])
    kind = "limit" if limit is not None else "stop" if stop is not None else "market"
    return Order(
        symbol,
        side,
        kind,
        limit if limit is not None else stop,
        bar,
        confidence,
        _at(signals, "stop_price", bar),
        _at(signals, "target_price", bar),
        _at(signals, "size_frac", bar),
    )


def decide(
    symbol: str,
    signals: Signals,
    bar: int,
    holding: Holding | None,
    pending: dict[int, Order],
    request: BacktestRequest,
    max_hold_bars: int | None,
) -> Decision:
    """Reads the signals at a close, places and withdraws pending orders, and says what else to do."""
    wanted, leaving = _wishes(symbol, signals, bar, request)
    for side in leaving:
        pending.pop(side, None)
    if holding is None:
        return Decision(None, _placed(wanted, pending))

    other = wanted.get(-holding.side)
    if other is not None and other.kind == "market":
        pending.pop(other.side, None)
        return Decision("signal", other)
    leaves_at = bar if request.fill == "close" else bar + 1
    reason = None
    if holding.side in leaving:
        reason = "signal"
    elif max_hold_bars and leaves_at >= holding.bar + max_hold_bars:
        reason = "max_hold"
    if reason is not None or holding.entries >= request.max_entries:
        wanted.pop(holding.side, None)
    return Decision(reason, _placed(wanted, pending))


def _wishes(
    symbol: str, signals: Signals, bar: int, request: BacktestRequest
) -> tuple[dict[int, Order], set[int]]:
    """The sides that a bar's signals want to enter, and those that they want to leave."""
    wanted, leaving = {}, set()
    for side, name in SIDES.items():
        if request.direction not in {name, "both"}:
            continue
        order = ordered(symbol, signals, bar, side)
        flags = signals.exit if side > 0 else signals.short_exit
        leave = flags is not None and bool(flags[bar])
        if leave and order is not None and request.on_conflict == "ignore":
            continue
        if order is not None:
            wanted[side] = order
        if leave:
            leaving.add(side)
    return wanted, leaving


def _placed(wanted: dict[int, Order], pending: dict[int, Order]) -> Order | None:
    """Makes orders with a price pending in the place of older ones; returns a market order.

    A market order and an order to the other side contradict each other.
    """
    market = [order for order in wanted.values() if order.kind == "market"]
    if market and len(wanted) == 2:
        return None
    for side, order in wanted.items():
        pending.pop(side, None)
        if order.kind != "market":
            pending[side] = order
    return market[0] if market else None


def _at(signals: Signals, name: str, bar: int) -> float | None:
    values = getattr(signals, name)
    return None if values is None or math.isnan(values[bar]) else float(values[bar])
