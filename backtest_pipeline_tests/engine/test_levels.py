"""Levels are reached where exact decimal arithmetic says so, and orders fill at a price that traded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.reference_simulator import ReferenceSimulator, Trade
from backtest_pipeline_tests.engine.simulators import bar_of, computed_by_the_kernel

CENTS = "0.01 0.37 1.01 4.35 9.99 17.83 100.05 1234.56"
WHOLE = "1 3 7 49 100 101 250 333 999"
WON = "1005 8730 71300 138500 1040000 143250000"
COINS = "0.00001234 0.07019 67123.45678901"
PRICES = [Decimal(price) for price in f"{CENTS} {WHOLE} {WON} {COINS}".split()]
SMALL = "0.1 0.25 0.3 0.5 0.7 1 1.1 1.5 2 2.2 3 4.5 5 7 8.25 10 12.3 15 20 25 30 33 35 50 70 90 99 99.9"
LARGE = "100 110 133.3 150 200 300 1000 12345.6"
PERCENTS = [Decimal(percent) for percent in f"{SMALL} {LARGE}".split()]
SLIPPAGE_BPS = [Decimal(0), Decimal(5), Decimal(125)]
FIELDS = {
    "stop_loss": "stop_loss_frac",
    "take_profit": "take_profit_frac",
    "trailing_stop": "trailing_stop_frac",
}


@dataclass(frozen=True)
class Case:
    """A level at a distance from an entry price, as decimal numbers."""

    reason: str
    side: str
    price: Decimal
    percent: Decimal

    @property
    def falls(self) -> bool:
        """Whether the price must fall to reach the level."""
        return (self.side == "long") == (self.reason != "take_profit")

    def level(self, base: Decimal) -> Decimal:
        """The level that hangs on `base`, without any rounding."""
        change = base * self.percent / 100
        return base - change if self.falls else base + change

    def beyond(self, price: Decimal, by_frac: str) -> Decimal:
        """A price further on in the level's direction, or short of it where `by_frac` is negative."""
        change = self.price * Decimal(by_frac)
        return price - change if self.falls else price + change

    def slipped(self, price: Decimal, bps: Decimal, *, buys: bool) -> Decimal:
        return price * (1 + (bps if buys else -bps) / 10_000)


CASES = [
    case
    for case in (Case(*one) for one in product(FIELDS, ("long", "short"), PRICES, PERCENTS))
    if case.percent < 100 or not case.falls
]
BY_KIND = pytest.mark.parametrize(
    "cases",
    [
        [case for case in CASES if (case.reason, case.side) == kind]
        for kind in product(FIELDS, ("long", "short"))
    ],
    ids=[f"{side} {reason}" for reason, side in product(FIELDS, ("long", "short"))],
)
FILLS = pytest.mark.parametrize("fill", ["next_open", "close"])


def traded(side: str, rows: Sequence[Sequence[Decimal]], **request: Any) -> Trade:
    """The only trade of an entry signal at bar 0, by the kernel, which agrees with the slow simulator."""
    asked = BacktestRequest(
        strategy="scripted",
        symbols=("X",),
        **({"direction": side, "position_frac": 1e-6, "initial_cash": 1e9, "fee_bps": 0} | request),
    )
    bars = [bar_of(row) for row in rows]
    bars[0].entry, bars[0].short_entry = side == "long", side == "short"
    found = computed_by_the_kernel(bars, asked, 1_000)
    assert found == ReferenceSimulator(asked, asked.initial_cash, None).run(bars)
    [trade] = found.trades
    return trade


def still(price: Decimal, bars: int = 1) -> list[list[Decimal]]:
    return [[price] * 4] * bars


def span(start: Decimal, extreme: Decimal, end: Decimal | None = None) -> list[Decimal]:
    """A bar from `start` to `extreme` and to `end`, which is `start` unless it is given."""
    end = start if end is None else end
    return [start, max(start, extreme, end), min(start, extreme, end), end]


def problems(case: Case, trade: Trade, fill: Decimal, low: Decimal, high: Decimal) -> Iterator[str]:
    """What is wrong with an exit that should be at `fill`, in a bar from `low` to `high`."""
    if trade.exit_reason != case.reason:
        yield f"{case}: {trade.exit_reason}"
    elif not float(low) <= trade.exit_price <= float(high):
        yield f"{case}: {trade.exit_price!r} never traded between {float(low)!r} and {float(high)!r}"
    elif trade.exit_price != pytest.approx(float(fill), rel=1e-12):
        yield f"{case}: {trade.exit_price!r} is not {fill}"


@FILLS
@BY_KIND
def test_a_bar_that_turns_exactly_at_a_level_has_touched_it(cases: list[Case], fill: str) -> None:
    found: list[str] = []
    for case in cases:
        level = case.level(case.price)
        bar = span(case.price, level)
        rows = [*still(case.price, 2), bar]
        trade = traded(case.side, rows, fill=fill, **{FIELDS[case.reason]: float(case.percent / 100)})
        found += problems(case, trade, level, min(bar), max(bar))
    assert found == []


@BY_KIND
def test_a_bar_that_turns_a_billionth_before_a_level_has_not_touched_it(cases: list[Case]) -> None:
    found: list[str] = []
    for case in cases:
        turned = case.beyond(case.level(case.price), "-1e-9")
        rows = [*still(case.price, 2), span(case.price, turned)]
        trade = traded(case.side, rows, **{FIELDS[case.reason]: float(case.percent / 100)})
        if trade.exit_reason != "end_of_data":
            found.append(f"{case}: {trade.exit_reason}")
    assert found == []


@BY_KIND
def test_a_bar_that_opens_exactly_at_a_level_fills_at_its_open(cases: list[Case]) -> None:
    """Whatever follows: the bar goes on beyond the level and comes back to where the position was opened."""
    found: list[str] = []
    for case in cases:
        level = case.level(case.price)
        far = case.beyond(level, "0.0005")
        rows = [*still(case.price, 2), [level, max(case.price, far), min(case.price, far), case.price]]
        trade = traded(case.side, rows, **{FIELDS[case.reason]: float(case.percent / 100)})
        if (trade.exit_reason, trade.exit_price) != (case.reason, float(level)):
            found.append(f"{case}: {trade.exit_reason} at {trade.exit_price!r}")
    assert found == []


@BY_KIND
@pytest.mark.parametrize("bps", SLIPPAGE_BPS, ids=str)
def test_levels_hang_on_the_slipped_entry_and_market_orders_slip_from_the_level(
    cases: list[Case], bps: Decimal
) -> None:
    found: list[str] = []
    for case in cases:
        if case.percent * 100 <= 2 * bps:
            continue  # slippage alone would put the entry beyond the level
        buys = case.side == "long"
        entry = case.slipped(case.price, bps, buys=buys)
        level = case.level(entry)
        bar = span(case.price, level)
        rows = [*still(case.price, 2), bar]
        request = {"slippage_bps": float(bps), FIELDS[case.reason]: float(case.percent / 100)}
        trade = traded(case.side, rows, **request)
        market = case.reason != "take_profit"
        filled = case.slipped(level, bps, buys=not buys) if market else level
        low, high = (case.slipped(limit, bps, buys=not buys) if market else limit for limit in bar[2:0:-1])
        rounding = Decimal("1e-15") * (1 if bps else 0)  # of one multiplication by the slippage
        found += problems(case, trade, filled, low * (1 - rounding), high * (1 + rounding))
    assert found == []


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_trailing_stop_is_touched_exactly_from_any_best_price(side: str) -> None:
    found: list[str] = []
    for case in CASES:
        if (case.reason, case.side) == ("trailing_stop", side):
            best = case.price * (Decimal("1.0731") if case.falls else Decimal("0.9231"))
            level = case.level(best)
            bar = span(best, level)
            rows = [*still(case.price, 2), span(case.price, best, best), bar]
            trade = traded(side, rows, trailing_stop_frac=float(case.percent / 100))
            found += problems(case, trade, level, min(bar), max(bar))
    assert found == []


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_close_exactly_at_the_trailing_stop_of_the_bars_best_price_exits_there(side: str) -> None:
    found: list[str] = []
    for case in CASES:
        if (case.reason, case.side) == ("trailing_stop", side):
            best = case.price * (2 + case.percent / 100) if case.falls else case.price / 4
            level = case.level(best)
            bar = [case.price, max(case.price, best, level), min(case.price, best, level), level]
            if abs(level / case.price - 1) < Decimal("1e-6") or bar[2 if case.falls else 1] == level:
                continue  # the open or the close stands at the trailing stop of the entry as well
            rows = [*still(case.price, 2), bar]
            trade = traded(side, rows, trailing_stop_frac=float(case.percent / 100))
            found += problems(case, trade, level, min(bar), max(bar))
    assert found == []


def liquidation_of(price: Decimal, position_frac: Decimal, fee_bps: Decimal) -> Fraction:
    """Where buying back a short of a thousand leaves nothing, without any rounding."""
    cash, share, rate, raw = (Fraction(value) for value in (1_000, position_frac, fee_bps / 10_000, price))
    quantity = cash * share / (raw * (1 + rate))
    after = cash + quantity * raw * (1 - rate)
    return after / (quantity * (1 + rate))


@pytest.mark.parametrize("fee_bps", ["0", "10", "2.5", "1000"])
@pytest.mark.parametrize("position_frac", ["1", "0.7", "0.3"])
def test_a_high_exactly_at_the_liquidation_price_liquidates_and_a_billionth_below_does_not(
    position_frac: str, fee_bps: str
) -> None:
    request = {
        "initial_cash": 1_000,
        "position_frac": float(position_frac),
        "fee_bps": float(fee_bps),
    }
    found: list[str] = []
    for price in PRICES:
        exact = liquidation_of(price, Decimal(position_frac), Decimal(fee_bps))
        with localcontext(prec=50):
            level = Decimal(exact.numerator) / Decimal(exact.denominator)
        case = Case("liquidation", "short", price, Decimal(0))
        bar = span(price, level)
        trade = traded("short", [*still(price, 2), bar], **request)
        found += problems(case, trade, level, min(bar), max(bar))
        opened = traded("short", [*still(price, 2), [level, level, price, price]], **request)
        found += problems(case, opened, level, level, level)
        spared = traded("short", [*still(price, 2), span(price, case.beyond(level, "-1e-9"))], **request)
        if spared.exit_reason != "end_of_data":
            found.append(f"{price}: {spared.exit_reason}")
    assert found == []


@pytest.mark.parametrize("costs", [{"fee_bps": 10_000.0}, {"slippage_bps": 5_000.0}], ids=str)
def test_a_short_whose_liquidation_price_is_its_market_price_is_skipped_whatever_the_price(
    costs: dict[str, float],
) -> None:
    """A fee of 100 % or a slippage of 50 % puts the liquidation price exactly at the raw price."""
    asked = BacktestRequest(
        strategy="scripted", symbols=("X",), direction="short", **({"fee_bps": 0.0} | costs)
    )
    for price in PRICES:
        bars = [bar_of([price] * 4), bar_of([price] * 4)]
        bars[0].short_entry = True
        found = computed_by_the_kernel(bars, asked, 1_000)
        assert (found.trades, found.skipped_entries) == ([], 1), price
        assert found == ReferenceSimulator(asked, asked.initial_cash, None).run(bars)


@pytest.mark.parametrize(
    ("side", "best", "trailing_frac", "stop_frac", "level"),
    [
        (
            "long",
            "110",
            0.40,
            0.34,
            66,
        ),  # 110 less 40 % and 100 less 34 % are 66; in binary 65.99999999999999
        ("long", "150", 0.42, 0.13, 87),
        ("short", "75", 0.36, 0.02, 102),  # 75 and 36 % and 100 and 2 % are 102; in binary 101.99999999999999
        ("short", "80", 0.40, 0.12, 112),
    ],
)
def test_levels_that_are_equal_but_for_rounding_count_as_stop_loss(
    side: str, best: str, trailing_frac: float, stop_frac: float, level: int
) -> None:
    price = Decimal(100)
    rows = [*still(price, 2), [price, *sorted([price, Decimal(best)], reverse=True), price]]
    rows.append(span(price, Decimal(level)))
    trade = traded(side, rows, stop_loss_frac=stop_frac, trailing_stop_frac=trailing_frac)
    assert (trade.exit_reason, trade.exit_bar, trade.exit_price) == ("stop_loss", 3, level)
