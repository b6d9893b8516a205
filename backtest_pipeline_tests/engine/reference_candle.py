"""What the slow simulator does inside a bar, or inside each finer candle that takes a bar's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from backtest_pipeline_tests.engine import reference_margins as margins
from backtest_pipeline_tests.engine.reference_holdings import (
    Candle,
    Holding,
    Order,
    stop_of,
    target_of,
    trailing_stop_of,
)
from backtest_pipeline_tests.engine.reference_orders import Fill, first_filled

if TYPE_CHECKING:
    from backtest_pipeline_tests.engine.reference_account import ReferenceAccount


class CandleMeeting:
    """Positions and pending orders of some symbols meet a candle of each, all of the same time.

    Attributes:
        done: symbols whose orders it fills no more: one was filled, or the position was closed inside.
        is_liquidated: whether a position has reached the price at which all of them are liquidated.
    """

    def __init__(self, account: ReferenceAccount, candles: Mapping[str, Candle]) -> None:
        self.account, self.book, self.request = account, account.book, account.request
        self.candles = {symbol: candles[symbol] for symbol in sorted(candles)}
        self.done: set[str] = set()
        self.is_liquidated = False

    def run(self) -> bool:
        """Returns whether the account lives on."""
        for symbol, candle in self.candles.items():
            self.book.price[symbol] = candle.open
            if symbol in self.book.held:
                self.book.held[symbol].see(candle.open)
        for holding in self.book.holdings():
            margins.measure_liquidation(self.book, holding)
        in_line = [fill for symbol in self.candles if (fill := self.meet(symbol)) is not None]
        for fill in in_line:
            del self.account.at[fill.order.symbol].pending[fill.order.side]
            self.done.add(fill.order.symbol)
        if not self.is_liquidated:
            made = self.account.compete([(fill.order, fill.raw) for fill in in_line])
            for fill in in_line:
                if not self.is_liquidated:
                    self.meet_the_rest(fill, is_made=fill.order in made)
        if self.is_liquidated:
            margins.liquidate_all(self.book)
        return not self.is_liquidated

    def meet(self, symbol: str) -> Fill | None:
        """Lets a position meet the candle, up to the order that the candle fills first, which is returned."""
        candle, holding = self.candles[symbol], self.book.held.get(symbol)
        fill = None
        if symbol not in self.done:
            fill = first_filled(self.account.at[symbol].pending, candle, self.request)
        if holding is None:
            return fill
        found = self.exit_before(holding, candle, fill)
        if found is not None:
            self.leave(holding, *found)
            return None
        if fill is not None:
            if fill.order.side != holding.side:
                self.book.leave(holding, fill.raw, "signal", limit=fill.order.is_limit)
            return fill
        holding.see(candle.high if holding.side > 0 else candle.low)
        self.leave_or_live(holding, candle)
        return None

    def exit_before(self, holding: Holding, candle: Candle, fill: Fill | None) -> tuple[float, str] | None:
        """The exit by rules 1 to 4, where it goes before the order that the candle fills."""
        side, bar = holding.side, self.book.bar[holding.symbol]
        stop, target = stop_of(holding, self.request), target_of(holding, self.request, bar)
        if side * candle.open <= side * stop.reached_at:
            return candle.open, stop.reason
        if side * candle.open >= side * target.reached_at:
            return candle.open, "take_profit"
        worst, best = (candle.low, candle.high) if side > 0 else (candle.high, candle.low)
        stopped, reached = side * worst <= side * stop.reached_at, side * best >= side * target.reached_at
        at_stop = side * max(side * worst, side * stop.price)
        at_target = side * min(side * best, side * target.price)
        stops = stopped and (
            fill is None or not self.goes_before(fill, at_stop, holding, candle, is_stop=True)
        )
        reaches = reached and (
            fill is None or not self.goes_before(fill, at_target, holding, candle, is_stop=False)
        )
        if stops:
            return at_stop, stop.reason
        return (at_target, "take_profit") if reaches else None

    @staticmethod
    def goes_before(fill: Fill, level: float, holding: Holding, candle: Candle, *, is_stop: bool) -> bool:
        """Whether an order that the candle fills goes before a level that it reaches as well."""
        side = holding.side
        is_towards_stop = side * fill.raw < side * candle.open
        if fill.is_at_open:
            return True
        if is_stop:
            return is_towards_stop and side * fill.raw > side * level
        return is_towards_stop or side * fill.raw < side * level

    def leave_or_live(self, holding: Holding, candle: Candle) -> None:
        """Rule 5, with the best price of the candle seen: what its close, or its worst price, has crossed."""
        side, stop = holding.side, trailing_stop_of(holding, self.request)
        worst = candle.low if side > 0 else candle.high
        compared = [candle.close]
        if self.request.same_bar_trail == "pessimistic":
            compared.append(worst)
        for price in compared:
            if stop is not None and side * price <= side * stop.reached_at:
                self.leave(holding, side * max(side * price, side * stop.price), stop.reason)
                return
        holding.see(candle.high, candle.low)

    def leave(self, holding: Holding, raw: float, reason: str) -> None:
        self.done.add(holding.symbol)
        self.is_liquidated |= reason == "liquidation" and holding.liquidates_all
        self.book.leave(holding, raw, reason)

    def meet_the_rest(self, fill: Fill, *, is_made: bool) -> None:
        """After the entries: a position that its symbol has now meets what came, or may have come, later."""
        symbol = fill.order.symbol
        holding = self.book.held.get(symbol)
        if holding is None:
            return
        if is_made and not fill.is_at_open:
            self.meet_after_entry(holding, fill.order, fill.raw)
        else:
            holding.see(self.candles[symbol].open)
            self.meet(symbol)

    def meet_after_entry(self, holding: Holding, order: Order, raw: float) -> None:
        candle, side = self.candles[order.symbol], holding.side
        worst, best = (candle.low, candle.high) if side > 0 else (candle.high, candle.low)
        stop = stop_of(holding, self.request)
        target = target_of(holding, self.request, self.book.bar[order.symbol])
        compared = candle.close if order.is_limit else best
        if side * worst <= side * stop.reached_at:
            price = min(side * stop.price, side * raw)
            self.leave(holding, side * max(price, side * worst), stop.reason)
        elif side * compared >= side * target.reached_at:
            price = max(side * target.price, side * raw)
            self.leave(holding, side * min(price, side * best), "take_profit")
        elif order.is_limit:
            holding.see(worst, candle.close)
        else:
            holding.see(best)
            self.leave_or_live(holding, candle)
