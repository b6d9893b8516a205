"""`DATA_ROOT/<SYMBOL>/symbol.json`: the symbol's calendar, currency and time zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from backtest_pipeline.model.errors import RequestInvalid, SymbolRecordInvalid
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.request_model import problems_of
from backtest_pipeline.storage.atomic import make_folder_durably, write_bytes_durably

if TYPE_CHECKING:
    from backtest_pipeline.storage.layout import Layout


def read_record(layout: Layout, symbol: str) -> SymbolRecord | None:
    """A symbol's record, or `None` where there is none.

    Raises:
        SymbolRecordInvalid: the file is there and cannot be used.
        RequestInvalid: this is no symbol.
    """
    path = layout.symbol_record(symbol)
    try:
        return SymbolRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except OSError as error:
        raise SymbolRecordInvalid(symbol, path, str(error.strerror)) from error
    except ValidationError as error:
        findings = [
            (name, what) if name else ("", "this is no JSON object") for name, what in problems_of(error)
        ]
        problems = "; ".join(f"{name}: {what}" if name else what for name, what in findings)
        raise SymbolRecordInvalid(symbol, path, " ".join(problems.split())) from error


def renewed_record(layout: Layout, symbol: str, calendar: str) -> SymbolRecord:
    """A symbol's record with another calendar and its time zone; all else that is recorded stays.

    A broken record is left behind, for that is how people mend it.

    Raises:
        RequestInvalid: there is no such calendar, or this is no symbol.
    """
    try:
        fresh = SymbolRecord.of(calendar)
    except ValueError as error:
        raise RequestInvalid([("calendar", str(error))]) from None
    try:
        there = read_record(layout, symbol)
    except SymbolRecordInvalid:
        return fresh
    if there is None:
        return fresh
    changed = {"calendar": fresh.calendar, "timezone": fresh.timezone, "quote": there.quote or fresh.quote}
    return there.model_copy(update=changed)


def write_record(layout: Layout, symbol: str, record: SymbolRecord) -> None:
    """Writes a symbol's record in one step; the same record again changes nothing.

    Raises:
        RequestInvalid: this is no symbol.
        OSError: the disk refuses.
    """
    path = layout.symbol_record(symbol)
    content = (record.model_dump_json() + "\n").encode()
    make_folder_durably(path.parent)
    if not path.exists() or path.read_bytes() != content:
        write_bytes_durably(path, content)
