"""Numbers as people's files write them: currencies, thousands, decimal commas, `1.2M`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.candles.formats.cells import cleaned, first_true, is_text

if TYPE_CHECKING:
    from backtest_pipeline.candles.formats.cells import Fault

CURRENCY = "US\\$|HK\\$|NT\\$|[$€£¥₩₽₹฿₿원円元]|USDT|USDC|USD|EUR|KRW|JPY|GBP|CNY|CHF|HKD|BTC|ETH"
BEFORE = rf"^([+-]?)(?:{CURRENCY})[ \x{{a0}}]?"
BEHIND = rf"[ \x{{a0}}]?(?:{CURRENCY})$"
GROUPED = r"^[+-]?[0-9]{1,3}([ '\x{2019}\x{a0}\x{202f}][0-9]{3})+([.,][0-9]+)?$"
POWERS = (("K", "e3"), ("M", "e6"), ("B", "e9"), ("T", "e12"))
POWERED = r"^([0-9][0-9.,]*) ?([KkMmBbTt])$"
POINT = r"^[+-]?([0-9]+|[1-9][0-9]{0,2}(,[0-9]{2,3})*,[0-9]{3})?(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
COMMA = r"^[+-]?([0-9]+|[1-9][0-9]{0,2}(\.[0-9]{3})+)?(,[0-9]*)?([eE][+-]?[0-9]+)?$"
NO_NUMBERS = r"^(?i)[+-]?(nan|inf|infinity)$"


def plain_numbers(
    columns: Mapping[str, pa.ChunkedArray], decimal: str | None, fault: Fault, assume: Callable[[str], None]
) -> dict[str, pa.ChunkedArray]:
    """The columns as numbers or as text that Arrow reads as numbers.

    One decimal sign holds for the whole file, so that `1.234` beside `10,50` is a thousand and more.

    Args:
        columns: by name.
        decimal: the sign, where the user gives it.
        fault: makes the error, given what is wrong and the row.
        assume: takes what was assumed.

    Raises:
        CandlesInvalid: made by `fault`: a value is missing or no number, or the sign is ambiguous.
    """
    cleaned_columns = {name: cleaned(column, name, fault) for name, column in columns.items()}
    texts = {name: column for name, column in cleaned_columns.items() if is_text(column.type)}
    if decimal != "," and all(_is_plain(column) for column in texts.values()):
        return cleaned_columns
    bare = {name: _bare(column, powers=name == "volume") for name, column in texts.items()}
    if decimal is None:
        decimal = _decimal_of(bare, fault)
        if any(pc.any(pc.match_substring(column, ",")).as_py() for column in bare.values()):
            meaning = "decimal signs" if decimal == "," else "thousands separators"
            assume(f"commas in numbers were read as {meaning}")
    _say_what_was_bare(texts, bare, assume)
    pattern, thousands = (COMMA, ".") if decimal == "," else (POINT, ",")
    for name, column in bare.items():
        wrong = pc.invert(pc.match_substring_regex(column, rf"{pattern}|{NO_NUMBERS}"))
        if pc.any(wrong).as_py():
            row = first_true(wrong)
            raise fault(f"{name} is no number: {texts[name][row].as_py()!r}", row)
        plain = pc.replace_substring(column, thousands, "")
        cleaned_columns[name] = pc.replace_substring(plain, ",", ".")
    return cleaned_columns


def _say_what_was_bare(
    texts: Mapping[str, pa.ChunkedArray],
    bare: Mapping[str, pa.ChunkedArray],
    assume: Callable[[str], None],
) -> None:
    for name, column in texts.items():
        if name == "volume" and pc.any(pc.match_substring_regex(column, POWERED)).as_py():
            assume("K, M, B and T behind volumes were read as thousands, millions, billions and trillions")
        elif not column.equals(bare[name]):
            assume("currencies and spaces in numbers were left out")


def _is_plain(column: pa.ChunkedArray) -> bool:
    try:
        column.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _bare(column: pa.ChunkedArray, *, powers: bool) -> pa.ChunkedArray:
    """Without currencies and without spaces or apostrophes between thousands; `1.2M` as `1.2e6`."""
    column = pc.replace_substring_regex(column, BEFORE, r"\1")
    column = pc.replace_substring_regex(column, BEHIND, "")
    grouped = pc.match_substring_regex(column, GROUPED)
    column = pc.if_else(grouped, pc.replace_substring_regex(column, "[^0-9.,+-]", ""), column)
    if powers:
        for letter, power in POWERS:
            pattern = rf"^([0-9][0-9.,]*) ?(?i:{letter})$"
            column = pc.replace_substring_regex(column, pattern, rf"\1{power}")
    return column


def _decimal_of(columns: Mapping[str, pa.ChunkedArray], fault: Fault) -> str:
    """The decimal sign that every number allows; refuses where both are possible or none."""
    fits = {
        sign: all(_all_match(column, rf"{pattern}|{NO_NUMBERS}") for column in columns.values())
        for sign, pattern in ((".", POINT), (",", COMMA))
    }
    if fits["."] and fits[","]:
        for name, column in columns.items():
            commas = pc.match_substring(column, ",")
            if pc.any(commas).as_py():
                row = first_true(commas)
                problem = f"{name} {column[row].as_py()!r} may have a decimal comma or a thousands separator"
                raise fault(f"{problem}; say which by --decimal , or --decimal .", row)
        return "."
    return "," if fits[","] else "."


def _all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(column, pattern)).as_py() is not False
