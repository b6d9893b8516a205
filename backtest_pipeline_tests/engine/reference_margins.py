"""What the slow simulator's account owes: liquidation, interest and funding."""

from __future__ import annotations

import math

from backtest_pipeline_tests.engine.reference_book import Book
from backtest_pipeline_tests.engine.reference_holdings import TOLERANCE, Holding

YEAR_US = 365.25 * 24 * 3_600 * 1_000_000


def measure_liquidation(book: Book, holding: Holding) -> None:
    """Where a position is liquidated, the others being worth what they are; of two such prices the nearer."""
    request, side = book.request, holding.side
    holding.liquidation_price, holding.liquidates_all = None, False
    if request.leverage == 1 and side < 0:
        holding.liquidation_price = book.price_that_empties(holding.symbol, holding.quantity, book.cash)
    frac = request.maintenance_margin_frac
    if frac is None:
        return
    others = [other for other in book.holdings() if other.symbol != holding.symbol]
    value, gross = book.value(others), book.gross(others)
    if side > 0:
        price = (frac * gross - book.cash - value) / (holding.quantity * (1 - frac))
    else:
        price = (book.cash + value - frac * gross) / (holding.quantity * (1 + frac))
    if holding.liquidation_price is None or side * price >= side * holding.liquidation_price:
        holding.liquidation_price, holding.liquidates_all = price, True


def liquidate_where_due(book: Book) -> None:
    """At market prices: everything where the margin is missing, all shorts where one takes all the cash."""
    frac = book.request.maintenance_margin_frac
    if frac is not None and book.equity() < frac * book.gross():
        liquidate_all(book)
    if book.request.leverage > 1:
        return
    for holding in book.holdings(-1):
        most = book.price_that_empties(holding.symbol, holding.quantity, book.cash)
        if book.price[holding.symbol] >= most * (1 - TOLERANCE):
            liquidate_shorts(book)
            return


def liquidate_all(book: Book) -> None:
    """Longs first, at market prices; the last position takes what is there, if its price takes more."""
    for holding in book.holdings(1):
        book.leave(holding, book.price[holding.symbol], "liquidation")
    if book.request.leverage == 1:
        liquidate_shorts(book)
        return
    for holding in book.holdings(-1):
        book.leave(holding, book.price[holding.symbol], "liquidation")


def liquidate_shorts(book: Book) -> None:
    """At leverage 1 at market prices, or at a share of them that the cash pays."""
    shorts, fixed = book.holdings(-1), book.request.fee_fixed
    if len(shorts) == 1:
        book.leave(shorts[0], book.price[shorts[0].symbol], "liquidation")
        return
    cost = 0.0
    for holding in shorts:
        cost += book.market_value(holding) * (1 + book.fee_rate)
    is_short_of = cost + len(shorts) * fixed > book.cash
    factor = (book.cash - len(shorts) * fixed) / cost if is_short_of else 1.0
    for holding in shorts:
        fill = book.price[holding.symbol] * factor if is_short_of else book.price[holding.symbol]
        book.settle(holding, fill, fill, "liquidation", whole_fee=is_short_of)
    if is_short_of:
        book.cash = 0.0


def pay_interest(book: Book, elapsed_us: int) -> None:
    """Longs share what the borrowed cash costs, shorts pay for what they have borrowed."""
    years = elapsed_us / YEAR_US
    rate, borrowed, longs = book.request.borrow_apr, -book.cash, book.gross(book.holdings(1))
    for holding in book.holdings():
        worth = book.market_value(holding)
        if holding.side < 0:
            cost = worth * rate * years
        elif borrowed > 0:
            cost = borrowed * rate * years * (worth / longs)
        else:
            continue
        holding.fees += cost
        book.cash -= cost


def pay_funding(book: Book, symbol: str, rates: list[float], open_price: float) -> None:
    """Longs pay and shorts receive the rates that fell due, on the bar's open."""
    holding = book.held.get(symbol)
    if holding is None or not rates:
        return
    rate = 0.0
    for one in rates:
        rate += one
    cost = rate * (holding.side * holding.quantity * open_price)
    holding.fees += cost
    book.cash -= cost
    if book.request.leverage == 1 and book.cash < 0 and holding.side > 0:
        sell_for_debt(book, holding)


def sell_for_debt(book: Book, holding: Holding) -> None:
    """At leverage 1, sells as much of a long as its funding lacks; what that does not bring is forgiven."""
    request, lacking = book.request, -book.cash
    raw = book.price[holding.symbol]
    fill = raw * (1 - book.slippage)
    net = fill * (1 - book.fee_rate)
    sold = (lacking + request.fee_fixed) / net if net else math.inf
    if request.quantity_step and 0 < sold < holding.quantity:
        sold = math.ceil(sold / request.quantity_step * (1 - TOLERANCE)) * request.quantity_step
    left = holding.quantity - sold
    if left == holding.quantity:  # too little to sell anything for it
        holding.fees -= lacking
        book.cash = 0.0
        return
    if sold < 0 or left <= 0:
        proceeds, left = holding.quantity * fill, 0.0
        forgiven = lacking - (proceeds - book.fee(proceeds))
        if forgiven > 0:
            holding.fees -= forgiven
            book.cash += forgiven
    book.leave(holding, raw, "liquidation", slips=True, left=left)
    book.cash = max(book.cash, 0.0)
