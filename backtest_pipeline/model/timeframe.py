"""Symbols and timeframes: what they may be called and how long a bar lasts."""

from __future__ import annotations

import re
from typing import Literal, get_args

Timeframe = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"]
TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)

BAR_SECONDS: dict[Timeframe, int] = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "4h": 14_400,
    "1d": 86_400,
    "1w": 604_800,
}

SYMBOL_PATTERN = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}")


def symbol_problem(symbol: object) -> str | None:
    """Says why a value cannot be a symbol, or `None` where it can."""
    if not isinstance(symbol, str):
        return f"{symbol!r} is not a symbol; write it as text, with the zeros that it begins with"
    if SYMBOL_PATTERN.fullmatch(symbol) and ".." not in symbol:
        return None
    meant = symbol.strip().upper()
    hint = f" (did you mean {meant}?)" if meant != symbol and symbol_problem(meant) is None else ""
    return (
        f"{symbol!r} is not a symbol{hint}; a symbol has 1 to 32 of A-Z, 0-9, '.', '_' and '-', "
        "starts with a letter or digit and has no '..'"
    )
