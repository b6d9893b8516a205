"""Target weights in the slow simulator, and the rows of the joint grid, by whose ends weights are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backtest_pipeline_tests.engine.reference_book import Book
from backtest_pipeline_tests.engine.reference_holdings import TOLERANCE, Order
from backtest_pipeline_tests.engine.reference_sizing import Skipped, affordable


class Rows:
    """The joint grid: which bars make a row.

    Args:
        slots: of each symbol's bars, their places on the grid.
    """

    def __init__(self, slots: Mapping[str, Sequence[int]]) -> None:
        self.slots = sorted({slot for own in slots.values() for slot in own})
        self.own = {symbol: list(own) for symbol, own in slots.items()}
        self.known = 0

    def newly_known(self, closed: Mapping[str, int]) -> list[int]:
        """Rows whose last bar has ended since the last call; `closed` is each symbol's newest ended bar."""
        found = []
        while self.known < len(self.slots) and all(
            own.index(self.slots[self.known]) <= closed[symbol]
            for symbol, own in self.own.items()
            if self.slots[self.known] in own
        ):
            found.append(self.known)
            self.known += 1
        return found


@dataclass
class TargetWeights:
    """A portfolio strategy's weights, row by row.

    Attributes:
        rows: a mapping of symbol to weight for each row; NaN leaves a symbol alone.
        days: the day of each row, since 1970.
        rebalance: `bar`, `daily`, `weekly` or `monthly`.
        drift_frac: no trade where less is missing.
        pending: weights that wait for a symbol's next open or close.
    """

    rows: Sequence[Mapping[str, float]]
    days: Sequence[int]
    rebalance: str = "bar"
    drift_frac: float = 0.0
    pending: dict[str, float] = field(default_factory=dict)

    def read(self, row: int) -> None:
        """What a row that is known from now on asks for."""
        if self.is_acted_upon(row):
            self.pending |= {
                symbol: weight for symbol, weight in self.rows[row].items() if not math.isnan(weight)
            }

    def is_acted_upon(self, row: int) -> bool:
        """Whether a row's weights become pending: the first with any, and as often as is asked for."""
        with_weights = [
            number
            for number, weights in enumerate(self.rows)
            if any(not math.isnan(weight) for weight in weights.values())
        ]
        if not with_weights or row < with_weights[0]:
            return False
        if row == with_weights[0] or self.rebalance == "bar":
            return True
        return row + 1 < len(self.rows) and self._period(row) != self._period(row + 1)

    def _period(self, row: int) -> object:
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=self.days[row])
        if self.rebalance == "daily":
            return day
        if self.rebalance == "weekly":
            return day - timedelta(days=day.weekday())
        return day.year, day.month

    def trade(self, book: Book, symbols: Sequence[str]) -> None:
        """Trades towards the pending weights of some symbols at their market prices, sells before buys."""
        equity = book.equity()
        targets = self._targets(
            book, [symbol for symbol in sorted(symbols) if symbol in self.pending], equity
        )
        wanted = []
        for symbol, target in targets.items():
            holding, side = book.held.get(symbol), 1 if target > 0 else -1
            if holding is None:
                wanted.append((symbol, side, abs(target)))
            elif target == 0 or holding.side != side:
                book.leave(holding, book.price[symbol], "signal")
                wanted.append((symbol, side, abs(target)))
            elif abs(target) < holding.quantity:
                book.leave(holding, book.price[symbol], "signal", left=abs(target))
            else:
                wanted.append((symbol, side, abs(target) - holding.quantity))
        self._buy(book, [one for one in wanted if one[2] > 0], equity)

    def _targets(self, book: Book, symbols: Sequence[str], equity: float) -> dict[str, float]:
        """Signed quantities of the symbols whose weight is far enough from the one wanted."""
        targets = {}
        step = book.request.quantity_step
        for symbol in symbols:
            weight, holding = self.pending.pop(symbol), book.held.get(symbol)
            value = holding.side * book.market_value(holding) if holding else 0.0
            missing = abs(weight * equity - value)
            if equity <= 0 or missing <= TOLERANCE * equity or missing < self.drift_frac * equity:
                continue
            target = weight * equity / book.price[symbol]
            if step:
                target = math.copysign(math.floor(abs(target) / step * (1 + TOLERANCE)) * step, target)
            targets[symbol] = target
        return targets

    def _buy(self, book: Book, wanted: Sequence[tuple[str, int, float]], equity: float) -> None:
        leverage, fixed = book.request.leverage, book.request.fee_fixed
        rate = 1 + leverage * book.fee_rate
        fills = {symbol: book.price[symbol] * (1 + side * book.slippage) for symbol, side, _ in wanted}
        cost = without_fixed = 0.0
        for symbol, _, more in wanted:
            cost += more * fills[symbol] * rate + leverage * fixed
            without_fixed += more * fills[symbol] * rate
        room, factor = book.room(), 1.0
        is_cut = cost > room
        if is_cut:
            left = room - len(wanted) * leverage * fixed
            if room <= TOLERANCE * equity or left <= 0:
                book.outcome.skipped["cash"] += len(wanted)
                return
            factor = left / without_fixed
        for symbol, side, more in wanted:
            raw, fill = book.price[symbol], fills[symbol]
            try:
                quantity = affordable(
                    book,
                    symbol,
                    side,
                    raw,
                    fill,
                    more * factor if is_cut else more,
                    fits_room=True,
                    in_steps=not is_cut,
                )
            except Skipped as skipped:
                book.outcome.skipped[str(skipped)] += 1
                continue
            order = Order(symbol, side, "market", None, book.bar[symbol], 1.0, None, None, None)
            book.enter(order, raw, fill, quantity)
