"""Remarks that a reader of the numbers should know, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.kernel import END_OF_DATA, LIQUIDATION
from backtest_pipeline.engine.metrics.curve_kernels import DAY_US, SHORTEST_FOR_ANNUAL_US
from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.gaps import gap_steps

if TYPE_CHECKING:
    from backtest_pipeline.engine.accounts import Outcome
    from backtest_pipeline.engine.calendar import Calendar
    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.schedule import Schedule

FEW_TRADES = 30
MOST_NAMES = 5


def diagnose(
    request: BacktestRequest,
    candles: Sequence[Candles],
    calendars: Mapping[str, Calendar],
    outcomes: Sequence[Outcome],
    schedules: Mapping[str, Schedule],
) -> list[str]:
    """Looks for what makes a result doubtful.

    Args:
        request: what was asked.
        candles: each symbol's candles.
        calendars: each symbol's calendar.
        outcomes: each symbol's outcome, in the order of the candles.
        schedules: by symbol, its exchange's sessions where they are known.
    """
    remarks = list(_about_trades(outcomes))
    if request.fill == "close":
        remarks.append(remark_texts.FILLS_AT_CLOSE)
    counts = {
        remark_texts.LEFT_OPEN: [_left_open(own) for own in outcomes],
        remark_texts.LIQUIDATED: [_liquidations(own) for own in outcomes],
        remark_texts.HAS_GAPS: [
            _positions_with_gaps(one, calendars[one.symbol], own, schedules.get(one.symbol))
            for one, own in zip(candles, outcomes, strict=True)
        ],
        remark_texts.WITHOUT_VOLUME: [
            _fills_without_volume(one, own) for one, own in zip(candles, outcomes, strict=True)
        ],
        remark_texts.SKIPPED: [own.skipped_entries for own in outcomes],
        remark_texts.SKIPPED_SLOTS: [own.without_slot for own in outcomes],
        remark_texts.SKIPPED_STOP: [own.without_stop for own in outcomes],
        remark_texts.SKIPPED_VOLATILITY: [own.without_volatility for own in outcomes],
    }
    for what, per_symbol in counts.items():
        names = [one.symbol for one, count in zip(candles, per_symbol, strict=True) if count]
        if names:
            times = sum(per_symbol)
            template = remark_texts.template_of_symbols(what, one_symbol=len(names) == 1, once=times == 1)
            remarks.append(template.format(_listed(names), f"{times:,}"))
    remarks.extend(_about_financing(outcomes))
    return remarks


def _about_financing(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What borrowing and funding cost in all."""
    interest, funding = (
        math.fsum(getattr(own, name) for own in outcomes) for name in ("interest_paid", "funding_paid")
    )
    if interest > 0.0:
        yield remark_texts.INTEREST_PAID.format(f"{interest:,.2f}")
    if funding > 0.0:
        yield remark_texts.FUNDING_PAID.format(f"{funding:,.2f}")
    elif funding < 0.0:
        yield remark_texts.FUNDING_RECEIVED.format(f"{-funding:,.2f}")


def about_years(calendars: Mapping[str, Calendar], elapsed_us: int) -> Iterator[str]:
    """Remarks on annual metrics.

    Args:
        calendars: each symbol's calendar.
        elapsed_us: time from the first bar's open to the last bar's end, in microseconds.
    """
    if elapsed_us < SHORTEST_FOR_ANNUAL_US:
        spans = remark_texts.SPANS_A_DAY if elapsed_us == DAY_US else remark_texts.SPANS_DAYS
        yield spans.format(f"{elapsed_us / DAY_US:.3g}", SHORTEST_FOR_ANNUAL_US // DAY_US)
        return
    assumed = [symbol for symbol, own in calendars.items() if own.source == "assumed"]
    if assumed:
        years = {round(calendars[symbol].periods_per_year): None for symbol in assumed}
        bars = " or ".join(f"{count:,}" for count in years)
        yield remark_texts.YEAR_ASSUMED.format(_listed(assumed), bars)
    wrong = [symbol for symbol, own in calendars.items() if own.contradicted]
    if wrong:
        names = dict.fromkeys(str(calendars[symbol].name) for symbol in wrong)
        first = calendars[wrong[0]]
        shows = remark_texts.RESTS if first.always_open else remark_texts.NEVER_RESTS
        yield shows.format(_listed(wrong), ", ".join(names), first.source)


def about_warm_up(seen: Sequence[SeenCandles], warmup_bars: int) -> Iterator[str]:
    """A remark where there are fewer candles before `start` than are to warm the strategy up."""
    short = [own for own in seen if own.warmup_bars < warmup_bars]
    if short:
        least = min(own.warmup_bars for own in short)
        lacks = remark_texts.LACKS_WARM_UP_BAR if warmup_bars == 1 else remark_texts.LACKS_WARM_UP_BARS
        yield lacks.format(_listed([own.candles.symbol for own in short]), f"{warmup_bars:,}", f"{least:,}")


def _about_trades(outcomes: Sequence[Outcome]) -> Iterator[str]:
    pnl = np.concatenate([own.trades["pnl"] for own in outcomes])
    if not len(pnl):
        yield remark_texts.NO_TRADE
        return
    if len(pnl) < FEW_TRADES:
        yield (
            remark_texts.ONE_TRADE.format(FEW_TRADES)
            if len(pnl) == 1
            else remark_texts.FEW_TRADES.format(len(pnl), FEW_TRADES)
        )
    if len(pnl) > 1 and pnl.sum() > 0.0 >= pnl.sum() - pnl.max():
        yield remark_texts.ONE_TRADE_IS_ALL


def _left_open(outcome: Outcome) -> int:
    return int(np.count_nonzero(outcome.trades["reason"] == END_OF_DATA))


def _liquidations(outcome: Outcome) -> int:
    return int(np.count_nonzero(outcome.trades["reason"] == LIQUIDATION))


def _positions_with_gaps(
    candles: Candles, calendar: Calendar, outcome: Outcome, schedule: Schedule | None
) -> int:
    """Positions that were open while candles are missing, by what `model.gaps` calls a gap."""
    if not len(outcome.trades):
        return 0
    gaps = gap_steps(candles.timestamp, candles.timeframe, schedule, always_open=calendar.always_open)
    entries, exits = (outcome.trades[name] for name in ("entry_bar", "exit_bar"))
    return int(np.count_nonzero(np.searchsorted(gaps, exits) > np.searchsorted(gaps, entries)))


def _fills_without_volume(candles: Candles, outcome: Outcome) -> int:
    trades = outcome.trades
    exits = trades["exit_bar"][trades["reason"] != END_OF_DATA]
    entries_without = np.count_nonzero(candles.volume[trades["entry_bar"]] == 0.0)
    return int(entries_without + np.count_nonzero(candles.volume[exits] == 0.0))


def _listed(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"
