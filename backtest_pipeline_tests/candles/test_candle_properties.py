"""The store against pandas as a slow reference, on generated volumes and imports."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.candles.importer import import_table
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import CandlesMissing

ZONES = ["UTC", "Asia/Seoul", "America/New_York"]
# Two hours around two new years, where files are cut, and some ordinary days.
HOURS = st.one_of(
    st.integers(0, 3 * 365 * 24),
    st.integers(365 * 24 - 20, 365 * 24 + 20),
    st.integers(731 * 24 - 20, 731 * 24 + 20),
)
EPOCH = datetime(2019, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Volume:
    """A volume as the predecessor may have left it."""

    zone: str
    candles: pd.DataFrame  # sorted, `timestamp` in UTC
    local_years: bool
    naive: bool
    as_index: bool
    unit: str
    rows_per_group: int

    def write(self, root: Path) -> None:
        local = self.candles["timestamp"].dt.tz_convert(self.zone)
        years = (local if self.local_years else self.candles["timestamp"]).dt.year
        for year, rows in self.candles.groupby(years):
            stamps = rows["timestamp"].dt.tz_convert(self.zone)
            if self.naive:
                stamps = stamps.dt.tz_localize(None)
            frame = rows.assign(timestamp=stamps.astype(f"datetime64[{self.unit}]") if self.naive else stamps)
            frame = frame.assign(symbol="ACME")
            path = root / "ACME" / "1H" / f"{year}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            if self.as_index:
                frame = frame.set_index("timestamp")
            frame.to_parquet(path, row_group_size=self.rows_per_group)


def _candles(hours: list[int]) -> pd.DataFrame:
    stamps = pd.DatetimeIndex([EPOCH + timedelta(hours=hour) for hour in sorted(hours)]).as_unit("us")
    close = 100.0 + np.arange(len(hours))
    bars = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": close * 10}
    return pd.DataFrame({"timestamp": stamps, **bars})


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    zone = draw(st.sampled_from(ZONES))
    hours = draw(st.lists(HOURS, min_size=1, max_size=60, unique=True))
    return Volume(
        zone,
        _candles(hours),
        local_years=draw(st.booleans()),
        # An hour that comes twice cannot be told apart without a zone.
        naive=draw(st.booleans()) and zone != "America/New_York",
        as_index=draw(st.booleans()),
        unit=draw(st.sampled_from(["ns", "us", "ms"])),
        rows_per_group=draw(st.sampled_from([1, 3, 1_000])),
    )


MOMENTS = st.one_of(
    st.none(),
    st.dates(date(2018, 12, 1), date(2022, 2, 1)),
    st.datetimes(datetime(2018, 12, 1), datetime(2022, 2, 1)),  # noqa: DTZ001  naive on purpose
    st.builds(lambda hour: EPOCH + timedelta(hours=hour), HOURS),
)


def _reference(volume: Volume, start: date | datetime | None, end: date | datetime | None) -> pd.DataFrame:
    """The rows that the request means, found one by one in local time."""

    def wanted(stamp: pd.Timestamp) -> bool:
        local = stamp.to_pydatetime().astimezone(ZoneInfo(volume.zone))
        return _reaches(start, local, first=True) and _reaches(end, local, first=False)

    return volume.candles[[wanted(stamp) for stamp in volume.candles["timestamp"]]]


def _reaches(bound: date | datetime | None, local: datetime, *, first: bool) -> bool:
    if bound is None:
        return True
    if not isinstance(bound, datetime):
        return local.date() >= bound if first else local.date() <= bound
    if bound.tzinfo is None:
        bound = bound.replace(tzinfo=local.tzinfo, fold=0 if first else 1)
    bound_utc, moment = bound.astimezone(UTC), local.astimezone(UTC)
    return moment >= bound_utc if first else moment <= bound_utc


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(volumes(), MOMENTS, MOMENTS)
def test_any_range_of_any_volume_loads_what_pandas_finds(
    volume: Volume, start: date | datetime | None, end: date | datetime | None
) -> None:
    expected = _reference(volume, start, end)
    with tempfile.TemporaryDirectory() as folder:
        volume.write(Path(folder))
        store = CandleStore(folder, volume.zone)
        try:
            loaded = store.load(["ACME"], "1h", start, end)["ACME"].to_frame()
        except CandlesMissing:
            assert expected.empty
            return
        listing = store.inventory()[0]

    pd.testing.assert_frame_equal(loaded, expected.reset_index(drop=True))
    assert listing.rows == len(volume.candles)
    assert listing.first == volume.candles["timestamp"].iloc[0]
    assert listing.last == volume.candles["timestamp"].iloc[-1]


@st.composite
def splits(draw: st.DrawFn) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Candles, and the same candles in shuffled pieces that may repeat rows."""
    candles = _candles(draw(st.lists(HOURS, min_size=1, max_size=40, unique=True)))
    rows = draw(st.permutations(range(len(candles))))
    again = draw(st.lists(st.sampled_from(rows), max_size=10))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    order = [*rows, *again]
    pieces = [order[begin:stop] for begin, stop in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return candles, [candles.iloc[piece] for piece in pieces if piece]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(splits())
def test_an_import_in_any_split_and_order_gives_the_same_store(
    case: tuple[pd.DataFrame, list[pd.DataFrame]],
) -> None:
    candles, pieces = case
    stores = []
    for imports in ([candles], pieces):
        with tempfile.TemporaryDirectory() as folder:
            store = CandleStore(folder)
            reports = [
                import_table(store, pa.Table.from_pandas(rows, preserve_index=False), "ACME", "1h")
                for rows in imports
            ]
            stores.append({path.name: path.read_bytes() for path in Path(folder).rglob("*.parquet")})
            assert sum(report.rows_new for report in reports) == len(candles)
            assert sum(report.rows_replaced for report in reports) == 0
            pd.testing.assert_frame_equal(store.load(["ACME"], "1h")["ACME"].to_frame(), candles)
    assert stores[0] == stores[1]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(volumes(), st.lists(HOURS, min_size=1, max_size=40, unique=True))
def test_an_import_into_any_volume_keeps_what_it_does_not_replace(volume: Volume, hours: list[int]) -> None:
    hours = list({*hours, hours[0] + 1})  # two bars an hour apart; others would be bars of another length
    imported = _candles(hours).assign(volume=1.0)
    both = pd.concat([volume.candles, imported]).drop_duplicates("timestamp", keep="last")
    with tempfile.TemporaryDirectory() as folder:
        volume.write(Path(folder))
        store = CandleStore(folder, volume.zone)
        report = import_table(store, pa.Table.from_pandas(imported, preserve_index=False), "ACME", "1h")
        loaded = store.load(["ACME"], "1h")["ACME"].to_frame()

    pd.testing.assert_frame_equal(loaded, both.sort_values("timestamp").reset_index(drop=True))
    assert report.rows_new == len(both) - len(volume.candles)
