"""How much the slow simulator buys: the rules "Entries" of docs/execution-model.md, one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from backtest_pipeline_tests.engine.reference_book import Book
from backtest_pipeline_tests.engine.reference_holdings import TOLERANCE, Order

RETURNS = 20


class Skipped(Exception):
    """An entry finds nothing that it may buy; the reason is its only argument."""


def quantity_of(
    book: Book, order: Order, raw: float, fill: float, equity: float, closes: Sequence[float], periods: float
) -> float:
    """Units that the order's entry buys or sells.

    Args:
        book: the account at this moment.
        order: what was ordered.
        raw: price before slippage.
        fill: price after it.
        equity: before the first of the entries that compete.
        closes: of the symbol's bars up to the one that ordered the entry.
        periods: bars a year.

    Raises:
        Skipped: with `cash`, `stop` or `volatility`.
    """
    if book.room() <= TOLERANCE * equity:
        raise Skipped("cash")
    wanted = _wanted(book, order, fill, equity, closes, periods)
    leverage, fixed = book.request.leverage, book.request.fee_fixed
    most = (book.room() - leverage * fixed) / (fill * (1 + leverage * book.fee_rate))
    fits_room = order.side > 0 or wanted > most
    return affordable(book, order.symbol, order.side, raw, fill, min(wanted, most), fits_room=fits_room)


def affordable(
    book: Book,
    symbol: str,
    side: int,
    raw: float,
    fill: float,
    quantity: float,
    *,
    fits_room: bool,
    in_steps: bool = False,
) -> float:
    """The rules 6 to 8: whole steps, never more than there is room for, no short liquidated at once."""
    step, steps, room = book.request.quantity_step, 0.0, book.room()
    if not 0 < quantity < math.inf:
        raise Skipped("cash")
    if step:
        steps = float(math.floor(quantity / step * (1 + TOLERANCE)))
        quantity = quantity if in_steps else steps * step
    if not 0 < quantity < math.inf:
        raise Skipped("cash")
    factor = 2.0**-53
    while (
        fits_room
        and quantity > 0
        and quantity * fill + book.request.leverage * book.fee(quantity * fill) > room
    ):
        if step:
            steps = float(math.floor(steps - max(1.0, steps * factor)))
            quantity = steps * step
        else:
            quantity *= 1 - factor
        factor *= 2
    if quantity <= 0:
        raise Skipped("cash")
    if book.request.leverage == 1 and side < 0:
        held, notional = book.held.get(symbol), quantity * fill
        together = quantity if held is None else held.quantity + quantity
        cash = book.cash + (notional - book.fee(notional))
        if book.price_that_empties(symbol, together, cash) * (1 - TOLERANCE) <= raw:
            raise Skipped("cash")
    return quantity


def _wanted(
    book: Book, order: Order, fill: float, equity: float, closes: Sequence[float], periods: float
) -> float:
    request = book.request
    if order.size_frac is not None:
        frac = order.size_frac
    elif request.sizing == "risk":
        return _risked(book, order, fill, equity)
    elif request.sizing == "slots":
        assert request.max_positions is not None
        frac = 1 / request.max_positions
    elif request.sizing == "volatility":
        assert request.target_volatility is not None
        frac = request.target_volatility / _volatility(closes, periods)
    else:
        frac = request.position_frac
    return (equity * frac - request.fee_fixed) / (fill * (1 + book.fee_rate))


def _risked(book: Book, order: Order, fill: float, equity: float) -> float:
    request, side = book.request, order.side
    held = book.held.get(order.symbol)
    stop = order.stop_price
    if stop is None and held is not None:
        stop = held.stop_price
    if stop is None and request.stop_loss_frac:
        stop = fill * (1 - side * request.stop_loss_frac)
    if stop is None:
        raise Skipped("stop")
    at_stop = stop * (1 - side * book.slippage)
    loss = side * (fill - at_stop) + book.fee_rate * (fill + at_stop)
    if loss <= 0:
        raise Skipped("stop")
    assert request.risk_frac is not None
    return (equity * request.risk_frac - 2 * request.fee_fixed) / loss


def _volatility(closes: Sequence[float], periods: float) -> float:
    if len(closes) < RETURNS + 1:
        raise Skipped("volatility")
    last = closes[-RETURNS - 1 :]
    returns = [last[number + 1] / last[number] - 1 for number in range(RETURNS)]
    mean = 0.0
    for value in returns:
        mean += value
    mean /= RETURNS
    squares = 0.0
    for value in returns:
        squares += (value - mean) * (value - mean)
    volatility = math.sqrt(squares / (RETURNS - 1)) * math.sqrt(periods)
    if volatility == 0:
        raise Skipped("volatility")
    return volatility
