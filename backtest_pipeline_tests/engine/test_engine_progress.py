"""Progress rises from 0 to 1, in few calls, and stops a run that nobody wants any more."""

from __future__ import annotations

import numpy as np
import pytest

from backtest_pipeline.engine.progress import SMALLEST_CHUNK_BARS
from backtest_pipeline.engine.run import run
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import StrategyParams
from backtest_pipeline_tests.engine.scripted import Scripted, candles_of, play, signals_at


class Stopped(Exception):
    pass


@pytest.mark.parametrize("bars", [1, 100, 200_000])
def test_progress_rises_from_0_to_1_in_a_hundred_calls_at_most(bars: int) -> None:
    calls: list[tuple[float, str]] = []
    play(
        np.full((bars, 4), 100.0),
        signals_at(bars, entry=[0]),
        timeframe="1d",
        progress_callback=lambda fraction, stage: calls.append((fraction, stage)),
    )

    fractions = [fraction for fraction, _ in calls]
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert fractions == sorted(set(fractions))
    assert len(fractions) <= 100
    assert {stage for _, stage in calls} <= {"signals", "simulation", "metrics"}


def test_many_symbols_share_the_hundred_calls() -> None:
    symbols = tuple(f"S{number}" for number in range(300))
    candles = {symbol: candles_of([[100.0] * 4] * 20, symbol=symbol) for symbol in symbols}
    strategy = Scripted(dict.fromkeys(symbols, signals_at(20, entry=[3])))
    calls: list[float] = []

    request = BacktestRequest(strategy="scripted", symbols=symbols)
    run(candles, request, strategy, StrategyParams(), lambda fraction, _: calls.append(fraction))

    assert calls == sorted(set(calls))
    assert 50 < len(calls) <= 100


def test_raising_from_the_callback_stops_the_run_within_one_chunk() -> None:
    bars = 100 * SMALLEST_CHUNK_BARS
    calls: list[float] = []

    def stop_in_the_middle(fraction: float, stage: str) -> None:
        calls.append(fraction)
        if fraction > 0.75:
            raise Stopped(stage)

    with pytest.raises(Stopped, match="simulation"):
        play(np.full((bars, 4), 100.0), signals_at(bars), progress_callback=stop_in_the_middle)
    # Signals are the first half of the work; a chunk is a ninetieth of the bars in the other half.
    assert calls[-1] == pytest.approx(0.75, abs=0.5 / 90 + 0.5 / 90)
    assert len([fraction for fraction in calls if fraction > 0.75]) == 1


def test_watching_changes_no_bit() -> None:
    rng = np.random.default_rng(3)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 20_000)))
    rows = np.repeat(closes[:, None], 4, axis=1)
    signals = signals_at(20_000, entry=range(0, 20_000, 7), exit=range(3, 20_000, 7))

    watched = play(rows, signals, progress_callback=lambda fraction, stage: None)
    unwatched = play(rows, signals)

    assert watched.equity.equals(unwatched.equity)
    assert watched.trades.equals(unwatched.trades)
    assert watched.metrics == unwatched.metrics
