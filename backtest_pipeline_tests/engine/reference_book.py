"""The slow simulator's money: one cash, positions, what they are worth, and how they are entered and left."""

from __future__ import annotations

from collections.abc import Iterable

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.reference_holdings import (
    TOLERANCE,
    AccountOutcome,
    AccountTrade,
    Change,
    Holding,
    Order,
)

MARKET_ORDERS = {"signal", "max_hold", "stop_loss", "trailing_stop"}


class Book:
    """One account. Symbols are gone through, and sums taken, in the alphabetical order of their names.

    Attributes:
        price: the market price of each symbol that has one.
        bar: number of each symbol's newest bar that has opened.
        held: the open positions by symbol.
    """

    def __init__(self, request: BacktestRequest, cash: float) -> None:
        self.request = request
        self.cash = cash
        self.fee_rate = request.fee_bps / 10_000
        self.slippage = request.slippage_bps / 10_000
        self.price: dict[str, float] = {}
        self.bar: dict[str, int] = {}
        self.held: dict[str, Holding] = {}
        self.outcome = AccountOutcome()

    def holdings(self, side: int = 0) -> list[Holding]:
        """Open positions in order; of one side, or of both."""
        return [self.held[name] for name in sorted(self.held) if side in {0, self.held[name].side}]

    def market_value(self, holding: Holding) -> float:
        return holding.quantity * self.price[holding.symbol]

    def value(self, holdings: Iterable[Holding] | None = None) -> float:
        total = 0.0
        for holding in self.holdings() if holdings is None else holdings:
            total += holding.side * self.market_value(holding)
        return total

    def gross(self, holdings: Iterable[Holding] | None = None) -> float:
        total = 0.0
        for holding in self.holdings() if holdings is None else holdings:
            total += self.market_value(holding)
        return total

    def equity(self) -> float:
        return self.cash + self.value()

    def room(self) -> float:
        if self.request.leverage == 1:
            return self.cash - 2 * self.gross(self.holdings(-1))
        return self.request.leverage * self.equity() - self.gross()

    def fee(self, notional: float) -> float:
        return notional * self.fee_rate + self.request.fee_fixed

    def price_that_empties(self, symbol: str, quantity: float, cash: float) -> float:
        """Liquidation price of a short at leverage 1, with the cash after its sale."""
        others = [holding for holding in self.holdings(-1) if holding.symbol != symbol]
        reserved = 0.0
        for other in others:
            reserved += self.market_value(other) * (1 + self.fee_rate)
        count = len(others) + 1
        return (cash - reserved - count * self.request.fee_fixed) / (quantity * (1 + self.fee_rate))

    def enter(self, order: Order, raw: float, fill: float, quantity: float) -> None:
        """Buys or sells short a quantity that the account can pay for, or adds it to the position."""
        self.price[order.symbol] = raw  # the newest that exists
        notional = quantity * fill
        fee = self.fee(notional)
        if order.side > 0:
            self.cash -= notional + fee
        else:
            self.cash += notional - fee
        slippage_cost = abs(fill - raw) * quantity
        holding = self.held.get(order.symbol)
        if holding is None:
            self.held[order.symbol] = Holding(
                order.symbol,
                order.side,
                quantity,
                self.bar[order.symbol],
                fill,
                fee,
                slippage_cost,
                highest=fill,
                lowest=fill,
                stop_price=order.stop_price,
                target_price=order.target_price,
            )
        else:
            together = holding.quantity + quantity
            holding.price = (holding.quantity * holding.price + quantity * fill) / together
            holding.quantity = together
            holding.fees += fee
            holding.slippage_cost += slippage_cost
            holding.entries += 1
            if order.stop_price is not None:
                holding.stop_price = order.stop_price
            if order.target_price is not None:
                holding.target_price = order.target_price
        self.note_change(order.symbol, raw)

    def leave(
        self,
        holding: Holding,
        raw: float,
        reason: str,
        *,
        limit: bool = False,
        slips: bool = False,
        left: float = 0.0,
    ) -> None:
        """Closes a position, or reduces it to what is left; liquidates it where there is too little cash."""
        fill = raw
        if slips or (reason in MARKET_ORDERS and not limit):
            fill = raw * (1 - holding.side * self.slippage)
        if self.request.leverage == 1 and holding.side < 0:
            self.buy_back(holding, raw, fill, reason, left)
            return
        if self.limits_loss and left == 0.0 and len(self.held) == 1:
            worth = holding.quantity * fill
            if self.cash + holding.side * worth - self.fee(worth) < 0:
                fill = raw = self.price_that_leaves_nothing(holding)
                self.settle(holding, raw, fill, "liquidation", whole_fee=True)
                self.cash = 0.0
                return
        self.settle(holding, raw, fill, reason, left)

    @property
    def limits_loss(self) -> bool:
        """Whether the last position could cost more than there is."""
        return self.request.leverage > 1 or self.request.maintenance_margin_frac is not None

    def price_that_leaves_nothing(self, holding: Holding) -> float:
        fixed = self.request.fee_fixed
        if holding.side > 0:
            return (fixed - self.cash) / (holding.quantity * (1 - self.fee_rate))
        return (self.cash - fixed) / (holding.quantity * (1 + self.fee_rate))

    def buy_back(self, holding: Holding, raw: float, fill: float, reason: str, left: float) -> None:
        """Closes a short at leverage 1, at most at its liquidation price."""
        most = self.price_that_empties(holding.symbol, holding.quantity, self.cash)
        if reason == "liquidation" or fill >= most * (1 - TOLERANCE):
            reason, left = "liquidation", 0.0
            if fill > most * (1 + TOLERANCE):
                fill = most
            raw = fill
        takes_all = (fill == most or fill >= most * (1 - TOLERANCE)) and len(self.holdings(-1)) == 1
        self.settle(holding, raw, fill, reason, left, whole_fee=takes_all)
        if takes_all:
            self.cash = 0.0

    def settle(
        self,
        holding: Holding,
        raw: float,
        fill: float,
        reason: str,
        left: float = 0.0,
        *,
        whole_fee: bool = False,
    ) -> None:
        """Takes or pays the price, and the fee as far as the account has it."""
        sold = holding.quantity - left
        before_fee = self.cash + holding.side * (sold * fill)
        share = sold / holding.quantity
        entry_fees, entry_slippage = holding.fees * share, holding.slippage_cost * share
        if left == 0.0:
            entry_fees, entry_slippage = holding.fees, holding.slippage_cost
            del self.held[holding.symbol]
        else:
            holding.quantity = left
            holding.fees -= entry_fees
            holding.slippage_cost -= entry_slippage
        fee = self.fee(sold * fill)
        if not whole_fee:
            most = before_fee + self.value()
            if self.request.leverage == 1:
                most = min(most, before_fee)
            fee = min(fee, max(most, 0.0))
        self.cash = before_fee - fee
        highest, lowest = max(holding.highest, fill), min(holding.lowest, fill)
        self.list_trade(
            holding,
            self.bar[holding.symbol],
            sold,
            fill,
            entry_fees + fee,
            entry_slippage + abs(fill - raw) * sold,
            (highest, lowest),
            reason,
        )
        self.note_change(holding.symbol, raw)

    def list_trade(
        self,
        holding: Holding,
        bar: int,
        quantity: float,
        price: float,
        fees: float,
        slippage_cost: float,
        seen: tuple[float, float],
        reason: str,
    ) -> None:
        side, entry_price, (highest, lowest) = holding.side, holding.price, seen
        pnl = side * (price - entry_price) * quantity - fees
        worst, best = (lowest, highest) if side > 0 else (highest, lowest)
        self.outcome.trades.append(
            AccountTrade(
                symbol=holding.symbol,
                side="long" if side > 0 else "short",
                quantity=quantity,
                entry_bar=holding.bar,
                entry_price=entry_price,
                exit_bar=bar,
                exit_price=price,
                fees=fees,
                slippage_cost=slippage_cost,
                pnl=pnl,
                return_frac=pnl / (entry_price * quantity),
                bars_held=bar - holding.bar,
                exit_reason=reason,
                mae_frac=max(side * (entry_price - worst), 0.0) / entry_price,
                mfe_frac=max(side * (best - entry_price), 0.0) / entry_price,
            )
        )

    def note_change(self, symbol: str, price: float) -> None:
        """Writes down a position after it changed, valued at the raw price of the fill."""
        holding = self.held.get(symbol)
        quantity = holding.side * holding.quantity if holding else 0.0
        worth = 0.0
        for one in self.holdings():
            worth += one.side * (one.quantity * (price if one is holding else self.price[one.symbol]))
        equity, value = self.cash + worth, quantity * price
        weight = value / equity if equity > 0 else 0.0
        self.outcome.changes.append(Change(symbol, self.bar[symbol], quantity, price, value, weight))

    def list_open_positions(self) -> None:
        """At the end of the data: marked at the newest close, without slippage and exit fee."""
        for holding in self.holdings():
            seen = holding.highest, holding.lowest
            price, bar = self.price[holding.symbol], self.bar[holding.symbol]
            self.list_trade(
                holding,
                bar,
                holding.quantity,
                price,
                holding.fees,
                holding.slippage_cost,
                seen,
                "end_of_data",
            )
