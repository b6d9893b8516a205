"""The kernel of accounts and a whole run, called with a case; the kernel returns the simulator's outcome."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest_pipeline.engine.account_arrays import Targets
from backtest_pipeline.engine.account_choice import Extras, Traded, with_sizes
from backtest_pipeline.engine.account_market import AccountMarket
from backtest_pipeline.engine.account_records import SKIPPED, rules_of, steps_of_target
from backtest_pipeline.engine.account_run import no_signal_arrays, run_account, signal_arrays_of
from backtest_pipeline.engine.kernel import EXIT_REASONS
from backtest_pipeline.engine.records import TRADE
from backtest_pipeline.engine.run import run
from backtest_pipeline.model.funding_rates import FundingRates
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.signal_checks import check_signals
from backtest_pipeline.model.strategy import StrategyParams
from backtest_pipeline_tests.engine.account_cases import PERIODS, AccountCase, target_weights_of
from backtest_pipeline_tests.engine.reference_holdings import AccountOutcome, AccountTrade, Change
from backtest_pipeline_tests.engine.scripted import Scripted, ScriptedWeights

SIDES = {1: "long", -1: "short"}


def computed_by_the_account_kernel(case: AccountCase, chunk_steps: int = 0) -> AccountOutcome:
    """What the kernel makes of a case, all symbols in one account."""
    request = case.request
    candles = [case.candles[symbol] for symbol in request.symbols]
    funding = {symbol: FundingRates(symbol, *rates) for symbol, rates in case.funding.items()}
    market = AccountMarket.of(
        candles,
        case.details if request.detail_timeframe is not None else None,
        funding if request.funding else None,
    )
    periods = PERIODS[request.timeframe]
    targets = None
    if case.weights is None:
        traded = [
            Traded(
                own,
                check_signals("scripted", case.signals[own.symbol], len(own)),
                request.max_hold_bars,
                periods,
            )
            for own in market.candles
        ]
        signals = signal_arrays_of([with_sizes(own, request) for own in traded])
    else:
        signals, targets = no_signal_arrays(len(market.bars.open)), _targets(case, market)
    outcome = run_account(
        market,
        rules_of(request, request.max_hold_bars),
        steps_of_target(request),
        signals,
        request.initial_cash,
        targets=targets,
        chunk_steps=chunk_steps,
    )
    names = [own.symbol for own in market.candles]
    skipped: Counter[str] = Counter()
    for own in outcome.outcomes:
        skipped.update({reason: count for reason, count in _skipped(own).items() if count})
    return AccountOutcome(
        [
            trade
            for name, own in zip(names, outcome.outcomes, strict=True)
            for trade in _trades(name, own.trades)
        ],
        [
            Change(
                names[row["symbol"]],
                int(row["bar"]),
                float(row["quantity"]),
                float(row["price"]),
                float(row["quantity"] * row["price"]),
                float(row["weight"]),
            )
            for row in outcome.changes
        ],
        skipped,
        market.step_us.tolist(),
        outcome.equity.tolist(),
        outcome.cash.tolist(),
        outcome.gross.tolist(),
        market.row_steps.tolist(),
    )


def computed_by_the_engine(case: AccountCase) -> BacktestResult:
    """What a whole run makes of a case, all symbols in one account."""
    funding = {symbol: FundingRates(symbol, *rates) for symbol, rates in case.funding.items()}
    strategy = Scripted(case.signals) if case.weights is None else ScriptedWeights(case.weights)
    extras = Extras(
        detail=case.details if case.request.detail_timeframe is not None else None,
        funding=funding if case.request.funding else None,
    )
    return run(case.candles, case.request, strategy, StrategyParams(), extras=extras)


def _skipped(outcome: Any) -> dict[str, int]:
    fields = ("skipped_entries", "without_slot", "without_stop", "without_volatility")
    return {reason: int(getattr(outcome, field)) for reason, field in zip(SKIPPED, fields, strict=True)}


def _trades(symbol: str, rows: NDArray[Any]) -> list[AccountTrade]:
    trades = []
    for row in rows:
        values = dict(zip(TRADE.names or (), row.tolist(), strict=True))
        values["side"] = SIDES[values["side"]]
        values["exit_reason"] = EXIT_REASONS[values.pop("reason") - 1]
        values["bars_held"] = values["exit_bar"] - values["entry_bar"]
        trades.append(AccountTrade(symbol=symbol, **values))
    return trades


def _targets(case: AccountCase, market: AccountMarket) -> Targets:
    assert case.weights is not None
    wanted = target_weights_of(case)
    steps, weights = [], []
    for row, by_symbol in enumerate(wanted.rows):
        if wanted.is_acted_upon(row):
            steps.append(int(market.row_steps[row]))
            weights.append([by_symbol[own.symbol] for own in market.candles])
    return Targets(
        np.array(steps, dtype=np.int64),
        np.array(weights, dtype=np.float64).reshape(-1),
        np.array([case.weights.drift_frac]),
    )
