"""Market calendars by name: which there are, in which time zone and currency.

The names and zones are those of the library `exchange_calendars`, written out so that a request can be
checked without loading it; a test holds them to it.
"""

from __future__ import annotations

import difflib

AUTO = "auto"
ALWAYS_OPEN = "24/7"

# Exchange's MIC: its time zone and the currency of most of its prices.
_EXCHANGES: dict[str, tuple[str, str | None]] = {
    "24/5": ("UTC", None),
    "AIXK": ("Asia/Almaty", "KZT"),
    "ASEX": ("Europe/Athens", "EUR"),
    "BVMF": ("America/Sao_Paulo", "BRL"),
    "CMES": ("America/Chicago", "USD"),
    "IEPA": ("America/New_York", "USD"),
    "XAMS": ("Europe/Amsterdam", "EUR"),
    "XASX": ("Australia/Sydney", "AUD"),
    "XBDA": ("Atlantic/Bermuda", "BMD"),
    "XBEL": ("Europe/Belgrade", "RSD"),
    "XBKK": ("Asia/Bangkok", "THB"),
    "XBOG": ("America/New_York", "COP"),
    "XBOM": ("Asia/Kolkata", "INR"),
    "XBRA": ("Europe/Bratislava", "EUR"),
    "XBRU": ("Europe/Brussels", "EUR"),
    "XBSE": ("Europe/Bucharest", "RON"),
    "XBUD": ("Europe/Budapest", "HUF"),
    "XBUE": ("America/Argentina/Buenos_Aires", "ARS"),
    "XCBF": ("America/Chicago", "USD"),
    "XCSE": ("Europe/Copenhagen", "DKK"),
    "XCYS": ("Asia/Nicosia", "EUR"),
    "XDUB": ("Europe/Dublin", "EUR"),
    "XDUS": ("Europe/Brussels", "EUR"),
    "XEEE": ("Europe/Berlin", "EUR"),
    "XETR": ("Europe/Berlin", "EUR"),
    "XEUR": ("Europe/Berlin", "EUR"),
    "XFRA": ("Europe/Berlin", "EUR"),
    "XHAM": ("Europe/Brussels", "EUR"),
    "XHEL": ("Europe/Helsinki", "EUR"),
    "XHKG": ("Asia/Hong_Kong", "HKD"),
    "XICE": ("Atlantic/Reykjavik", "ISK"),
    "XIDX": ("Asia/Jakarta", "IDR"),
    "XIST": ("Europe/Istanbul", "TRY"),
    "XJSE": ("Africa/Johannesburg", "ZAR"),
    "XKAR": ("Asia/Karachi", "PKR"),
    "XKLS": ("Asia/Kuala_Lumpur", "MYR"),
    "XKRX": ("Asia/Seoul", "KRW"),
    "XLIM": ("America/Lima", "PEN"),
    "XLIS": ("Europe/Lisbon", "EUR"),
    "XLIT": ("Europe/Vilnius", "EUR"),
    "XLJU": ("Europe/Ljubljana", "EUR"),
    "XLON": ("Europe/London", "GBP"),
    "XLUX": ("Europe/Luxembourg", "EUR"),
    "XMAD": ("Europe/Madrid", "EUR"),
    "XMEX": ("America/Mexico_City", "MXN"),
    "XMIL": ("Europe/Rome", "EUR"),
    "XMOS": ("Europe/Moscow", "RUB"),
    "XNYS": ("America/New_York", "USD"),
    "XNZE": ("Pacific/Auckland", "NZD"),
    "XOSL": ("Europe/Oslo", "NOK"),
    "XPAR": ("Europe/Paris", "EUR"),
    "XPHS": ("Asia/Manila", "PHP"),
    "XPRA": ("Europe/Prague", "CZK"),
    "XRIS": ("Europe/Riga", "EUR"),
    "XSAU": ("Asia/Riyadh", "SAR"),
    "XSES": ("Asia/Singapore", "SGD"),
    "XSGO": ("America/Santiago", "CLP"),
    "XSHG": ("Asia/Shanghai", "CNY"),
    "XSTO": ("Europe/Stockholm", "SEK"),
    "XSTU": ("Europe/Berlin", "EUR"),
    "XSWX": ("Europe/Zurich", "CHF"),
    "XTAE": ("Asia/Tel_Aviv", "ILS"),
    "XTAI": ("Asia/Taipei", "TWD"),
    "XTAL": ("Europe/Tallinn", "EUR"),
    "XTKS": ("Asia/Tokyo", "JPY"),
    "XTSE": ("America/Toronto", "CAD"),
    "XWAR": ("Europe/Warsaw", "PLN"),
    "XWBO": ("Europe/Vienna", "EUR"),
    "XZAG": ("Europe/Zagreb", "EUR"),
}

# Names that share another exchange's sessions. XKOS, XNSE and XSHE are not in the library.
ALIASES = {
    "ARCX": "XNYS",
    "ASX": "XASX",
    "BATS": "XNYS",
    "BMF": "BVMF",
    "BSE": "XBOM",
    "BVB": "XBSE",
    "CBOT": "CMES",
    "CFE": "XCBF",
    "CME": "CMES",
    "COMEX": "CMES",
    "FWB": "XFRA",
    "HKEX": "XHKG",
    "ICE": "IEPA",
    "ICEUS": "IEPA",
    "JKT": "XIDX",
    "JPX": "XTKS",
    "LSE": "XLON",
    "LUXSE": "XLUX",
    "NASDAQ": "XNYS",
    "NYFE": "IEPA",
    "NYMEX": "CMES",
    "NYSE": "XNYS",
    "OOTC": "XNYS",
    "OSE": "XOSL",
    "SIX": "XSWX",
    "SSE": "XSHG",
    "TASE": "XTAE",
    "TSX": "XTSE",
    "XASE": "XNYS",
    "XKOS": "XKRX",
    "XNAS": "XNYS",
    "XNSE": "XBOM",
    "XSHE": "XSHG",
    "XTSX": "XTSE",
}


def calendar_named(text: str) -> str:
    """A calendar's name as it is written: `24/7` or an exchange's MIC in capitals.

    Raises:
        ValueError: there is no such calendar; names those that look alike.
    """
    name = text.strip().upper()
    if name == ALWAYS_OPEN or canonical(name) in _EXCHANGES:
        return name
    near = difflib.get_close_matches(name, [ALWAYS_OPEN, *_EXCHANGES, *ALIASES], n=4, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else "write 24/7 or an exchange's MIC, as XNYS or XKRX"
    )
    raise ValueError(f"there is no calendar {text!r}; {hint}")


def canonical(name: str) -> str:
    """The name under which `exchange_calendars` knows a calendar."""
    return ALIASES.get(name, name)


def timezone_of(name: str) -> str:
    """Time zone of a calendar, of a name that `calendar_named` gave."""
    return "UTC" if name == ALWAYS_OPEN else _EXCHANGES[canonical(name)][0]


def currency_of(name: str) -> str | None:
    """ISO code of the currency that an exchange's prices are in, or `None` where the calendar has none."""
    return None if name == ALWAYS_OPEN else _EXCHANGES[canonical(name)][1]


def exchange_names() -> list[str]:
    """Every exchange's canonical name, sorted."""
    return sorted(_EXCHANGES)
