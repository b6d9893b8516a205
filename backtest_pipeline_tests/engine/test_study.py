"""The signal study measures every signal by itself."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline_tests.engine.scripted import flat, play, signals_at


def test_a_signal_is_measured_from_its_close_to_the_close_of_the_holding_period() -> None:
    result = play(flat(100, 110, 121, 60), signals_at(4, entry=[0, 1]), holding_period=2)
    assert result.signals["price"].tolist() == [100, 110]
    assert result.signals["exit_price"].tolist() == [121, 60]
    assert result.signals["return_frac"].tolist() == pytest.approx([0.21, 60 / 110 - 1])
    assert result.signals["exit_timestamp"].dt.day.tolist() == [3, 4]
    assert result.signals["complete"].all()
    assert result.signals["confidence"].tolist() == [1, 1]


def test_every_signal_counts_though_the_account_ignores_it() -> None:
    result = play(flat(100, 100, 100, 100, 100), signals_at(5, entry=[0, 1, 2]), holding_period=2)
    assert len(result.trades) == 1
    assert result.metrics["signals"] == 3


def test_a_signal_whose_exit_lies_past_the_data_is_incomplete_and_left_out() -> None:
    result = play(flat(100, 110, 121), signals_at(3, entry=[0, 2]), holding_period=1)
    assert result.signals["complete"].tolist() == [True, False]
    assert pd.isna(result.signals["exit_timestamp"][1])
    assert math.isnan(result.signals["exit_price"][1])
    assert math.isnan(result.signals["return_frac"][1])
    assert result.metrics["signals"] == 2
    assert result.metrics["signal_win_rate"] == 1
    assert result.metrics["signal_avg_return"] == pytest.approx(0.1)


def test_without_a_holding_period_the_next_opposite_signal_ends_it() -> None:
    result = play(flat(100, 90, 120, 150), signals_at(4, entry=[0, 2], exit=[0, 2]))
    # the exit at the signal's own bar is no later bar
    assert result.signals["exit_price"].tolist()[0] == 120
    assert result.signals["complete"].tolist() == [True, False]


def test_shorts_gain_from_falling_prices_and_end_at_their_own_opposites() -> None:
    signals = signals_at(4, short_entry=[0, 1], short_exit=[2], entry=[1])
    short = play(flat(100, 80, 60, 50), signals, direction="short").signals
    assert short["side"].tolist() == ["short", "short"]
    assert short["return_frac"].tolist() == pytest.approx([0.4, 0.25])  # both to bar 2
    both = play(flat(100, 80, 60, 50), signals, direction="both").signals
    # in both directions the entry at bar 1 ends the first short; at bar 1 the long stands first
    assert both["side"].tolist() == ["short", "long", "short"]
    assert both["return_frac"].tolist()[0] == pytest.approx(0.2)
    assert both["complete"].tolist() == [True, False, True]


def test_drawdown_is_of_the_compounded_curve_from_a_start_of_one() -> None:
    # returns: -10 %, +20 %, -25 %, +10 %: 1 becomes 0.9, 1.08, 0.81, 0.891, and 0.81 lies 25 % below 1.08
    result = play(
        flat(100, 90, 100, 120, 100, 75, 100, 110), signals_at(8, entry=[0, 2, 4, 6]), holding_period=1
    )
    assert result.metrics["signal_max_drawdown"] == pytest.approx(0.25)
    assert result.metrics["signal_win_rate"] == 0.5
    first = play(flat(100, 90), signals_at(2, entry=[0]), holding_period=1)
    assert first.metrics["signal_max_drawdown"] == pytest.approx(0.1)


def test_a_drawdown_of_signals_is_no_more_than_all_whatever_shorts_lose() -> None:
    # short from 100 to 250: -150 %; then two that lose half each: a sum would fall by 250 %
    result = play(
        flat(100, 250, 100, 150, 100, 150),
        signals_at(6, short_entry=[0, 2, 4]),
        holding_period=1,
        direction="short",
    )
    assert result.signals["return_frac"].tolist() == pytest.approx([-1.5, -0.5, -0.5])
    assert result.metrics["signal_max_drawdown"] == 1.0


def test_losses_in_a_row_compound() -> None:
    # -50 % and -50 %: 1 becomes 0.5, then 0.25
    result = play(flat(100, 50, 100, 50), signals_at(4, entry=[0, 2]), holding_period=1)
    assert result.metrics["signal_max_drawdown"] == pytest.approx(0.75)


def test_confidence_stands_beside_its_signal() -> None:
    signals = signals_at(3, entry=[1])
    rated = type(signals)(entry=signals.entry, confidence=np.array([0.0, 0.7, 0.2]))
    result = play(flat(100, 100, 100), rated, holding_period=1)
    assert result.signals["confidence"].tolist() == [0.7]
