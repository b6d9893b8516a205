"""What holds for every backtest, whatever the market, the signals and the settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.engine.accounts import simulate_symbol
from backtest_pipeline.engine.records import settings_of
from backtest_pipeline.engine.run import run
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.signal_checks import check_signals
from backtest_pipeline.model.strategy import Signals, StrategyParams
from backtest_pipeline_tests.engine.generated import (
    STYLES,
    generated_rows,
    generated_signals,
    requests,
)
from backtest_pipeline_tests.engine.scripted import Scripted, candles_of, play

pytestmark = pytest.mark.slow

seeds = st.integers(0, 2**32 - 1)
styles = st.sampled_from(STYLES)
cheap = settings(max_examples=300, derandomize=True, deadline=None)


def played(seed: int, style: str, request: BacktestRequest, bars: int = 60, **changes: Any) -> BacktestResult:
    rng = np.random.default_rng(seed)
    rows = generated_rows(rng, bars, style, changes.pop("scale", 1.0))
    fields = request.model_dump(exclude={"strategy", "symbols"}) | changes
    return play(rows, generated_signals(rng, bars), **fields)


@cheap
@given(seed=seeds, style=styles, request=requests)
def test_equity_is_cash_plus_marked_positions_on_every_bar(
    seed: int, style: str, request: BacktestRequest
) -> None:
    rng = np.random.default_rng(seed)
    closes = generated_rows(rng, 60, style, 1.0)[:, 3]
    result = played(seed, style, request)
    moments = result.equity["timestamp"]

    marked = np.zeros(60)
    for trade in result.trades.to_dict("records"):
        entered, left = moments.searchsorted(trade["entry_time"]), moments.searchsorted(trade["exit_time"])
        held = slice(entered, left + 1 if trade["exit_reason"] == "end_of_data" else left)
        marked[held] += closes[held] * trade["quantity"] * (1 if trade["side"] == "long" else -1)

    expected = result.equity["cash"].to_numpy() + marked
    largest = max(1.0, float(result.equity["cash"].max()))
    assert result.equity["equity"].to_numpy() == pytest.approx(expected, rel=1e-12, abs=1e-12 * largest)
    assert (result.equity["equity"] >= 0).all()
    assert (result.equity["cash"] >= 0).all()


@cheap
@given(seed=seeds, style=styles, request=requests)
def test_pnl_of_all_trades_is_the_change_in_equity(seed: int, style: str, request: BacktestRequest) -> None:
    result = played(seed, style, request)

    change = result.metrics["final_equity"] - request.initial_cash  # type: ignore[operator]  # a number
    turnover = (
        result.trades["quantity"] * (result.trades["entry_price"] + result.trades["exit_price"])
    ).sum()
    assert result.trades["pnl"].sum() == pytest.approx(change, abs=1e-12 * (request.initial_cash + turnover))


@cheap
@given(seed=seeds, style=styles, request=requests, chunk_bars=st.integers(1, 61))
def test_the_size_of_chunks_changes_no_bit(
    seed: int, style: str, request: BacktestRequest, chunk_bars: int
) -> None:
    rng = np.random.default_rng(seed)
    candles = candles_of(generated_rows(rng, 60, style, 1.0))
    signals = check_signals("scripted", generated_signals(rng, 60), 60)

    def simulated(chunk: int) -> list[bytes]:
        asked = settings_of(request, request.max_hold_bars)
        outcome, curve = simulate_symbol(
            candles, signals, asked, request.initial_cash, chunk, lambda bars: None
        )
        arrays = (outcome.trades, curve.equity, curve.cash, curve.gross)
        return [array.tobytes() for array in arrays]

    assert simulated(chunk_bars) == simulated(60)


@cheap
@given(seed=seeds, style=styles, request=requests)
def test_the_same_request_and_candles_give_the_same_bytes(
    seed: int, style: str, request: BacktestRequest
) -> None:
    once, again = played(seed, style, request), played(seed, style, request)

    for name in ("signals", "trades", "equity"):
        assert getattr(once, name).to_csv() == getattr(again, name).to_csv()
    assert repr(once.metrics) == repr(again.metrics)


@cheap
@given(seed=seeds, style=styles, request=requests)
def test_doubled_prices_leave_returns_unchanged(seed: int, style: str, request: BacktestRequest) -> None:
    plain, doubled = (played(seed, style, request, scale=scale, quantity_step=0.0) for scale in (1.0, 2.0))

    assert doubled.equity["equity"].tolist() == plain.equity["equity"].tolist()
    assert doubled.trades["return_frac"].tolist() == plain.trades["return_frac"].tolist()
    assert (doubled.trades["quantity"] * 2).tolist() == plain.trades["quantity"].tolist()


@cheap
@given(seed=seeds, style=styles, request=requests)
def test_another_symbol_leaves_a_symbols_trades_unchanged(
    seed: int, style: str, request: BacktestRequest
) -> None:
    rng = np.random.default_rng(seed)
    candles = {
        "X": candles_of(generated_rows(rng, 60, style, 1.0)),
        "Y": candles_of(generated_rows(rng, 45, style, 1.0), symbol="Y", start="2024-01-20"),
    }
    strategy = Scripted({"X": generated_signals(rng, 60), "Y": generated_signals(rng, 45)})
    cash = request.initial_cash
    alone = request.model_copy(update={"symbols": ("X",)})
    together = request.model_copy(update={"symbols": ("Y", "X"), "initial_cash": 2 * cash})

    by_itself = run(candles, alone, strategy, StrategyParams())
    with_other = run(candles, together, strategy, StrategyParams())

    own = with_other.trades[with_other.trades["symbol"] == "X"].reset_index(drop=True)
    assert own.equals(by_itself.trades)
    assert with_other.by_symbol["X"] == by_itself.metrics


@cheap
@given(
    seed=seeds,
    style=styles,
    fee_bps=st.sampled_from([1.0, 100.0, 2_000.0]),
    slippage_bps=st.sampled_from([1.0, 100.0, 2_000.0]),
    direction=st.sampled_from(["long", "short", "both"]),
    position_frac=st.sampled_from([1.0, 0.3]),
    fill=st.sampled_from(["next_open", "close"]),
)
def test_fees_and_slippage_never_help(seed: int, style: str, **fields: Any) -> None:
    """Without stops, whose levels hang on the fill price: a worse fill may move one out of harm's way."""
    rng = np.random.default_rng(seed)
    rows, signals = generated_rows(rng, 60, style, 1.0), generated_signals(rng, 60)
    fees, slippage = fields.pop("fee_bps"), fields.pop("slippage_bps")

    def final(**costs: Any) -> float:
        return float(play(rows, signals, **fields, **costs).equity["equity"].iloc[-1])

    assert final(fee_bps=fees) <= final() * (1 + 1e-12)
    assert final(slippage_bps=slippage) <= final() * (1 + 1e-12)
    assert final(fee_bps=fees, slippage_bps=slippage) <= final(fee_bps=fees) * (1 + 1e-12)


@cheap
@given(seed=seeds, style=styles, request=requests)
def test_trades_never_overlap_and_cost_no_more_than_there_was(
    seed: int, style: str, request: BacktestRequest
) -> None:
    result = played(seed, style, request)

    trades = result.trades
    assert (trades["quantity"] > 0).all()
    assert (trades["entry_time"].iloc[1:].to_numpy() >= trades["exit_time"].iloc[:-1].to_numpy()).all()
    if request.quantity_step:
        steps = trades["quantity"] / request.quantity_step
        assert steps.to_numpy() == pytest.approx(np.round(steps.to_numpy()), rel=1e-12)


def test_a_long_position_spends_all_cash_and_not_one_digit_more() -> None:
    prices = np.random.default_rng(7).uniform(0.1, 900.0, 500)
    signals = Signals(entry=np.array([True, False]))
    for price in prices:
        result = play([[price] * 4] * 2, signals, fee_bps=7.3, fee_fixed=0.9)
        cash = result.equity["cash"].iloc[-1]
        assert 0 <= cash < 1e-9
