"""Which kernel a request needs, and how the account is run: one a symbol, or one for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.account_market import AccountMarket
from backtest_pipeline.engine.account_records import rules_of, steps_of_target
from backtest_pipeline.engine.account_run import (
    account_curve,
    own_curve,
    run_account,
    signal_arrays_of,
    volatility_fractions,
)
from backtest_pipeline.engine.accounts import Curve, Outcome, simulate_symbol
from backtest_pipeline.engine.records import settings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.account_arrays import SignalArrays, Targets
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.signal_checks import CheckedSignals

MOST_MARKETS = 512

_SIMPLE: Mapping[str, Any] = {
    "account": "split",
    "sizing": "fraction",
    "leverage": 1,
    "maintenance_margin_frac": None,
    "borrow_apr": 0,
    "funding": False,
    "max_entries": 1,
    "detail_timeframe": None,
    "on_conflict": "exit",
    "trailing_activation_frac": None,
    "same_bar_trail": "proven",
    "take_profit_steps": (),
}
"""Fields of which any other value needs the kernel of accounts; signals with prices or sizes do too."""


@dataclass(frozen=True, eq=False, slots=True)
class Extras:
    """What some requests need beside candles.

    Attributes:
        detail: finer candles by symbol.
        funding: rates by symbol.
    """

    detail: Mapping[str, Candles] | None = None
    funding: Mapping[str, FundingRates] | None = None


class Markets:
    """The markets that accounts have traded, so that backtests of the same candles share them.

    Args:
        extras: finer candles and funding rates.
    """

    def __init__(self, extras: Extras) -> None:
        self._extras = extras
        self._made: dict[tuple[int, ...], AccountMarket] = {}

    def of(self, candles: Sequence[Candles]) -> AccountMarket:
        """The market of these very candles, in the request's order."""
        key = tuple(id(own) for own in candles)
        if key not in self._made:
            if len(self._made) >= MOST_MARKETS:
                self._made.clear()
            self._made[key] = AccountMarket.of(candles, self._extras.detail, self._extras.funding)
        return self._made[key]


@dataclass(frozen=True, eq=False, slots=True)
class Traded:
    """One symbol's part in a backtest.

    Attributes:
        candles: those that are traded.
        signals: of the same bars.
        hold_bars: after how many a position is closed; `None`: never.
        periods_per_year: of the symbol's calendar.
    """

    candles: Candles
    signals: CheckedSignals
    hold_bars: int | None
    periods_per_year: float


@dataclass(frozen=True, eq=False, slots=True)
class SharedAccount:
    """What the account that all symbols share did.

    Attributes:
        outcomes: each symbol's, in the request's order.
        own: each symbol's own curve, in the same order, whose changes add up to the account's.
        joint: the account.
        changes: shape (m,), dtype `CHANGE`, its symbols counted in the market's order.
        market: what it traded.
    """

    outcomes: Sequence[Outcome]
    own: Sequence[Curve]
    joint: Curve
    changes: NDArray[Any]
    market: AccountMarket


def is_simple(request: BacktestRequest) -> bool:
    """Whether a request asks for nothing that only the kernel of accounts has."""
    return all(getattr(request, name) == value for name, value in _SIMPLE.items())


def with_sizes(traded: Traded, request: BacktestRequest) -> CheckedSignals:
    """The signals with the sizes that the request's volatility gives to entries without one."""
    if request.target_volatility is None:
        return traded.signals
    sizes = volatility_fractions(traded.candles.close, traded.periods_per_year, request.target_volatility)
    given = traded.signals.levels.get("size_frac")
    if given is not None:
        sizes = np.where(np.isnan(given), sizes, given)
    return traded.signals.with_level("size_frac", sizes)


def run_alone(
    traded: Traded,
    request: BacktestRequest,
    initial_cash: float,
    chunk_bars: int,
    after_chunk: Callable[[int], None],
    markets: Markets,
) -> tuple[Outcome, Curve]:
    """Runs the account that a symbol has for itself.

    Args:
        traded: the symbol.
        request: what is asked for.
        initial_cash: the symbol's share.
        chunk_bars: bars between two calls of `after_chunk`; no result depends on it.
        after_chunk: takes the number of bars just done.
        markets: finer candles and funding rates, and what was made of them.
    """
    if is_simple(request) and not traded.signals.levels:
        settings = settings_of(request, traded.hold_bars)
        return simulate_symbol(
            traded.candles, traded.signals, settings, initial_cash, chunk_bars, after_chunk
        )
    market = markets.of([traded.candles])
    outcome = run_account(
        market,
        rules_of(request, traded.hold_bars),
        steps_of_target(request),
        signal_arrays_of([with_sizes(traded, request)]),
        initial_cash,
        with_own=False,
        chunk_steps=chunk_bars,
        after_chunk=after_chunk,
    )
    return outcome.outcomes[0], account_curve(market, outcome, initial_cash)


def run_shared(
    traded: Sequence[Traded],
    request: BacktestRequest,
    chunk_bars: int,
    after_chunk: Callable[[int], None],
    markets: Markets,
    *,
    signals: SignalArrays | None = None,
    targets: Callable[[AccountMarket], Targets] | None = None,
) -> SharedAccount:
    """Runs the account that all symbols share.

    Args:
        traded: the symbols, in the request's order.
        request: what is asked for.
        chunk_bars: bars of all symbols between two calls of `after_chunk`, about.
        after_chunk: takes the number of bars just done, about; they add up.
        markets: finer candles and funding rates, and what was made of them.
        signals: instead of the symbols' signals.
        targets: makes the target weights of a portfolio for the market.
    """
    market = markets.of([own.candles for own in traded])
    steps, bars = len(market.step_us), len(market.bars.open)
    done = [0, 0]

    def after_steps(count: int) -> None:
        done[0] += count
        reached = bars * done[0] // steps
        after_chunk(reached - done[1])
        done[1] = reached

    outcome = run_account(
        market,
        rules_of(request, traded[0].hold_bars),
        steps_of_target(request),
        signals or signal_arrays_of([with_sizes(traded[place], request) for place in market.ranks]),
        request.initial_cash,
        targets=targets(market) if targets else None,
        chunk_steps=max(1, chunk_bars * steps // bars),
        after_chunk=after_steps,
    )
    place_of = {rank: place for place, rank in enumerate(market.ranks)}
    order = [place_of[place] for place in range(len(traded))]
    cash = request.initial_cash
    return SharedAccount(
        [outcome.outcomes[place] for place in order],
        [own_curve(market, outcome, place, cash) for place in order],
        account_curve(market, outcome, cash),
        outcome.changes,
        market,
    )
