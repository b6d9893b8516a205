"""Sessions of exchanges, from the library `exchange_calendars`, kept below `DATA_ROOT`.

The library takes a second and more to work out some calendars, so what it said is kept in a file, which a
newer version of the library replaces. Nothing is lost with the file.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import lru_cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.errors import Pandas4Warning

from backtest_pipeline.model.candles import no_sessions
from backtest_pipeline.model.exchanges import ALWAYS_OPEN, canonical
from backtest_pipeline.model.schedule import Schedule
from backtest_pipeline.storage.atomic import make_folder_durably, write_bytes_durably

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from backtest_pipeline.model.market import SymbolRecord
    from backtest_pipeline.storage.layout import Layout

_COLUMNS = ("day", "open_s", "close_s")
# A local day begins up to 14 hours before or after the UTC day.
_MARGIN = np.timedelta64(2, "D")


def schedule_of(layout: Layout, calendar: str, first: np.datetime64, last: np.datetime64) -> Schedule | None:
    """The sessions of an exchange from one moment to another, as far as they are known.

    Args:
        layout: where schedules are kept; a folder that cannot be written is done without.
        calendar: an exchange's MIC.
        first: a moment, UTC.
        last: one that is no earlier.

    Returns:
        The schedule, which may begin later or end earlier than asked where the library knows no more; `None`
        where it knows nothing of that time.
    """
    name = canonical(calendar)
    wanted = (_year_of(first), _year_of(last))
    path = layout.schedule(name)
    kept = _kept(path, name)
    if kept is None or not kept[1][0] <= wanted[0] <= wanted[1] <= kept[1][1]:
        years = wanted if kept is None else (min(wanted[0], kept[1][0]), max(wanted[1], kept[1][1]))
        kept = _made(name, years), years
        if len(kept[0].day):
            _keep(path, *kept)
    ends_s = np.array([first, last]).astype("datetime64[s]").astype(np.int64)
    return kept[0] if len(kept[0].day) and kept[0].covers(ends_s).any() else None


def sessions_when_asked(
    layout: Layout, record: SymbolRecord | None, timestamp: NDArray[np.datetime64]
) -> Callable[[], Schedule | None]:
    """Gives the sessions of a symbol's exchange over the time of its bars, looked up when somebody asks.

    Args:
        layout: as for `schedule_of`.
        record: the symbol's.
        timestamp: at least one moment, UTC, increasing.
    """
    if record is None or record.calendar == ALWAYS_OPEN:
        return no_sessions
    return partial(_of_years, layout, record.calendar, _year_of(timestamp[0]), _year_of(timestamp[-1]))


@lru_cache(maxsize=64)
def _of_years(layout: Layout, calendar: str, first_year: int, last_year: int) -> Schedule | None:
    """As `schedule_of`, of whole years, once in a process: many symbols have the same."""
    first, last = np.datetime64(f"{first_year:04d}-01-01"), np.datetime64(f"{last_year:04d}-12-31")
    return schedule_of(layout, calendar, first, last)


def _year_of(moment: np.datetime64) -> int:
    return int(moment.astype("datetime64[Y]").astype(np.int64)) + 1970


def _kept(path: Path, name: str) -> tuple[Schedule, tuple[int, int]] | None:
    """The schedule of the file and the years that it was made for, where this library's version made it."""
    try:
        table = pq.read_table(path)
        facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        years = int(facts["first_year"]), int(facts["last_year"])
        if facts["library"] != _library():
            return None
        columns = [table[column].to_numpy() for column in _COLUMNS]
        return Schedule(name, int(facts["first_day"]), int(facts["last_day"]), *columns), years
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None  # whatever is wrong with it, the library makes it again


def _keep(path: Path, schedule: Schedule, years: tuple[int, int]) -> None:
    facts = {
        "library": _library(),
        "first_year": years[0],
        "last_year": years[1],
        "first_day": schedule.first_day,
        "last_day": schedule.last_day,
    }
    table = pa.table({name: getattr(schedule, name) for name in _COLUMNS})
    table = table.replace_schema_metadata({key: str(value) for key, value in facts.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    with suppress(OSError):  # a store that cannot be written is only slower
        make_folder_durably(path.parent)
        write_bytes_durably(path, sink.getvalue().to_pybytes())


def _library() -> str:
    return f"exchange_calendars {version('exchange-calendars')}"


def _made(name: str, years: tuple[int, int]) -> Schedule:
    """Asks the library for the sessions of some years, with a few days around them."""
    first = np.datetime64(f"{years[0]:04d}-01-01") - _MARGIN
    last = np.datetime64(f"{years[1]:04d}-12-31") + _MARGIN
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses what pandas 3.1 deprecates; that is for the library to change.
        warnings.simplefilter("ignore", Pandas4Warning)
        try:
            first, last, calendar = _library_calendar(name, first, last)
        except Exception:  # noqa: BLE001  with pandas 3.1 the library fails on Orthodox Easter, in its own ways
            calendar = None
    if calendar is None:
        return Schedule(name, 0, -1, *(np.empty(0, np.int64) for _ in _COLUMNS))
    table = calendar.schedule
    seconds = {
        column: table[column].dt.tz_convert(None).to_numpy("datetime64[s]") for column in table.columns
    }
    broken = ~np.isnat(seconds["break_start"])
    days = table.index.to_numpy("datetime64[D]").astype(np.int64)
    opens = np.concatenate([seconds["open"], seconds["break_end"][broken]])
    before_break = np.where(broken, seconds["break_start"], seconds["close"])
    closes = np.concatenate([before_break, seconds["close"][broken]])
    order = np.argsort(opens, kind="stable")
    return Schedule(
        name,
        int(first.astype(np.int64)),
        int(last.astype(np.int64)),
        np.concatenate([days, days[broken]])[order],
        opens[order].astype(np.int64),
        closes[order].astype(np.int64),
    )


def _library_calendar(
    name: str, first: np.datetime64, last: np.datetime64
) -> tuple[np.datetime64, np.datetime64, Any]:
    """The library's calendar between two days, cut to those that it knows; `None` where it knows none."""
    import exchange_calendars  # noqa: PLC0415  takes 0.2 s, and most runs find the sessions kept

    def between(start: np.datetime64, end: np.datetime64) -> Any:
        return exchange_calendars.get_calendar(name, start=pd.Timestamp(start), end=pd.Timestamp(end))

    try:
        return first, last, between(first, last)
    except ValueError:  # of a time that the library does not know: only its calendar knows the bounds
        known = exchange_calendars.get_calendar(name)
    lowest, highest = known.bound_min(), known.bound_max()
    if lowest is not None:
        first = max(first, np.datetime64(lowest, "D"))
    if highest is not None:
        last = min(last, np.datetime64(highest, "D"))
    return first, last, between(first, last) if first < last else None
