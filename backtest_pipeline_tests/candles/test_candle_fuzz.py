"""Whatever bytes an import gets, it imports the bars that were meant or refuses with one of our errors."""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest_pipeline.candles.formats.read_options import ReadOptions
from backtest_pipeline.candles.importer import import_candles
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.timeframe import BAR_SECONDS, TIMEFRAMES, Timeframe
from backtest_pipeline_tests.candles.source_files import FILES

Bar = tuple[datetime, float, float, float, float, float]


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Hundreds of small stores need not outlive a power cut."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


NAMES = ("time", "open", "high", "low", "close", "volume")
# As nearly everyone, Coinbase, and Bithumb write them.
ORDERS_WITHOUT_NAMES = ([0, 1, 2, 3, 4, 5], [0, 3, 2, 1, 4, 5], [0, 1, 4, 2, 3, 5])
HEADERS = {
    "time": ("timestamp", "Date", "open_time", "datetime", "time", "일자", "日付", "Date (UTC)", "<DATE>"),
    "open": ("open", "Open", "OPEN", "o", "시가", "始値", "<OPEN>", "Open ($)"),
    "high": ("high", "High", "h", "고가", "高値", "<HIGH>"),
    "low": ("low", "Low", "l", "저가", "安値", "<LOW>"),
    "close": ("close", "Close", "c", "종가", "終値", "<CLOSE>"),
    "volume": ("volume", "Volume", "vol", "거래량", "出来高", "<VOL>", "Vol."),
}
TIMES: tuple[Any, ...] = (
    lambda at: f"{at:%Y-%m-%d %H:%M:%S}",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}",
    lambda at: f"{at + timedelta(hours=9):%Y-%m-%d %H:%M:%S}+09:00",
    lambda at: f"{at:%Y/%m/%d %H:%M}",
    lambda at: f"{at:%d.%m.%Y %H:%M:%S}",
    lambda at: f"{at:%m/%d/%Y %H:%M}",
    lambda at: f"{at:%d/%m/%y %H:%M}",
    lambda at: f"{at:%y/%m/%d %H:%M}",
    lambda at: f"{at:%Y%m%d%H%M}",
    lambda at: f"{at:%Y%m%d %H%M%S}",
    lambda at: f"{at:%b %d, %Y %H:%M}",
    lambda at: f"{at - timedelta(hours=5):%Y%m%d %H:%M:%S} EST",
    lambda at: f"{at + timedelta(hours=1):%d.%m.%Y %H:%M:%S} GMT+0100",
    lambda at: f"{at.timestamp():.0f}",
    lambda at: f"{at.timestamp() * 1e3:.0f}",
    lambda at: f"{at.timestamp() * 1e3:.1f}",
    lambda at: f"{at.timestamp() * 1e6:.0f}",
    lambda at: f"{at.timestamp() * 1e9:.0f}",
)
NUMBERS: tuple[Any, ...] = (
    repr,
    lambda number: f"{number:,.2f}",
    lambda number: f"{number:.2f}".replace(".", ","),
    lambda number: f"{number:,.2f}".replace(",", " ").replace(".", ",").replace(" ", "."),
    lambda number: f"${number:.2f}",
    lambda number: f"{number:.2f} USD",
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp949", "shift_jis", "gb18030")


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("candles.csv", data)
    return buffer.getvalue()


PACKERS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, _zipped]
PACKED = st.sampled_from(PACKERS)


def _imported(data: bytes, timeframe: Timeframe, options: ReadOptions | None = None) -> list[Bar] | None:
    """The bars that are in the store afterwards, or `None` where one of our errors refused them."""
    with tempfile.TemporaryDirectory() as folder:
        path, store = Path(folder) / "candles", CandleStore(Path(folder) / "data")
        path.write_bytes(data)
        try:
            report = import_candles(store, path, "ACME", timeframe, options=options or ReadOptions())
        except BacktestError as refused:
            message = str(refused)
        else:
            message = ""
        if message:
            assert "\n" not in message
            assert not list(Path(folder).rglob("*.parquet"))
            return None
        stored = store.load(["ACME"], timeframe)["ACME"].to_frame()
        assert report.rows_new == len(stored)
        return [(at.to_pydatetime(), *bar) for at, *bar in stored.itertuples(index=False)]


@st.composite
def bars(draw: st.DrawFn, timeframe: Timeframe) -> list[Bar]:
    """Sound bars on the grid, some of them missing."""
    day = draw(st.integers(0, 20_000))
    step = timedelta(seconds=BAR_SECONDS[timeframe])
    first = datetime(1975, 1, 6, tzinfo=UTC) + timedelta(days=day // 7 * 7)
    missing = draw(st.sets(st.integers(1, 11), max_size=3))
    made = []
    for at in range(draw(st.integers(1, 12))):
        if at in missing:
            continue
        four = sorted(draw(st.lists(st.integers(1, 99_999_999), min_size=4, max_size=4)))
        low, some, other, high = (each / 100 for each in four)
        opened, closed = draw(st.sampled_from([(some, other), (other, some)]))
        volume = float(draw(st.integers(0, 10**9)))
        made.append((first + at * step, opened, high, low, closed, volume))
    return made


@dataclass(frozen=True)
class Written:
    """Bars and a file of them."""

    timeframe: Timeframe
    bars: list[Bar]
    data: bytes


@st.composite
def texts(draw: st.DrawFn) -> Written:
    """Text in any usual dress."""
    timeframe = draw(st.sampled_from(TIMEFRAMES))
    rows = draw(bars(timeframe))
    named = bool(draw(st.integers(0, 5)))
    # Without names, only the order of a known exchange can be told: two prices swapped look like prices, too.
    orders = st.permutations(range(6)) if named else st.sampled_from(ORDERS_WITHOUT_NAMES)
    order = draw(orders) if draw(st.booleans()) else list(range(6))
    names = [draw(st.sampled_from(HEADERS[NAMES[at]])) for at in order]
    time, number = draw(st.sampled_from(TIMES)), draw(st.sampled_from(NUMBERS))
    delimiter = draw(st.sampled_from(",;\t|"))
    quote = draw(st.booleans()) or delimiter == ","
    written = [(time(bar[0]), *(number(value) for value in bar[1:])) for bar in rows]
    lines = [[row[at] for at in order] for row in draw(st.permutations(written))]
    if draw(st.booleans()):
        lines += lines[:1]
    header = [names] if named else []
    quoted = [[f'"{cell}"' if quote else cell for cell in line] for line in [*header, *lines]]
    above = draw(st.sampled_from([[], ["https://example.org/candles"], [f"sep={delimiter}"], ["", "Prices"]]))
    below = draw(st.sampled_from([[], ["", ""], ["* as traded"], [delimiter * 5]]))
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(
        [*above, *(delimiter.join(line) for line in quoted), *below, *([""] if draw(st.booleans()) else [])]
    )
    data = text.encode(draw(st.sampled_from(ENCODINGS)), errors="replace")
    return Written(timeframe, rows, draw(PACKED)(data))


@st.composite
def documents(draw: st.DrawFn) -> Written:
    """JSON and the formats of Arrow."""
    timeframe = draw(st.sampled_from(TIMEFRAMES))
    rows = draw(bars(timeframe))
    frame = pd.DataFrame(rows, columns=["timestamp", *NAMES[1:]])
    numbers = [[int(bar[0].timestamp() * 1_000), *bar[1:]] for bar in rows]
    records = [dict(zip(["time", *NAMES[1:]], row, strict=True)) for row in numbers]
    kind = draw(
        st.sampled_from(["arrays", "records", "wrapped", "columns", "split", "parquet", "feather", "lines"])
    )
    if kind in {"parquet", "feather"}:
        buffer = io.BytesIO()
        frame.to_parquet(buffer) if kind == "parquet" else frame.to_feather(buffer)
        return Written(timeframe, rows, buffer.getvalue())
    document: Any = {
        "arrays": numbers,
        "records": records,
        "wrapped": {"status": "ok", "data": {"candles": records}},
        "columns": {name: [record[name] for record in records] for name in records[0]},
        "split": {"columns": list(records[0]), "data": numbers},
        "lines": None,
    }[kind]
    text = "\n".join(map(json.dumps, records)) if kind == "lines" else json.dumps(document)
    return Written(timeframe, rows, text.encode())


QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EXACT = 1e-12


@pytest.mark.slow
@QUICK
@given(st.one_of(texts(), documents()))
def test_a_file_in_any_dress_gives_its_own_bars_or_is_refused(written: Written) -> None:
    stored = _imported(written.data, written.timeframe)

    if stored is not None:
        assert [bar[0] for bar in stored] == [bar[0] for bar in written.bars]
        np.testing.assert_allclose(
            np.array([bar[1:] for bar in stored]), np.array([bar[1:] for bar in written.bars]), rtol=EXACT
        )


@st.composite
def damages(draw: st.DrawFn) -> tuple[Timeframe, bytes]:
    """A sound file after something happened to it."""
    if draw(st.booleans()):
        written = draw(st.one_of(texts(), documents()))
        timeframe, data = written.timeframe, written.data
    else:
        timeframe, data = "1h", FILES[draw(st.sampled_from(sorted(FILES)))][0]()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 40))
        insert = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [b"\0", b'"', b"\n", b",", b";", b"nan", b"inf", b"1e999", b"-", b"\xff\xfe", b"now"]
                ),
                st.sampled_from(
                    [b"\xef\xbb\xbf", b"\r", b"9" * 400, b"(" * 3_000, b"[" * 50_000, b"A" * 200_000]
                ),
                st.just(data[at : at + 200]),
            )
        )
        data = data[:at] + insert + data[at + length * draw(st.integers(0, 1)) :]
    return timeframe, data


@pytest.mark.slow
@QUICK
@given(damages())
def test_a_damaged_file_never_ends_in_a_traceback(case: tuple[Timeframe, bytes]) -> None:
    timeframe, data = case

    for bar in _imported(data, timeframe) or []:
        assert bar[3] <= min(bar[1], bar[4]) <= max(bar[1], bar[4]) <= bar[2] < float("inf")


MAGICS = (
    b"",
    b"PAR1",
    b"ARROW1\0\0",
    b"\x1f\x8b\x08\0",
    b"PK\x03\x04",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
)


@QUICK
@given(st.sampled_from(MAGICS), st.binary(max_size=300))
def test_bytes_of_no_kind_are_refused(magic: bytes, rest: bytes) -> None:
    assert _imported(magic + rest, "1d") is None


OPTIONS = st.builds(
    ReadOptions,
    encoding=st.sampled_from([None, "utf-8", "cp949", "utf-16", "latin-1", "utf-7"]),
    columns=st.sampled_from([(), ("timestamp", *NAMES[1:]), ("_",) * 6, ("a", "b")]),
    only=st.sampled_from([None, "AAA", ""]),
    decimal=st.sampled_from([None, ".", ","]),
    date_format=st.sampled_from([None, "%d/%m/%y", "%Y-%m-%d %H:%M:%S", "%Y%m%d%z"]),
    no_volume=st.booleans(),
)


@pytest.mark.slow
@QUICK
@given(damages(), OPTIONS)
def test_no_option_turns_a_refusal_into_a_traceback(
    case: tuple[Timeframe, bytes], options: ReadOptions
) -> None:
    timeframe, data = case

    _imported(data, timeframe, options)
