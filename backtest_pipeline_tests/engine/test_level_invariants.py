"""What holds for levels on every market: fills that traded, stops that do not help, and mirrored sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline_tests.engine.generated import STYLES, generated_rows, generated_signals, requests
from backtest_pipeline_tests.engine.reference_simulator import Bar, Trade
from backtest_pipeline_tests.engine.scripted import SIGNAL_NAMES
from backtest_pipeline_tests.engine.simulators import bar_of, computed_by_the_kernel

pytestmark = pytest.mark.slow

BARS = 60
seeds = st.integers(0, 2**32 - 1)
styles = st.sampled_from(STYLES)
fracs = st.sampled_from([0.02, 0.05, 0.07, 0.1, 0.25, 0.5, 0.9])
maybe_fracs = st.one_of(st.none(), fracs)
cheap = settings(max_examples=400, derandomize=True, deadline=None)


def market(seed: int, style: str) -> tuple[NDArray[np.float64], Signals]:
    rng = np.random.default_rng(seed)
    return generated_rows(rng, BARS, style, 1.0), generated_signals(rng, BARS)


def trades_of(rows: NDArray[np.float64], signals: Signals, request: BacktestRequest) -> list[Trade]:
    bars: list[Bar] = []
    for row, flags in zip(
        rows, zip(*(getattr(signals, name) for name in SIGNAL_NAMES), strict=True), strict=True
    ):
        bars.append(bar_of(row))
        for name, flag in zip(SIGNAL_NAMES, flags, strict=True):
            setattr(bars[-1], name, bool(flag))
    return computed_by_the_kernel(bars, request, 1_000).trades


def unlevered(direction: str, **fields: Any) -> BacktestRequest:
    """A request whose positions are too small for costs and liquidations to matter."""
    return BacktestRequest(
        strategy="scripted", symbols=("X",), direction=direction, fee_bps=0, position_frac=1e-6, **fields
    )


@cheap
@given(seed=seeds, style=styles, request=requests)
def test_every_fill_is_a_price_of_its_bar_give_or_take_slippage(
    seed: int, style: str, request: BacktestRequest
) -> None:
    """A liquidation alone may fill below a bar that jumped over its price, or short of what slippage asks."""
    rows, signals = market(seed, style)
    slippage, step = request.slippage_bps / 10_000, 2.0**-52
    for trade in trades_of(rows, signals, request):
        side = 1 if trade.side == "long" else -1
        _, high, low, _ = rows[trade.entry_bar]
        raw = trade.entry_price / (1 + side * slippage)
        assert low * (1 - step) <= raw <= high * (1 + step)
        start, high, low, close = rows[trade.exit_bar]
        if trade.exit_reason == "take_profit":
            assert low <= trade.exit_price <= high
        elif trade.exit_reason == "end_of_data":
            assert trade.exit_price == close
        elif trade.exit_reason == "liquidation":
            assert trade.exit_price <= high * (1 + slippage) * (1 + step)
        else:
            raw = trade.exit_price / (1 - side * slippage)
            rounding = step if slippage else 0.0
            assert low * (1 - rounding) <= raw <= high * (1 + rounding)
            if trade.exit_reason in {"signal", "max_hold"}:
                asked = start if request.fill == "next_open" else close
                assert raw == pytest.approx(asked, rel=1e-15)


@cheap
@given(
    seed=seeds,
    style=styles,
    direction=st.sampled_from(["long", "short", "both"]),
    stop_frac=maybe_fracs,
    target_frac=maybe_fracs,
    trailing_frac=maybe_fracs,
    slippage_bps=st.sampled_from([0, 25]),
)
def test_stops_fill_at_their_level_or_worse_and_targets_at_theirs_or_better(
    seed: int,
    style: str,
    direction: str,
    stop_frac: float | None,
    target_frac: float | None,
    trailing_frac: float | None,
    slippage_bps: int,
) -> None:
    rows, signals = market(seed, style)
    request = unlevered(
        direction,
        stop_loss_frac=stop_frac,
        take_profit_frac=target_frac,
        trailing_stop_frac=trailing_frac,
        slippage_bps=slippage_bps,
    )
    for trade in trades_of(rows, signals, request):
        side = 1 if trade.side == "long" else -1
        gain_frac = side * (trade.exit_price / trade.entry_price - 1)
        if trade.exit_reason == "stop_loss":
            assert stop_frac is not None
            assert gain_frac <= -stop_frac + 1e-11
        if trade.exit_reason == "take_profit":
            assert target_frac is not None
            assert gain_frac >= target_frac - 1e-11
        if trade.exit_reason == "trailing_stop":
            assert trailing_frac is not None
            held = rows[trade.entry_bar : trade.exit_bar + 1]
            best = held[:, 1].max() if side > 0 else held[:, 2].min()
            best = max(best, trade.entry_price, key=lambda price: side * price)
            assert side * trade.exit_price <= side * best * (1 - side * trailing_frac) * (1 + side * 1e-11)


@cheap
@given(
    seed=seeds, style=styles, side=st.sampled_from([1, -1]), frac=fracs, ticks=st.sampled_from([1, 3, 100])
)
def test_a_price_that_goes_a_tick_further_still_reaches_the_target(
    seed: int, style: str, side: int, frac: float, ticks: int
) -> None:
    """The high (short: the low) of the bar in which a target was taken moves on; the target stays reached."""
    rows, signals = market(seed, style)
    direction = "long" if side > 0 else "short"
    request = unlevered(direction, take_profit_frac=frac, trailing_stop_frac=0.05)
    taken = [trade for trade in trades_of(rows, signals, request) if trade.exit_reason == "take_profit"]
    if not taken:
        return
    bar = taken[0].exit_bar
    further = rows.copy()
    further[bar, 1 if side > 0 else 2] *= 1 + side * ticks * 1e-6
    again = next(trade for trade in trades_of(further, signals, request) if trade.exit_bar >= bar)
    assert again == taken[0]


@cheap
@given(
    seed=seeds,
    style=styles,
    side=st.sampled_from([1, -1]),
    fill=st.sampled_from(["next_open", "close"]),
    stop_frac=maybe_fracs,
    target_frac=maybe_fracs,
    trailing_frac=maybe_fracs,
)
def test_a_short_on_reciprocal_prices_ends_where_the_long_does(
    seed: int,
    style: str,
    side: int,
    fill: str,
    stop_frac: float | None,
    target_frac: float | None,
    trailing_frac: float | None,
) -> None:
    """With prices 10 000 / p, a fall by f is a rise by f / (1 - f), and a rise by f a fall by f / (1 + f)."""

    def mirrored(frac: float | None, *, falls: bool) -> float | None:
        return None if frac is None else frac / (1 - frac if falls else 1 + frac)

    rows, signals = market(seed, style)
    own, other = ("long", "short") if side > 0 else ("short", "long")
    plain = unlevered(
        own,
        fill=fill,
        stop_loss_frac=stop_frac,
        take_profit_frac=target_frac,
        trailing_stop_frac=trailing_frac,
    )
    reflected = unlevered(
        other,
        fill=fill,
        stop_loss_frac=mirrored(stop_frac, falls=side > 0),
        take_profit_frac=mirrored(target_frac, falls=side < 0),
        trailing_stop_frac=mirrored(trailing_frac, falls=side > 0),
    )
    assert signals.short_entry is not None
    swapped = Signals(
        entry=signals.short_entry, exit=signals.short_exit, short_entry=signals.entry, short_exit=signals.exit
    )

    trades = trades_of(rows, signals, plain)
    mirror = trades_of(10_000 / rows[:, [0, 2, 1, 3]], swapped, reflected)

    assert [(t.entry_bar, t.exit_bar, t.exit_reason) for t in mirror] == [
        (t.entry_bar, t.exit_bar, t.exit_reason) for t in trades
    ]
    prices = [10_000 / trade.exit_price for trade in trades]
    assert [trade.exit_price for trade in mirror] == pytest.approx(prices, rel=1e-11)
