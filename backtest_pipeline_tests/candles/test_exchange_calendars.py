"""Years and gaps of real exchanges, 2015 to 2025, against the library that knows their sessions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pandas.errors import Pandas4Warning

from backtest_pipeline.candles.schedules import schedule_of
from backtest_pipeline.engine.calendar import read_calendar
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.exchanges import ALIASES, exchange_names, timezone_of
from backtest_pipeline.model.gaps import Gaps, find_gaps
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.run_backtest import run_backtest

with warnings.catch_warnings():
    # Both libraries use what pandas 3.1 deprecates, and that is for them to change.
    warnings.simplefilter("ignore", Pandas4Warning)
    warnings.simplefilter("ignore", FutureWarning)
    import exchange_calendars
    import quantstats.stats

Moments = NDArray[np.datetime64]

# Bars of a whole session by the hour, where bars begin anew after lunch and where they keep to the clock.
HOURLY_BARS = {
    "XNYS": (7, 7),  # 9:30 to 16:00
    "XKRX": (7, 7),  # 9:00 to 15:30
    "XETR": (9, 9),  # 9:00 to 17:30
    "XSAU": (5, 5),  # 10:00 to 15:00, Sunday to Thursday
    "XTKS": (6, 6),  # 9:00 to 11:30 and 12:30 to 15:00 (15:30 since November 2024)
    "XSHG": (4, 5),  # 9:30 to 11:30 and 13:00 to 15:00; on the clock 9, 10, 11, 13, 14
    "24/7": (24, 24),
}


@dataclass(frozen=True, eq=False)
class Sessions:
    """An exchange's sessions of eleven years; XSAU is known from 2021 on."""

    days: pd.DatetimeIndex
    zone: str
    table: pd.DataFrame

    def daily(self, zone: str) -> Moments:
        return _moments(self.days.tz_localize(zone))

    def hourly(self, *, on_the_clock: bool) -> Moments:
        """Each hour in which the market is open, from the opening on or by the clock."""
        begin, stop, again, end = (
            _moments(pd.DatetimeIndex(self.table[name])).astype("datetime64[s]")
            for name in ("open", "break_start", "break_end", "close")
        )
        broken = ~np.isnat(stop)
        first = np.concatenate([begin, again[broken]])
        last = np.concatenate([np.where(broken, stop, end), end[broken]])
        if on_the_clock:
            first = first.astype("datetime64[h]").astype("datetime64[s]")
        count = -(-(last - first).astype(np.int64) // 3_600)
        nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.unique(
            (np.repeat(first, count) + nth * np.timedelta64(3_600, "s")).astype("datetime64[us]")
        )


def _moments(index: pd.DatetimeIndex) -> Moments:
    return index.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")


@cache
def sessions(name: str) -> Sessions:
    start = "2021-01-01" if name == "XSAU" else "2015-01-01"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pandas4Warning)  # as above
        calendar = exchange_calendars.get_calendar(name, start=start, end="2025-12-31")
        return Sessions(calendar.sessions, str(calendar.tz), calendar.schedule)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(tmp_path_factory.mktemp("store"))


def bars_of(name: str, kind: str) -> tuple[Moments, Timeframe]:
    if kind == "daily, market's zone":
        return sessions(name).daily(sessions(name).zone), "1d"
    if kind == "daily, UTC":
        return sessions(name).daily("UTC"), "1d"
    return sessions(name).hourly(on_the_clock=kind == "hourly, on the clock"), "1h"


def candles_of(moments: Moments, timeframe: Timeframe, name: str | None = None, seed: int = 1) -> Candles:
    """A random walk on the bars, of a symbol with this calendar recorded."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0002, 0.01, len(moments))))
    columns: dict[str, NDArray[Any]] = dict.fromkeys(("open", "high", "low", "close"), close)
    columns |= {"timestamp": moments, "volume": np.ones(len(moments))}
    candles = Candles.from_arrays("X", timeframe, columns)
    return replace(candles, record=SymbolRecord.of(name) if name else None)


def held(candles: Candles, **asked: Any) -> BacktestResult:
    request = BacktestRequest(
        strategy="buy_and_hold", symbols=["X"], timeframe=candles.timeframe, fee_bps=0, fill="close", **asked
    )
    return run_backtest({"X": candles}, request)


KINDS = ("daily, market's zone", "daily, UTC", "hourly, from the opening", "hourly, on the clock")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOURLY_BARS)
def test_bars_a_year_gaps_and_growth_are_those_of_the_exchange(name: str, kind: str, layout: Layout) -> None:
    moments, timeframe = bars_of(name, kind)
    days = 365 if name == "24/7" else 252
    of_a_day = HOURLY_BARS[name][kind == KINDS[3]] if timeframe == "1h" else 1

    read = read_calendar(moments, timeframe)
    assert (read.periods_per_year, read.source) == (days * of_a_day, "read")
    result = held(candles_of(moments, timeframe, name))
    assert result.metrics["periods_per_year"] == days * of_a_day
    assert result.calendars is not None
    assert (result.calendars.account.calendar, result.calendars.account.source) == (name, "recorded")

    elapsed = moments[-1] - moments[0] + np.timedelta64(BAR_SECONDS[timeframe], "s")
    years = elapsed / np.timedelta64(1, "us") / (365.25 * 86_400e6)
    growth = 1 + float(result.metrics["total_return"] or 0)
    assert result.metrics["cagr"] == pytest.approx(growth ** (1 / years) - 1, rel=1e-12)

    schedule = None if name == "24/7" else schedule_of(layout, name, moments[0], moments[-1])
    gaps = find_gaps(moments, timeframe, schedule, always_open=name == "24/7")
    assert (gaps.count, gaps.missing_sessions) == (0, ())
    assert find_gaps(moments, timeframe) == Gaps(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in HOURLY_BARS if name != "24/7"])
def test_a_missing_session_is_a_gap_and_named(name: str, layout: Layout) -> None:
    days = sessions(name).days
    at = len(days) // 2
    missing = days[[at, at + 5, at + 6]]
    expected = tuple(str(day.date()) for day in missing)
    for zone in (sessions(name).zone, "UTC", "Asia/Seoul", "Pacific/Auckland"):
        moments = np.delete(sessions(name).daily(zone), [at, at + 5, at + 6])
        gaps = find_gaps(moments, "1d", schedule_of(layout, name, moments[0], moments[-1]))
        assert (gaps.count, gaps.largest_bars, gaps.missing_sessions) == (2, 2, expected), zone

    hours = sessions(name).hourly(on_the_clock=False)
    opens, closes = (_moments(pd.DatetimeIndex(sessions(name).table[end])) for end in ("open", "close"))
    out = (hours >= opens[at]) & (hours < closes[at])
    gaps = find_gaps(hours[~out], "1h", schedule_of(layout, name, hours[0], hours[-1]))
    assert (gaps.count, gaps.missing_sessions) == (1, expected[:1])


def test_a_missing_hour_of_a_session_is_a_gap_and_an_early_close_is_none(layout: Layout) -> None:
    hours = sessions("XNYS").hourly(on_the_clock=False)
    schedule = schedule_of(layout, "XNYS", hours[0], hours[-1])
    # 2024-11-29 closes at 13:00 in New York: bars at 14:30, 15:30, 16:30 and 17:30 UTC
    friday = hours[hours.astype("datetime64[D]") == np.datetime64("2024-11-29")]
    assert len(friday) == 4
    assert find_gaps(hours, "1h", schedule).count == 0
    gaps = find_gaps(np.setdiff1d(hours, friday[1:2]), "1h", schedule)
    assert (gaps.count, gaps.largest_bars, gaps.missing_sessions) == (1, 1, ())


def test_holes_change_neither_bars_a_year_nor_the_market() -> None:
    rng = np.random.default_rng(3)
    for name, bars in (("XNYS", 7), ("XKRX", 7), ("XETR", 9), ("24/7", 24)):
        moments, _ = bars_of(name, KINDS[2])
        days = 365 if name == "24/7" else 252
        for share in (0.05, 0.2, 0.3):
            kept = moments[rng.random(len(moments)) > share]
            assert read_calendar(kept, "1h").periods_per_year == days * bars, (name, share)
        year = (moments >= np.datetime64("2019-03-01")) & (moments < np.datetime64("2020-03-01"))
        assert read_calendar(moments[~year], "1h").periods_per_year == days * bars


def test_bars_outside_of_what_the_library_knows_are_judged_by_themselves(layout: Layout) -> None:
    # XSAU is known from 2021: before, a missing week of Sunday to Thursday is seen and weekends are no gap.
    days = pd.date_range("2019-01-06", "2021-12-30", freq="D")
    days = days[~days.day_of_week.isin([4, 5])]
    week = (days >= pd.Timestamp("2019-10-20")) & (days < pd.Timestamp("2019-10-27"))
    moments = days[~week].to_numpy().astype("datetime64[us]")
    schedule = schedule_of(layout, "XSAU", moments[0], moments[-1])
    assert schedule is not None
    gaps = find_gaps(moments, "1d", schedule)
    assert (gaps.count, gaps.largest_from and gaps.largest_from.year, gaps.missing_sessions) == (1, 2019, ())
    assert schedule_of(layout, "XSAU", moments[0], np.datetime64("2019-12-01", "us")) is None


def test_sessions_are_kept_and_the_file_may_be_lost_or_broken(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first, later, last = (np.datetime64(f"{year}-06-01", "us") for year in (2020, 2021, 2023))
    made = schedule_of(layout, "XETR", first, later)
    assert made is not None
    path = layout.schedule("XETR")
    written = path.read_bytes()
    kept = schedule_of(layout, "XETR", first, later)
    assert kept is not None
    assert np.array_equal(kept.day, made.day)
    assert np.array_equal(kept.close_s, made.close_s)
    path.write_bytes(b"broken")
    schedule_of(layout, "XETR", first, later)
    assert path.read_bytes() == written
    wider = schedule_of(layout, "XETR", last, last)  # one file for all that is asked for
    assert wider is not None
    assert wider.covers(np.array([first, last]).astype("datetime64[s]").astype(np.int64)).all()


def test_a_calendar_that_the_library_cannot_make_is_not_known(layout: Layout) -> None:
    # Its Orthodox Easter does not work with every pandas; whether it does or not, nothing breaks.
    days = pd.bdate_range("2024-01-01", "2024-03-31").to_numpy().astype("datetime64[us]")
    schedule = schedule_of(layout, "ASEX", days[0], days[-1])
    assert schedule is None or schedule.calendar == "ASEX"


def test_the_table_of_exchanges_is_the_librarys() -> None:
    factories = exchange_calendars.calendar_utils._default_calendar_factories
    theirs = set(exchange_calendars.get_calendar_names(include_aliases=False)) - {"24/7", "us_futures"}
    assert set(exchange_names()) == theirs
    for name in exchange_names():
        zone: Any = factories[name].tz  # of the class: some are a property that needs no calendar
        found = zone.fget(factories[name]) if hasattr(zone, "fget") else zone
        assert timezone_of(name) == str(found), name
    assert ALIASES.items() >= exchange_calendars.calendar_utils._default_calendar_aliases.items()


@pytest.mark.parametrize(("name", "kind"), [("XNYS", KINDS[0]), ("24/7", KINDS[1]), ("XETR", KINDS[2])])
def test_sharpe_volatility_and_drawdown_are_those_of_quantstats(name: str, kind: str) -> None:
    moments, timeframe = bars_of(name, kind)
    result = held(candles_of(moments, timeframe, name, seed=7))
    equity = pd.Series(np.append(10_000.0, result.equity["equity"]))
    # quantstats wants dates; the first return is against the initial cash
    returns = (equity / equity.shift(1) - 1)[1:]
    returns.index = pd.DatetimeIndex(result.equity["timestamp"].dt.tz_localize(None))
    periods = int(result.metrics["periods_per_year"] or 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pandas4Warning)  # as above
        theirs = {
            "sharpe": quantstats.stats.sharpe(returns, periods=periods),
            "annual_volatility": quantstats.stats.volatility(returns, periods=periods),
            "sortino": quantstats.stats.sortino(returns, periods=periods),
            "max_drawdown": -quantstats.stats.max_drawdown(returns),
        }
    for metric, value in theirs.items():
        assert result.metrics[metric] == pytest.approx(value, rel=1e-9), metric
