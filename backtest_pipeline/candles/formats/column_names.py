"""What columns are called: by exchanges, brokers, data vendors and spreadsheets, in several languages."""

from __future__ import annotations

import re
import unicodedata

from backtest_pipeline.model.time_zones import known_zone

# Compared as `plain_name` writes them; the first that a file has is used.
OPEN_TIMES = (
    "opentime",
    "timeopen",
    "opentimestamp",
    "timestampopen",
    "opendatetime",
    "candledatetime",
    "starttime",
    "timestart",
    "startdate",
    "starttimestamp",
    "periodstart",
    "timeperiodstart",
    "barstart",
    "bartime",
    "windowstart",
    "start",
    "begin",
    "begins",
    "beginsat",
)
TIMES = (
    *OPEN_TIMES,
    "timestamp",
    "datetime",
    "unixtimestamp",
    "unix",
    "unixtime",
    "epoch",
    "ts",
    "localtime",
    "date",
    "time",
    "dt",
    "t",
    "mts",
    "datum",
    "일시",
    "일자",
    "날짜",
    "거래일",
    "거래일자",
    "시간",
    "日時",
    "日付",
    "日付け",
    "日期",
    "交易日期",
    "时间",
    "時間",
    "fecha",
    "data",
    "시각",
    "時刻",
    "时刻",
    "zeit",
    "uhrzeit",
    "hora",
    "heure",
    "체결시간",
)
# A day and a time of day in two columns.
DAYS = (
    *("date", "일자", "날짜", "거래일", "거래일자", "日付", "日付け", "日期", "交易日期", "datum", "fecha"),
    "data",
)
CLOCKS = ("time", "시간", "시각", "時刻", "時間", "时间", "时刻", "zeit", "uhrzeit", "hora", "heure")
CLOSE_TIMES = frozenset({"closetime", "timeclose", "endtime", "timeend", "timeperiodend", "closetimestamp"})
ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": TIMES,
    "open": (
        *("open", "openprice", "openingprice", "o"),
        *("시가", "始値", "开盘", "开盘价", "開盤", "開盤價", "開盤価"),
        *("eröffnung", "eröffnungskurs", "erster", "ouv", "ouverture", "apertura"),
    ),
    "high": (
        *("high", "highprice", "max", "h"),
        *("고가", "高値", "最高", "最高价", "最高價", "高"),
        *("hoch", "tageshoch", "höchst", "höchstkurs", "haut", "máximo"),
    ),
    "low": (
        *("low", "lowprice", "min", "l"),
        *("저가", "安値", "最低", "最低价", "最低價", "低"),
        *("tief", "tagestief", "tiefst", "tiefstkurs", "bas", "mínimo"),
    ),
    "close": (
        *("close", "closeprice", "closingprice", "tradeprice", "closelast", "last", "lastprice", "c"),
        *("종가", "현재가", "終値", "收盘", "收盘价", "收盤", "收盤價"),
        *("schluss", "schlusskurs", "letzter", "clot", "clôture", "cierre", "último"),
        "price",  # of a page that calls its close so
    ),
    "volume": (
        *("volume", "vol", "realvolume", "v", "qty", "basevolume", "volumefrom", "candleacctradevolume"),
        *("거래량", "出来高", "成交量", "交易量", "volumen", "stück", "volumen", "volume24h"),
        *("tickvol", "tickvolume"),
    ),
    "adj close": (
        *("adjclose", "adjustedclose", "closeadj", "closeadjusted", "adjcloseprice", "adj"),
        *("수정종가", "調整後終値", "调整后收盘价", "調整後收盤價"),
    ),
}
TICK_VOLUMES = frozenset({"tickvol", "tickvolume"})
# A column of which a file of one series has one value.
SERIES_NAMES = frozenset(
    {
        *("symbol", "symbols", "ticker", "tickers", "code", "stockcode", "tic", "sym", "market", "pair"),
        *("instrument", "asset", "name", "security", "isin", "coin", "currencypair", "product", "productid"),
        *("exchange", "venue", "interval", "timeframe", "resolution", "per", "period"),
        *("종목코드", "종목명", "종목", "銘柄", "銘柄コード", "コード", "股票代码", "代码", "证券代码"),
    }
)
HEADER_WORDS = frozenset(alias for aliases in ALIASES.values() for alias in aliases) | SERIES_NAMES
ZONES_IN_NAMES = {
    "utc": "UTC",
    "gmt": "UTC",
    "kst": "Asia/Seoul",
    "jst": "Asia/Tokyo",
    "hkt": "Asia/Hong_Kong",
    "est": "Etc/GMT+5",
    "et": "America/New_York",
    "cet": "Europe/Berlin",
}
IN_BRACKETS = re.compile(r"[(\[]([^()\[\]]{1,40})[)\]]")
NUMBERED = re.compile(r"^\s*\d{1,2}[.)]\s+(?=\D)")


def plain_name(name: str) -> str:
    """A column's name in lower case, without anything but letters and digits; `1. open` is `open`."""
    folded = unicodedata.normalize("NFC", NUMBERED.sub("", name)).casefold()
    if "%" in folded:
        return ""  # a change in percent, whatever of
    return "".join(letter for letter in folded if letter.isalnum())


def short_name(name: str) -> str:
    """As `plain_name`, without what stands in brackets: `Open ($)` is `open`."""
    return plain_name(IN_BRACKETS.sub("", name))


def zoned_name(name: str) -> tuple[str, str | None]:
    """A time column's plain name without the zone that it says, and that zone: `Date (UTC)`, `time_utc`."""
    bracket = IN_BRACKETS.search(name)
    if bracket:
        inside = bracket[1].strip()
        return short_name(name), ZONES_IN_NAMES.get(plain_name(inside)) or _zone_key(inside)
    plain = plain_name(name)
    for short, zone in ZONES_IN_NAMES.items():
        for rest in (plain.removesuffix(short), plain.removeprefix(short)):
            if rest != plain and (rest in TIMES or (not rest and short in {"utc", "gmt"})):
                return rest or "time", zone
    return plain, None


def _zone_key(name: str) -> str | None:
    try:
        return known_zone(name).key if "/" in name else None
    except ValueError:
        return None
