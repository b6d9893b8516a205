"""Small files as well-known sources write them, all of the same five bars, by day, hour or minute."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd

Bar = tuple[datetime, float, float, float, float, float]

DAYS = [11, 12, 15, 16, 17]  # of January 2024, Thursday to Wednesday
PRICES = [
    (100.5, 103.25, 99.75, 102.0),
    (102.0, 104.5, 101.25, 101.75),
    (101.5, 102.0, 98.5, 99.25),
    (99.0, 101.0, 98.75, 100.5),
    (100.75, 105.0, 100.25, 104.25),
]
VOLUMES = [1_250_000, 980_000, 2_100_000, 1_340_000, 3_050_000]


def _bars(moments: list[datetime]) -> list[Bar]:
    return [(at, *prices, volume) for at, prices, volume in zip(moments, PRICES, VOLUMES, strict=True)]


DAILY = _bars([datetime(2024, 1, day, tzinfo=UTC) for day in DAYS])
HOURLY = _bars([datetime(2024, 1, 15, 14, tzinfo=UTC) + timedelta(hours=hour) for hour in range(5)])
MINUTES = _bars([datetime(2024, 1, 15, 14, minute, tzinfo=UTC) for minute in range(5)])


def _lines(bars: list[Bar], write: Callable[[Bar], str], *above: str, newest_first: bool = False) -> bytes:
    rows = [write(bar) for bar in bars]
    return ("\n".join([*above, *(reversed(rows) if newest_first else rows)]) + "\n").encode()


def _ms(bar: Bar) -> int:
    return int(bar[0].timestamp()) * 1_000


def _zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return buffer.getvalue()


def binance() -> bytes:
    """Monthly klines of the public archive: no header, microseconds since 2025, zipped."""

    def row(bar: Bar) -> str:
        at = _ms(bar) * 1_000
        return (
            f"{at},{bar[1]},{bar[2]},{bar[3]},{bar[4]},{bar[5]},{at + 3_599_999_999},1000.0,100,5.0,500.0,0"
        )

    return _zipped(klines__csv=_lines(HOURLY, row))


def upbit() -> bytes:
    """Candles of the API, newest first; `timestamp` is that of the last trade."""
    return json.dumps(
        [
            {
                "market": "KRW-BTC",
                "candle_date_time_utc": f"{at:%Y-%m-%dT%H:%M:%S}",
                "candle_date_time_kst": f"{at + timedelta(hours=9):%Y-%m-%dT%H:%M:%S}",
                "opening_price": o,
                "high_price": h,
                "low_price": low,
                "trade_price": c,
                "timestamp": int(at.timestamp() * 1_000) + 3_599_123,
                "candle_acc_trade_price": 1e9,
                "candle_acc_trade_volume": v,
                "unit": 60,
            }
            for at, o, h, low, c, v in reversed(HOURLY)
        ]
    ).encode()


def bithumb() -> bytes:
    """Candles of the API: open, close, high, low."""
    rows = [[_ms(bar), *(str(bar[at]) for at in (1, 4, 2, 3, 5))] for bar in HOURLY]
    return json.dumps({"status": "0000", "data": rows}).encode()


def kraken() -> bytes:
    """Downloadable OHLCVT: no header, seconds, trades in the last column."""
    return _lines(HOURLY, lambda b: f"{_ms(b) // 1_000},{b[1]},{b[2]},{b[3]},{b[4]},{b[5]},42")


def coinbase() -> bytes:
    """Candles of the exchange's API: low and high before the open, newest first."""
    return json.dumps([[_ms(b) // 1_000, b[3], b[2], b[1], b[4], b[5]] for b in reversed(HOURLY)]).encode()


def yfinance() -> bytes:
    """`yfinance.download("MSFT").to_csv("msft.csv")`: three header lines."""
    above = ("Price,Close,High,Low,Open,Volume", "Ticker,MSFT,MSFT,MSFT,MSFT,MSFT", "Date,,,,,")
    return _lines(DAILY, lambda b: f"{b[0]:%Y-%m-%d},{b[4]},{b[2]},{b[3]},{b[1]},{b[5]}", *above)


def investing() -> bytes:
    """Historical data as downloaded: newest first, `Price` is the close, volumes in millions."""

    def row(bar: Bar) -> str:
        cells = (
            f"{bar[0]:%m/%d/%Y}",
            *(f"{bar[at]:,.2f}" for at in (4, 1, 2, 3)),
            f"{bar[5] / 1e6:.2f}M",
            "0.51%",
        )
        return ",".join(f'"{cell}"' for cell in cells)

    header = '\ufeff"Date","Price","Open","High","Low","Vol.","Change %"'
    return _lines(DAILY, row, header, newest_first=True)


def tradingview() -> bytes:
    """Chart data with a plot of one's own."""
    header = "time,open,high,low,close,Volume,Volume MA,RSI"
    return _lines(
        HOURLY, lambda b: f"{_ms(b) // 1_000},{b[1]},{b[2]},{b[3]},{b[4]},{b[5]},1200000,NaN", header
    )


def metatrader() -> bytes:
    """Bars of MetaTrader 5: tabs, the broker knows no real volume."""
    header = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    return _lines(
        HOURLY, lambda b: f"{b[0]:%Y.%m.%d\t%H:%M:%S}\t{b[1]}\t{b[2]}\t{b[3]}\t{b[4]}\t{b[5]}\t0\t10", header
    )


def histdata() -> bytes:
    """Generic ASCII, zipped with its report: semicolons, no header, EST all year."""
    est = timedelta(hours=-5)
    rows = _lines(MINUTES, lambda b: f"{b[0] + est:%Y%m%d %H%M%S};{b[1]};{b[2]};{b[3]};{b[4]};{b[5]}")
    return _zipped(DAT_ASCII_EURUSD__csv=rows, DAT_ASCII_EURUSD__txt=b"no gaps\n")


def krx() -> bytes:
    """The exchange's data marketplace: cp949, quoted, newest first."""

    def row(bar: Bar) -> str:
        cells = (f"{bar[0]:%Y/%m/%d}", *(bar[at] for at in (4,)), "-1.0", "-0.5", *bar[1:4], bar[5], 1, 2, 3)
        return ",".join(f'"{cell}"' for cell in cells)

    header = "일자,종가,대비,등락률,시가,고가,저가,거래량,거래대금,시가총액,상장주식수"
    return _lines(DAILY, row, header, newest_first=True).decode().encode("cp949")


def interactive_brokers() -> bytes:
    """Historical data of the API, the zone's name behind every time."""
    header = "date,open,high,low,close,volume,average,barCount"

    def row(bar: Bar) -> str:
        local = bar[0] + timedelta(hours=-5)
        return f"{local:%Y%m%d %H:%M:%S} US/Eastern,{bar[1]},{bar[2]},{bar[3]},{bar[4]},{bar[5]},100.1,55"

    return _lines(HOURLY, row, header)


def freqtrade() -> bytes:
    """`freqtrade download-data` in its usual format."""
    frame = pd.DataFrame(HOURLY, columns=["date", "open", "high", "low", "close", "volume"])
    buffer = io.BytesIO()
    frame.assign(date=frame["date"].astype("datetime64[ms, UTC]")).to_feather(buffer, compression="lz4")
    return buffer.getvalue()


def freqtrade_json() -> bytes:
    """`freqtrade download-data --data-format-ohlcv json`."""
    return json.dumps([[_ms(bar), *bar[1:]] for bar in HOURLY]).encode()


def coinmarketcap() -> bytes:
    """Historical data: semicolons, open and close time, a `timestamp` that is the close."""
    header = "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;marketCap;timestamp"

    def row(bar: Bar) -> str:
        day = f"{bar[0]:%Y-%m-%d}"
        times = f'"{day}T00:00:00.000Z";"{day}T23:59:59.999Z";"{day}T12:01:00.000Z";"{day}T01:02:00.000Z"'
        return f'{times};"2781";{bar[1]};{bar[2]};{bar[3]};{bar[4]};{bar[5]};1e12;"{day}T23:59:59.999Z"'

    return _lines(DAILY, row, header, newest_first=True)


def stooq() -> bytes:
    """The database's ASCII files: a ticker, a period, dates and times in digits."""
    header = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    return _lines(
        DAILY, lambda b: f"AAPL.US,D,{b[0]:%Y%m%d},000000,{b[1]},{b[2]},{b[3]},{b[4]},{b[5]},0", header
    )


def alpha_vantage() -> bytes:
    """`TIME_SERIES_DAILY` as JSON: numbered names, newest first."""
    names = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    series = {f"{b[0]:%Y-%m-%d}": dict(zip(names, map(str, b[1:]), strict=True)) for b in reversed(DAILY)}
    return json.dumps({"Meta Data": {"2. Symbol": "IBM"}, "Time Series (Daily)": series}).encode()


def dukascopy() -> bytes:
    """The historical data feed in local time: the offset behind every time."""
    local = timedelta(hours=1)
    return _lines(
        HOURLY,
        lambda b: f"{b[0] + local:%d.%m.%Y %H:%M:%S.000} GMT+0100,{b[1]},{b[2]},{b[3]},{b[4]},{b[5]}",
        "Local time,Open,High,Low,Close,Volume",
    )


def cryptodatadownload() -> bytes:
    """An address on top, two volumes, newest first."""
    above = (
        "https://www.CryptoDataDownload.com",
        "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT",
    )
    return _lines(
        HOURLY,
        lambda b: f"{_ms(b)},{b[0]:%Y-%m-%d %H:%M:%S},BTC/USDT,{b[1]},{b[2]},{b[3]},{b[4]},{b[5]},9.9e9",
        *above,
        newest_first=True,
    )


def nasdaq() -> bytes:
    """Historical quotes of nasdaq.com: dollars, newest first."""
    header = "Date,Close/Last,Volume,Open,High,Low"
    return _lines(
        DAILY,
        lambda b: f"{b[0]:%m/%d/%Y},${b[4]},{b[5]},${b[1]},${b[2]},${b[3]}",
        header,
        newest_first=True,
    )


# By the name that the guide's table gives the file: how it is written, and the bars that it holds.
FILES: dict[str, tuple[Callable[[], bytes], list[Bar]]] = {
    "BTCUSDT-1h-2024-01.zip": (binance, HOURLY),
    "upbit.json": (upbit, HOURLY),
    "bithumb.json": (bithumb, HOURLY),
    "XBTUSD_60.csv": (kraken, HOURLY),
    "coinbase.json": (coinbase, HOURLY),
    "msft.csv": (yfinance, DAILY),
    "investing.csv": (investing, DAILY),
    "tradingview.csv": (tradingview, HOURLY),
    "EURUSD_H1.csv": (metatrader, HOURLY),
    "HISTDATA.zip": (histdata, MINUTES),
    "krx.csv": (krx, DAILY),
    "ib.csv": (interactive_brokers, HOURLY),
    "BTC_USDT-1h.feather": (freqtrade, HOURLY),
    "BTC_USDT-1h.json": (freqtrade_json, HOURLY),
    "coinmarketcap.csv": (coinmarketcap, DAILY),
    "aapl.us.txt": (stooq, DAILY),
    "alphavantage.json": (alpha_vantage, DAILY),
    "dukascopy.csv": (dukascopy, HOURLY),
    "cryptodatadownload.csv": (cryptodatadownload, HOURLY),
    "nasdaq.csv": (nasdaq, DAILY),
}
