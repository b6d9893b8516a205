"""Numbers of a shared account that only its report shows: weights, turnover, what each symbol contributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.holdings import holdings_of
from backtest_pipeline.model.remark_texts import SKIPPED_BY_REASON, recognised, template_of_symbols

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.result import BacktestResult

    Floats = NDArray[np.float64]
    Moments = NDArray[np.datetime64]

MOST_STRETCHES = 500
"""Of bars, whose mean weights are drawn."""
YEAR_US = 365.25 * 86_400_000_000


@dataclass(frozen=True, eq=False, slots=True)
class Contribution:
    """What one symbol did for the account.

    Attributes:
        symbol: which.
        pnl: of all its trades, in quote currency.
        frac: that over the initial cash; all symbols' add up to the total return.
        trades: how many.
        fees: of these.
        mean_weight: mean of the size of its weight over all bars.
        held_frac: share of the bars at whose close it was held.
    """

    symbol: str
    pnl: float
    frac: float
    trades: int
    fees: float
    mean_weight: float
    held_frac: float


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A shared account over time.

    Attributes:
        moment: shape (n,), `datetime64[us]`, of the account's bars.
        starts: shape (k,), the first bar of each stretch that weights are the mean of: a bar, or several.
        longs, shorts: by symbol that was ever held, shape (k,): value at the close over equity, of long and
            of short positions, both positive.
        positions: shape (n,), how many are open at each close.
        gross, net: shape (n,), positions over equity, the shorts added, or taken off.
        traded_time, traded_value: of each purchase and sale, microseconds since 1970 and market value.
        contributions: of each symbol of the request, the largest profit first.
        equity: shape (n,).
    """

    moment: Moments
    starts: NDArray[np.int64]
    longs: Mapping[str, Floats]
    shorts: Mapping[str, Floats]
    positions: NDArray[np.int64]
    gross: Floats
    net: Floats
    traded_time: NDArray[np.int64]
    traded_value: Floats
    contributions: Sequence[Contribution]
    equity: Floats

    @cached_property
    def by_weight(self) -> list[str]:
        """The symbols that were ever held, the largest mean size of weight first."""
        size = {one.symbol: one.mean_weight for one in self.contributions}
        return sorted(self.longs, key=lambda symbol: (-size[symbol], symbol))

    @cached_property
    def turnover_by_month(self) -> tuple[Moments, Floats]:
        """The months from the first to the last, and half of what was traded in each over its mean equity."""
        months = self.moment.astype("datetime64[M]")
        all_months = np.arange(months[0], months[-1] + 1)
        traded = self.traded_time.astype("datetime64[us]").astype("datetime64[M]")
        place = np.clip((traded - all_months[0]).astype(np.int64), 0, len(all_months) - 1)
        value = np.bincount(place, self.traded_value, minlength=len(all_months))
        of_bar = (months - all_months[0]).astype(np.int64)
        bars = np.bincount(of_bar, minlength=len(all_months))
        mean = np.divide(
            np.bincount(of_bar, self.equity, minlength=len(all_months)),
            bars,
            out=np.zeros(len(all_months)),
            where=bars > 0,
        )
        return all_months, np.divide(0.5 * value, mean, out=np.zeros(len(all_months)), where=mean > 0.0)

    @property
    def turnover_a_year(self) -> float | None:
        """Half of all that was traded over the mean equity, a year; none for less than a month."""
        span_us = float((self.moment[-1] - self.moment[0]).astype(np.int64))
        if span_us < YEAR_US / 12 or self.equity.mean() <= 0.0:
            return None
        return float(0.5 * self.traded_value.sum() / self.equity.mean() / (span_us / YEAR_US))


def portfolio_of(result: BacktestResult, candles: Mapping[str, Candles]) -> Portfolio | None:
    """The portfolio of a result; none where it has an account a symbol.

    Args:
        result: of a backtest.
        candles: those that the backtest saw, by symbol; what is held of symbols without any is valued as it
            was when it last changed.
    """
    if result.positions is None:
        return None
    moment = result.equity["timestamp"].dt.tz_localize(None).to_numpy("datetime64[us]")
    time = moment.view(np.int64)
    equity, cash, gross = (
        result.equity[name].to_numpy(np.float64) for name in ("equity", "cash", "exposure_frac")
    )
    count = min(len(moment), MOST_STRETCHES)
    starts = np.linspace(0, len(moment), count, endpoint=False).astype(np.int64)
    bars = np.diff(np.append(starts, len(moment)))
    open_positions = np.zeros(len(moment), dtype=np.int64)
    longs, shorts, sizes = {}, {}, {}
    for symbol, held in holdings_of(result.positions).items():
        quantity = held.at(time)
        known = candles.get(symbol)
        value = held.value_at(time) if known is None else quantity * known.closes_known_at(moment)
        weight = _over(value, equity)
        open_positions += quantity != 0.0
        longs[symbol] = np.add.reduceat(np.maximum(weight, 0.0), starts) / bars
        shorts[symbol] = np.add.reduceat(np.maximum(-weight, 0.0), starts) / bars
        sizes[symbol] = float(np.abs(weight).mean()), float((quantity != 0.0).mean())
    traded_time, traded_value = _traded(result)
    return Portfolio(
        moment,
        starts,
        longs,
        shorts,
        open_positions,
        gross,
        _over(equity - cash, equity),
        traded_time,
        traded_value,
        _contributions(result, sizes),
        equity,
    )


def skipped_entries(result: BacktestResult) -> dict[str, int]:
    """How many entries were skipped, by reason, those of which there are any; as the remarks say it."""
    found: dict[str, int] = {}
    of_template = {
        template_of_symbols(what, one_symbol=one, once=once): reason
        for reason, what in SKIPPED_BY_REASON.items()
        for one in (False, True)
        for once in (False, True)
    }
    for remark in result.diagnostics:
        sentence = recognised(remark)
        if sentence is not None and sentence.template in of_template:
            reason = of_template[sentence.template]
            found[reason] = found.get(reason, 0) + int(sentence.values[1].replace(",", ""))
    return found


def _over(values: Floats, equity: Floats) -> Floats:
    return np.divide(values, equity, out=np.zeros(len(values)), where=equity > 0.0)


def _traded(result: BacktestResult) -> tuple[NDArray[np.int64], Floats]:
    """Each purchase and sale: exits from the trades, and entries from what positions grew by."""
    trades, positions = result.trades, result.positions
    ended = (trades["exit_reason"] != "end_of_data").to_numpy(bool)
    leaving = trades[ended]
    times = [leaving["exit_time"].dt.tz_localize(None).to_numpy("datetime64[us]").view(np.int64)]
    values = [leaving["quantity"].to_numpy(np.float64) * leaving["exit_price"].to_numpy(np.float64)]
    for held in holdings_of(positions).values() if positions is not None else ():
        before = np.concatenate([[0.0], held.quantity[:-1]])
        kept = np.where(np.sign(before) == np.sign(held.quantity), np.abs(before), 0.0)
        grown = np.maximum(np.abs(held.quantity) - kept, 0.0)
        price = np.divide(held.value, held.quantity, out=np.zeros(len(grown)), where=held.quantity != 0.0)
        times.append(held.time[grown > 0.0])
        values.append((grown * price)[grown > 0.0])
    return np.concatenate(times), np.concatenate(values)


def _contributions(result: BacktestResult, sizes: Mapping[str, tuple[float, float]]) -> list[Contribution]:
    cash = result.request.initial_cash
    groups = {str(symbol): own for symbol, own in result.trades.groupby("symbol")}
    found = []
    for symbol in result.request.symbols:
        trades = groups.get(symbol, result.trades.iloc[:0])
        pnl, fees = float(trades["pnl"].sum()), float(trades["fees"].sum())
        size, share = sizes.get(symbol, (0.0, 0.0))
        found.append(Contribution(symbol, pnl, pnl / cash, len(trades), fees, size, share))
    return sorted(found, key=lambda one: -one.pnl)
