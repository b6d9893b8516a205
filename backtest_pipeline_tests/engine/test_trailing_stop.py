"""A bar ends a position where every order of its prices does, at the worse of their levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.reference_simulator import Bar, ReferenceSimulator, Trade
from backtest_pipeline_tests.engine.simulators import bar_of, computed_by_the_kernel

Row = tuple[int, int, int, int]
EIGHTHS = st.sampled_from([None, Fraction(1, 16), Fraction(1, 8), Fraction(1, 4)])


@dataclass
class Held:
    """A position that meets prices one by one, in exact arithmetic; `side` is 1 or -1."""

    side: int
    entry: Fraction
    best: Fraction
    stop_frac: Fraction | None
    target_frac: Fraction | None
    trailing_frac: Fraction | None

    def stop(self) -> Fraction | None:
        """The nearest stop, given the best price so far."""
        levels = [
            base * (1 - self.side * frac)
            for base, frac in ((self.entry, self.stop_frac), (self.best, self.trailing_frac))
            if frac
        ]
        return max(levels, key=lambda level: self.side * level, default=None)

    def meets(self, price: Fraction, *, jumps: bool) -> Fraction | None:
        """Where the position ends as the price moves, or jumps, straight to `price`; else None."""
        stop = self.stop()
        target = self.entry * (1 + self.side * self.target_frac) if self.target_frac else None
        for level, beyond in (
            (stop, stop is not None and self.side * (price - stop) <= 0),
            (target, target is not None and self.side * (price - target) >= 0),
        ):
            if beyond:
                return price if jumps else level
        self.best = max(self.best, price, key=lambda one: self.side * one)
        return None

    def ends_on(self, path: Sequence[int]) -> Fraction | None:
        for number, price in enumerate(path):
            end = self.meets(Fraction(price), jumps=number == 0)
            if end is not None:
                return end
        return None


def expected_exit(side: int, rows: Sequence[Row], **fracs: Fraction | None) -> tuple[int, Fraction] | None:
    """Bar and price of the exit of a position that is opened at the first open."""
    best = entry = Fraction(rows[0][0])
    for number, (start, high, low, end) in enumerate(rows):
        ends = [
            Held(side, entry, best, **fracs).ends_on(path)
            for path in ((start, high, low, end), (start, low, high, end))
        ]
        if None not in ends:
            return number, min((price for price in ends if price is not None), key=lambda price: side * price)
        best = max(best, Fraction(high if side > 0 else low), key=lambda price: side * price)
    return None


def traded(side: int, rows: Sequence[Row], request: dict[str, Any]) -> Trade:
    """The trade of an entry at the open of the first row, in both simulators."""
    asked = BacktestRequest(
        strategy="scripted",
        symbols=("X",),
        direction="long" if side > 0 else "short",
        **({"position_frac": 2.0**-10, "fee_bps": 0} | request),
    )
    bars = [bar_of([rows[0][0]] * 4), *map(bar_of, rows)]
    bars[0].entry, bars[0].short_entry = side > 0, side < 0
    found = computed_by_the_kernel(bars, asked, 1_000)
    assert found == ReferenceSimulator(asked, asked.initial_cash, None).run(bars)
    [trade] = found.trades
    return trade


prices = st.integers(28, 56).map(lambda step: 8 * step)
rows_of_bars = st.lists(
    st.builds(
        lambda points, turned: (points[2 if turned else 1], points[3], points[0], points[1 if turned else 2]),
        st.tuples(prices, prices, prices, prices).map(sorted),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=1_500, derandomize=True, deadline=None)
@given(
    side=st.sampled_from([1, -1]),
    rows=rows_of_bars,
    stop_frac=EIGHTHS,
    target_frac=EIGHTHS,
    trailing_frac=EIGHTHS,
)
def test_a_bar_ends_a_position_where_every_order_of_its_prices_does(
    side: int, rows: list[Row], **fracs: Fraction | None
) -> None:
    names = {
        "stop_frac": "stop_loss_frac",
        "target_frac": "take_profit_frac",
        "trailing_frac": "trailing_stop_frac",
    }
    trade = traded(side, rows, {names[name]: float(frac) for name, frac in fracs.items() if frac})

    expected = expected_exit(side, rows, **fracs)

    found = None if trade.exit_reason == "end_of_data" else (trade.exit_bar - 1, Fraction(trade.exit_price))
    assert found == expected


@pytest.mark.parametrize(
    ("side", "row"), [(1, (100, 120, 100, 105)), (-1, (120, 120, 96, 110))], ids=["long", "short"]
)
@pytest.mark.parametrize("slippage_bps", [0, 50])
def test_a_trailing_stop_that_the_close_proves_crossed_fills_at_its_level_and_slips(
    side: int, row: Row, slippage_bps: int
) -> None:
    """5 % below the high of 120 is 114, 5 % above the low of 96 is 100.8; the order slips from there."""
    trade = traded(side, [row], {"trailing_stop_frac": 0.05, "slippage_bps": slippage_bps})
    level = 114 if side > 0 else 100.8
    assert (trade.exit_reason, trade.exit_bar, trade.bars_held) == ("trailing_stop", 1, 0)
    assert trade.exit_price == pytest.approx(level * (1 - side * slippage_bps / 10_000), rel=1e-12)
    entry = row[0] * (1 + side * slippage_bps / 10_000)
    assert trade.mfe_frac == pytest.approx(side * ((120 if side > 0 else 96) - entry) / entry, rel=1e-12)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("order", [{"exit": True}, {"max_hold": True}], ids=str)
def test_a_stop_that_the_close_proves_crossed_goes_before_orders_decided_at_that_close(
    fill: str, order: dict[str, bool]
) -> None:
    """Bar 2 rises from 100 to 120 and closes at 105: out at 114, not at 105 nor at the open of 90."""
    asked = BacktestRequest(
        strategy="scripted",
        symbols=("X",),
        fee_bps=0,
        fill=fill,
        trailing_stop_frac=0.05,
        max_hold_bars=2 if "max_hold" in order else None,
    )
    bars = [Bar(100, 100, 100, 100), Bar(100, 100, 100, 100), Bar(100, 120, 100, 105), Bar(90, 90, 90, 90)]
    bars[0].entry, bars[2].exit = True, "exit" in order
    found = computed_by_the_kernel(bars, asked, 1)
    assert found == ReferenceSimulator(asked, asked.initial_cash, asked.max_hold_bars).run(bars)
    [trade] = found.trades
    assert (trade.exit_bar, trade.exit_price, trade.exit_reason) == (2, 114, "trailing_stop")


def test_an_exit_at_the_next_open_goes_before_what_that_bar_would_have_proved() -> None:
    asked = BacktestRequest(strategy="scripted", symbols=("X",), fee_bps=0, trailing_stop_frac=0.05)
    bars = [Bar(100, 100, 100, 100), Bar(100, 100, 100, 100), Bar(100, 120, 100, 105)]
    bars[0].entry = bars[1].exit = True
    [trade] = computed_by_the_kernel(bars, asked, 1).trades
    assert (trade.exit_bar, trade.exit_price, trade.exit_reason) == (2, 100, "signal")
