"""Columns of other people's files: text or numbers, cleaned, with the row named where one is useless."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.model.errors import CandlesInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

Fault = Callable[[str, int | None], CandlesInvalid]


def parsed_numbers(column: pa.ChunkedArray, name: str, fault: Fault) -> NDArray[np.float64]:
    """Reads a column of numbers, written as such or as text.

    Args:
        column: as read from the file.
        name: of the column, for the message.
        fault: makes the error, given what is wrong and the row.

    Raises:
        CandlesInvalid: made by `fault`, for the first row that holds no number.
    """
    column = cleaned(column, name, fault)
    if pa.types.is_boolean(column.type):
        raise fault(f"{name} must hold numbers, not {column.type}", None)
    try:
        numbers: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    except pa.ArrowInvalid:
        if not is_text(column.type):
            raise fault(f"{name} must hold numbers, not {column.type}", None) from None
        row = _first_not_a_number(column)
        raise fault(f"{name} is no number: {column[row].as_py()!r}", row) from None
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise fault(f"{name} must hold numbers, not {column.type}", None) from None
    return numbers


def cleaned(column: pa.ChunkedArray, name: str, fault: Fault) -> pa.ChunkedArray:
    """The column without encodings and without spaces around texts.

    Raises:
        CandlesInvalid: made by `fault`, for the first row without a value.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_text(column.type):
        column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        column = pc.if_else(pc.equal(column, ""), None, column)
    if column.null_count:
        raise fault(f"{name} is missing", first_true(pc.is_null(column)))
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def first_true(flags: pa.ChunkedArray) -> int:
    """Row of the first true flag."""
    return int(pc.index(flags, value=True).as_py())


def _first_not_a_number(column: pa.ChunkedArray) -> int:
    """Halves the rows until the first that Arrow cannot read is alone."""
    begin, stop = 0, len(column)
    while stop - begin > 1:
        middle = (begin + stop) // 2
        try:
            column.slice(begin, middle - begin).cast(pa.float64())
            begin = middle
        except pa.ArrowInvalid:
            stop = middle
    return begin
