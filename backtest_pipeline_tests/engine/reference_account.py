"""A slow simulator of one account over many symbols, written from docs/execution-model.md.

It shares no code with the engine, thinks in plain Python floats, and goes through the document's steps one
sentence after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline_tests.engine import reference_margins as margins
from backtest_pipeline_tests.engine.reference_book import Book
from backtest_pipeline_tests.engine.reference_candle import CandleMeeting
from backtest_pipeline_tests.engine.reference_holdings import (
    AccountOutcome,
    Candle,
    Order,
    stop_of,
    target_of,
)
from backtest_pipeline_tests.engine.reference_orders import decide, is_filled_by
from backtest_pipeline_tests.engine.reference_rebalancing import Rows, TargetWeights
from backtest_pipeline_tests.engine.reference_sizing import Skipped, quantity_of


@dataclass(frozen=True)
class SymbolData:
    """What the simulator knows of a symbol.

    Attributes:
        bars: oldest first.
        signals: arrays of as many; `None` with target weights.
        details: finer candles, by any bar.
        funding: moments and rates.
        periods: bars a year, by which volatility is annualised.
    """

    bars: Sequence[Candle]
    signals: Signals | None = None
    details: Sequence[Candle] = ()
    funding: Sequence[tuple[int, float]] = ()
    periods: float = 365.0


@dataclass
class _Progress:
    """Where an account stands in a symbol's bars, and what waits there."""

    data: SymbolData
    opened: int = -1
    closed: int = -1
    exit_order: str | None = None
    entry_order: Order | None = None
    pending: dict[int, Order] = field(default_factory=dict)

    @property
    def bar(self) -> Candle:
        return self.data.bars[self.opened]

    @property
    def is_open(self) -> bool:
        return self.opened > self.closed


Entry = tuple[Order, float]


class ReferenceAccount:
    """Runs an account over symbols.

    Args:
        request: what was asked; `account` is not looked at, all symbols share the cash.
        symbols: by name, in the request's order.
        cash: before the first bar.
        max_hold_bars: the request's, or the strategy's.
        rows: the joint grid; without one, no values of rows.
        weights: target weights, where a portfolio strategy gave them.
    """

    def __init__(
        self,
        request: BacktestRequest,
        symbols: Mapping[str, SymbolData],
        cash: float,
        max_hold_bars: int | None = None,
        rows: Rows | None = None,
        weights: TargetWeights | None = None,
    ) -> None:
        self.request = request
        self.rank = {symbol: place for place, symbol in enumerate(symbols)}
        self.at = {symbol: _Progress(symbols[symbol]) for symbol in sorted(symbols)}
        self.max_hold_bars = max_hold_bars
        self.rows = rows
        self.weights = weights
        self.book = Book(request, cash)

    def run(self) -> AccountOutcome:
        bars = [bar for progress in self.at.values() for bar in progress.data.bars]
        moments = sorted({bar.begin for bar in bars} | {bar.end for bar in bars})
        outcome, before = self.book.outcome, None
        for moment, following in pairwise(moments):
            opening = [
                symbol
                for symbol, progress in self.at.items()
                if progress.opened + 1 < len(progress.data.bars)
                and progress.data.bars[progress.opened + 1].begin == moment
            ]
            passing = [
                symbol
                for symbol, progress in self.at.items()
                if (symbol in opening or progress.is_open)
                and progress.data.bars[progress.opened + (symbol in opening)].end <= following
            ]
            if not opening and not passing:
                continue
            if before is not None:
                margins.pay_interest(self.book, moment - before)
            before = moment
            self.open_bars(opening)
            self.pass_bars(passing)
            self.close_bars(passing)
            outcome.moments.append(moment)
            outcome.equity.append(self.book.equity())
            outcome.cash.append(self.book.cash)
            outcome.gross.append(self.book.gross())
        self.book.list_open_positions()
        return outcome

    # What happens at the open

    def open_bars(self, opening: Sequence[str]) -> None:
        book = self.book
        for symbol in opening:
            progress = self.at[symbol]
            progress.opened += 1
            book.bar[symbol] = progress.opened
            book.price[symbol] = progress.bar.open
            if symbol in book.held:
                book.held[symbol].see(progress.bar.open)
        for symbol in opening:
            self.pay_funding(symbol, lambda moment, last, bar: last <= moment <= bar.begin)
        margins.liquidate_where_due(book)
        for symbol in opening:
            if symbol in book.held:
                self.exit_at_open(symbol)
        self.compete([entry for symbol in opening if (entry := self.entry_at_open(symbol)) is not None])
        if self.weights is not None and self.request.fill == "next_open":
            self.weights.trade(book, opening)
        for symbol in opening:
            if symbol in book.held:
                book.held[symbol].see(self.at[symbol].bar.open)
            self.pay_funding(symbol, lambda moment, _, bar: bar.begin < moment < bar.end)

    def pay_funding(self, symbol: str, is_due: Callable[[int, int, Candle], bool]) -> None:
        progress = self.at[symbol]
        last = progress.data.bars[progress.opened - 1].end if progress.opened else progress.bar.begin
        rates = [rate for moment, rate in progress.data.funding if is_due(moment, last, progress.bar)]
        margins.pay_funding(self.book, symbol, rates, progress.bar.open)

    def entry_at_open(self, symbol: str) -> Entry | None:
        """The one entry that the symbol has in line, taken from what waits."""
        progress = self.at[symbol]
        order = self.in_line(progress)
        progress.exit_order = progress.entry_order = None
        if order is None:
            return None
        if order.kind != "market":
            del progress.pending[order.side]
        return order, progress.bar.open

    def in_line(self, progress: _Progress) -> Order | None:
        """The market order, else of the pending orders that the open fills the one to go long, else short."""
        if progress.entry_order is not None:
            return progress.entry_order
        for side in (1, -1):
            order = progress.pending.get(side)
            if order is not None and is_filled_by(order, progress.bar.open, self.request):
                return order
        return None

    def exit_at_open(self, symbol: str) -> None:
        book, progress = self.book, self.at[symbol]
        holding, raw = book.held[symbol], progress.bar.open
        side = holding.side
        if progress.exit_order is not None:
            book.leave(holding, raw, progress.exit_order)
            return
        holding.liquidation_price = None  # was looked at before any exit
        stop, target = stop_of(holding, self.request), target_of(holding, self.request, progress.opened)
        order = self.in_line(progress)
        if side * raw <= side * stop.reached_at:
            book.leave(holding, raw, stop.reason)
        elif side * raw >= side * target.reached_at:
            book.leave(holding, raw, "take_profit")
        elif order is not None and order.side != side:
            book.leave(holding, raw, "signal", limit=order.is_limit)

    # Entries

    def compete(self, entries: Sequence[Entry]) -> list[Order]:
        """Entries in turn, all with the equity before the first of them. Returns those that were made."""

        def turn(entry: Entry) -> tuple[float, int]:
            return -entry[0].confidence, self.rank[entry[0].symbol]

        equity = self.book.equity()
        return [order for order, raw in sorted(entries, key=turn) if self.enter(order, raw, equity)]

    def enter(self, order: Order, raw: float, equity: float) -> bool:
        book, request = self.book, self.request
        holding = book.held.get(order.symbol)
        if holding is not None and holding.side != order.side:
            book.leave(holding, raw, "signal", limit=order.is_limit)
            holding = None
        if holding is not None and holding.entries >= request.max_entries:
            return False
        if holding is None and request.max_positions and len(book.held) >= request.max_positions:
            book.outcome.skipped["slots"] += 1
            return False
        fill = raw if order.is_limit else raw * (1 + order.side * book.slippage)
        progress = self.at[order.symbol]
        closes = [bar.close for bar in progress.data.bars[: order.bar + 1]]
        try:
            quantity = quantity_of(book, order, raw, fill, equity, closes, progress.data.periods)
        except Skipped as skipped:
            book.outcome.skipped[str(skipped)] += 1
            return False
        book.enter(order, raw, fill, quantity)
        margins.measure_liquidation(book, book.held[order.symbol])
        return True

    # What happens inside a bar

    def pass_bars(self, passing: Sequence[str]) -> None:
        finer: dict[int, dict[str, Candle]] = {}
        for symbol in passing:
            bar = self.at[symbol].bar
            details = [one for one in self.at[symbol].data.details if bar.begin <= one.begin < bar.end]
            for candle in details or [bar]:
                finer.setdefault(candle.begin, {})[symbol] = candle
        for moment in sorted(finer):
            if not CandleMeeting(self, finer[moment]).run():
                return

    # What happens at the close

    def close_bars(self, passing: Sequence[str]) -> None:
        book = self.book
        for symbol in passing:
            progress = self.at[symbol]
            progress.closed = progress.opened
            book.price[symbol] = progress.bar.close
            progress.pending = {
                side: order
                for side, order in progress.pending.items()
                if progress.opened < order.bar + self.request.good_for_bars
            }
        margins.liquidate_where_due(book)
        for symbol in passing:
            self.read_signals(symbol)
        if self.rows is not None:
            for row in self.rows.newly_known({symbol: one.closed for symbol, one in self.at.items()}):
                book.outcome.row_steps.append(len(book.outcome.moments))
                if self.weights is not None:
                    self.weights.read(row)
        if self.request.fill == "close":
            self.fill_at_close(passing)

    def fill_at_close(self, passing: Sequence[str]) -> None:
        entries = []
        for symbol in passing:
            progress = self.at[symbol]
            if progress.exit_order is not None:
                self.book.leave(self.book.held[symbol], progress.bar.close, progress.exit_order)
            if progress.entry_order is not None:
                entries.append((progress.entry_order, progress.bar.close))
            progress.exit_order = progress.entry_order = None
        self.compete(entries)
        if self.weights is not None:
            self.weights.trade(self.book, passing)

    def read_signals(self, symbol: str) -> None:
        progress = self.at[symbol]
        bar, signals = progress.opened, progress.data.signals
        holding = self.book.held.get(symbol)
        if signals is None:
            leaves_at = bar if self.request.fill == "close" else bar + 1
            if holding is not None and self.max_hold_bars and leaves_at >= holding.bar + self.max_hold_bars:
                progress.exit_order = "max_hold"
            return
        decision = decide(symbol, signals, bar, holding, progress.pending, self.request, self.max_hold_bars)
        progress.exit_order, progress.entry_order = decision.exit_reason, decision.entry
