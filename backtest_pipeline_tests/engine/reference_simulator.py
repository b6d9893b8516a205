"""A second simulator, slow and obvious, written from docs/execution-model.md one sentence after the other.

It shares no code with the engine and thinks in plain Python floats, one bar at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from backtest_pipeline.model.request import BacktestRequest


@dataclass
class Bar:
    open: float
    high: float
    low: float
    close: float
    entry: bool = False
    exit: bool = False
    short_entry: bool = False
    short_exit: bool = False


@dataclass
class Level:
    price: float
    reached_at: float  # short of the level by 1e-12 of the higher of level and base, for rounding
    reason: str

    @classmethod
    def below(cls, base: float, frac: float, reason: str) -> Level:
        return cls(base * (1 - frac), base * (1 - frac + 1e-12), reason)

    @classmethod
    def above(cls, base: float, frac: float, reason: str) -> Level:
        return cls(base * (1 + frac), base * (1 + frac) * (1 - 1e-12), reason)


@dataclass
class Position:
    side: str
    quantity: float
    bar: int
    price: float
    fee: float
    slippage_cost: float
    liquidation_price: float
    seen: list[float] = field(default_factory=list)


@dataclass
class Trade:
    side: str
    quantity: float
    entry_bar: int
    entry_price: float
    exit_bar: int
    exit_price: float
    fees: float
    slippage_cost: float
    pnl: float
    return_frac: float
    bars_held: int
    exit_reason: str
    mae_frac: float
    mfe_frac: float


@dataclass
class Outcome:
    trades: list[Trade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    cash: list[float] = field(default_factory=list)
    gross: list[float] = field(default_factory=list)
    skipped_entries: int = 0


class ReferenceSimulator:
    def __init__(self, request: BacktestRequest, cash: float, max_hold_bars: int | None) -> None:
        self.request = request
        self.cash = cash
        self.max_hold_bars = max_hold_bars
        self.fee_rate = request.fee_bps / 10_000
        self.slippage = request.slippage_bps / 10_000
        self.position: Position | None = None
        self.outcome = Outcome()

    def run(self, bars: Sequence[Bar]) -> Outcome:
        exit_order: str | None = None
        entry_order: str | None = None
        for number, bar in enumerate(bars):
            if exit_order:
                assert self.position is not None
                self.position.seen.append(bar.open)
                self.leave(number, bar.open, exit_order)
            if entry_order:
                self.enter(number, bar.open, entry_order)
            exit_order = entry_order = None

            self.inside(number, bar)

            exit_order, entry_order = self.decide(number, bar)
            if self.request.fill == "close":
                if exit_order:
                    self.leave(number, bar.close, exit_order)
                if entry_order:
                    self.enter(number, bar.close, entry_order)
                exit_order = entry_order = None
            self.mark(bar)
        if self.position is not None:
            self.list_trade(len(bars) - 1, bars[-1].close, self.position.fee, "end_of_data")
        return self.outcome

    def fee(self, notional: float) -> float:
        return notional * self.fee_rate + self.request.fee_fixed

    def enter(self, number: int, raw: float, side: str) -> None:
        price = raw * (1 + self.slippage) if side == "long" else raw * (1 - self.slippage)
        quantity = self.affordable(price, side)
        if quantity <= 0:
            self.outcome.skipped_entries += 1
            return
        notional = quantity * price
        fee = self.fee(notional)
        liquidation_price = math.inf
        if side == "short":
            after = self.cash + (notional - fee)
            liquidation_price = (after - self.request.fee_fixed) / (quantity * (1 + self.fee_rate))
            if liquidation_price * (1 - 1e-12) <= raw:
                self.outcome.skipped_entries += 1
                return
            self.cash = after
        else:
            self.cash -= notional + fee
        slippage_cost = abs(price - raw) * quantity
        self.position = Position(
            side, quantity, number, price, fee, slippage_cost, liquidation_price, seen=[price]
        )

    def affordable(self, price: float, side: str) -> float:
        request = self.request
        quantity = (self.cash * request.position_frac - request.fee_fixed) / (price * (1 + self.fee_rate))
        if quantity <= 0 or math.isinf(quantity):
            return 0.0
        steps = 0.0
        if request.quantity_step:
            steps = float(math.floor(quantity / request.quantity_step * (1 + 1e-12)))
            quantity = steps * request.quantity_step
        factor = 2.0**-53
        while side == "long" and quantity * price + self.fee(quantity * price) > self.cash:
            if request.quantity_step:
                steps = float(math.floor(steps - max(1.0, steps * factor)))
                quantity = steps * request.quantity_step
            else:
                quantity *= 1 - factor
            factor *= 2
        return quantity

    def leave(self, number: int, raw: float, reason: str) -> None:
        position = self.position
        assert position is not None
        price = raw
        if reason in {"signal", "max_hold", "stop_loss", "trailing_stop"}:
            price = raw * (1 - self.slippage) if position.side == "long" else raw * (1 + self.slippage)
        if reason == "liquidation" or price >= position.liquidation_price * (1 - 1e-12):
            reason = "liquidation"
            if price > position.liquidation_price * (1 + 1e-12):
                price = position.liquidation_price
            raw = price
        fee = self.fee(position.quantity * price)
        if reason == "liquidation":
            self.cash = 0.0
        else:
            worth = position.quantity * price
            before_fee = self.cash + worth if position.side == "long" else self.cash - worth
            fee = min(fee, before_fee)
            self.cash = before_fee - fee
        position.slippage_cost += abs(price - raw) * position.quantity
        position.seen.append(price)
        self.list_trade(number, price, position.fee + fee, reason)
        self.position = None

    def inside(self, number: int, bar: Bar) -> None:
        position = self.position
        if position is None:
            return
        position.seen.append(bar.open)
        find = self.long_exit if position.side == "long" else self.short_exit
        found = find(position, bar)
        if found is None:
            position.seen.append(bar.high if position.side == "long" else bar.low)
            found = self.exit_before_close(position, bar)
        if found is None:
            position.seen += [bar.high, bar.low]
        else:
            self.leave(number, found[0], found[1])

    def long_exit(self, position: Position, bar: Bar) -> tuple[float, str] | None:
        request = self.request
        stop = Level(-math.inf, -math.inf, "stop_loss")
        if request.stop_loss_frac:
            stop = Level.below(position.price, request.stop_loss_frac, "stop_loss")
        if request.trailing_stop_frac:
            trailing = Level.below(max(position.seen), request.trailing_stop_frac, "trailing_stop")
            if not trailing.price <= stop.reached_at:
                stop = trailing
        target = Level(math.inf, math.inf, "take_profit")
        if request.take_profit_frac:
            target = Level.above(position.price, request.take_profit_frac, "take_profit")
        if bar.open <= stop.reached_at:
            return bar.open, stop.reason
        if bar.open >= target.reached_at:
            return bar.open, "take_profit"
        if bar.low <= stop.reached_at:
            return max(bar.low, stop.price), stop.reason
        if bar.high >= target.reached_at:
            return min(bar.high, target.price), "take_profit"
        return None

    def short_exit(self, position: Position, bar: Bar) -> tuple[float, str] | None:
        request = self.request
        stop = Level(math.inf, math.inf, "stop_loss")
        if request.stop_loss_frac:
            stop = Level.above(position.price, request.stop_loss_frac, "stop_loss")
        if request.trailing_stop_frac:
            trailing = Level.above(min(position.seen), request.trailing_stop_frac, "trailing_stop")
            if not trailing.price >= stop.reached_at:
                stop = trailing
        liquidation = Level.above(position.liquidation_price, 0, "liquidation")
        if not liquidation.price >= stop.reached_at:
            stop = liquidation
        target = Level(-math.inf, -math.inf, "take_profit")
        if request.take_profit_frac:
            target = Level.below(position.price, request.take_profit_frac, "take_profit")
        if bar.open >= stop.reached_at:
            return bar.open, stop.reason
        if bar.open <= target.reached_at:
            return bar.open, "take_profit"
        if bar.high >= stop.reached_at:
            return min(bar.high, stop.price), stop.reason
        if bar.low <= target.reached_at:
            return max(bar.low, target.price), "take_profit"
        return None

    def exit_before_close(self, position: Position, bar: Bar) -> tuple[float, str] | None:
        frac = self.request.trailing_stop_frac
        if not frac:
            return None
        if position.side == "long":
            stop = Level.below(max(position.seen), frac, "trailing_stop")
            return (max(bar.close, stop.price), stop.reason) if bar.close <= stop.reached_at else None
        stop = Level.above(min(position.seen), frac, "trailing_stop")
        return (min(bar.close, stop.price), stop.reason) if bar.close >= stop.reached_at else None

    def decide(self, number: int, bar: Bar) -> tuple[str | None, str | None]:
        wishes = []
        if bar.entry and self.request.direction in {"long", "both"}:
            wishes.append("long")
        if bar.short_entry and self.request.direction in {"short", "both"}:
            wishes.append("short")
        if self.position is None:
            return None, wishes[0] if len(wishes) == 1 else None
        for other in wishes:
            if other != self.position.side:
                return "signal", other
        if bar.exit if self.position.side == "long" else bar.short_exit:
            return "signal", None
        leaves_at = number if self.request.fill == "close" else number + 1
        if self.max_hold_bars and leaves_at >= self.position.bar + self.max_hold_bars:
            return "max_hold", None
        return None, None

    def mark(self, bar: Bar) -> None:
        position = self.position
        value = position.quantity * bar.close if position else 0.0
        signed = -value if position and position.side == "short" else value
        self.outcome.cash.append(self.cash)
        self.outcome.gross.append(value)
        self.outcome.equity.append(self.cash + signed)

    def list_trade(self, number: int, price: float, fees: float, reason: str) -> None:
        position = self.position
        assert position is not None
        gain = price - position.price if position.side == "long" else position.price - price
        pnl = gain * position.quantity - fees
        highest, lowest = max(position.seen), min(position.seen)
        worst, best = (lowest, highest) if position.side == "long" else (highest, lowest)
        self.outcome.trades.append(
            Trade(
                side=position.side,
                quantity=position.quantity,
                entry_bar=position.bar,
                entry_price=position.price,
                exit_bar=number,
                exit_price=price,
                fees=fees,
                slippage_cost=position.slippage_cost,
                pnl=pnl,
                return_frac=pnl / (position.price * position.quantity),
                bars_held=number - position.bar,
                exit_reason=reason,
                mae_frac=abs(worst - position.price) / position.price,
                mfe_frac=abs(best - position.price) / position.price,
            )
        )
