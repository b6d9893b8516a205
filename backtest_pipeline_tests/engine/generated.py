"""Candles, signals and requests that look for trouble: gaps, ties, jumps, tiny and huge prices."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals

STYLES = ("grid", "touches", "walk", "jumps", "still")
SCALES = (1.0, 1.0, 1.0, 1e-7, 1e9)


def _request(**fields: Any) -> BacktestRequest:
    """A request without the levels that no side of its direction could reach."""
    if fields["direction"] != "short":
        fields |= {
            name: None for name in ("stop_loss_frac", "trailing_stop_frac") if (fields[name] or 0) >= 1
        }
    if fields["direction"] != "long" and (fields["take_profit_frac"] or 0) >= 1:
        fields["take_profit_frac"] = None
    return BacktestRequest(**fields)


requests = st.builds(
    _request,
    strategy=st.just("scripted"),
    symbols=st.just(("X",)),
    initial_cash=st.sampled_from([1_000.0, 1_000.0, 1_000.0, 0.37, 1e12]),
    fee_bps=st.sampled_from([0.0, 10.0, 10.0, 1_000.0, 12_000.0]),
    fee_fixed=st.sampled_from([0.0, 0.0, 0.0, 1.0, 50.0]),
    slippage_bps=st.sampled_from([0.0, 0.0, 25.0, 25.0, 2_500.0, 6_000.0]),
    fill=st.sampled_from(["next_open", "close"]),
    direction=st.sampled_from(["long", "short", "both", "both"]),
    position_frac=st.sampled_from([1.0, 1.0, 0.5, 0.1]),
    quantity_step=st.sampled_from([0.0, 0.0, 0.0, 1.0, 0.1, 0.001]),
    stop_loss_frac=st.sampled_from([None, None, 0.25, 0.5, 0.02, 0.1, 0.07, 1.0, 1.5]),
    take_profit_frac=st.sampled_from([None, None, 0.25, 0.5, 0.02, 0.1, 0.07, 1.0, 2.5]),
    trailing_stop_frac=st.sampled_from([None, None, None, 0.25, 0.5, 0.02, 0.1, 0.07, 1.0]),
    max_hold_bars=st.sampled_from([None, None, 1, 2, 5]),
)


def generated_rows(rng: np.random.Generator, bars: int, style: str, scale: float) -> NDArray[np.float64]:
    """Rows of open, high, low, close.

    Args:
        rng: where the numbers come from.
        bars: how many rows.
        style: `grid` draws multiples of 12.5, so that levels and prices tie; `walk` moves by a few percent
            and opens where it closed; `touches` draws whole percents of 100, which percentages meet but for
            rounding; `jumps` is a walk that opens anywhere between a third and three times
            the last close; `still` repeats one price with rare steps.
        scale: what the prices are multiplied by.
    """
    if style in {"grid", "touches"}:
        drawn = rng.integers(2, 17, size=(bars, 4)) * 12.5
        if style == "touches":
            drawn = rng.choice([90.0, 93.0, 95.0, 99.0, 100.0, 101.0, 107.0, 110.0, 121.0], size=(bars, 4))
        points = np.sort(drawn, axis=1)
        inner = rng.permuted(points[:, 1:3], axis=1)
        rows = np.column_stack([inner[:, 0], points[:, 3], points[:, 0], inner[:, 1]])
        return rows * scale
    if style == "still":
        closes = 100.0 * np.cumprod(np.where(rng.random(bars) < 0.1, rng.choice([0.5, 2.0], bars), 1.0))
        return np.repeat(closes[:, None], 4, axis=1) * scale
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.05, bars)))
    opens = np.concatenate([[100.0], closes[:-1]])
    if style == "jumps":
        opens = opens * np.exp(rng.choice([0.0, 0.0, -1.0, 1.0], bars) * rng.uniform(0.0, 1.1, bars))
    highs = np.maximum(opens, closes) * (1.0 + rng.choice([0.0, 0.03, 0.4], bars) * rng.random(bars))
    lows = np.minimum(opens, closes) * (1.0 - rng.choice([0.0, 0.03, 0.4], bars) * rng.random(bars))
    return np.column_stack([opens, highs, lows, closes]) * scale


def generated_signals(rng: np.random.Generator, bars: int) -> Signals:
    """Signals that stand at a few of the bars, or at half of them."""
    names = ("entry", "exit", "short_entry", "short_exit")
    flags: dict[str, Any] = {name: rng.random(bars) < rng.choice([0.1, 0.3, 0.5]) for name in names}
    return Signals(**flags)
