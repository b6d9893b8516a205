"""Candles before a moment, read from the newest file backwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backtest_pipeline.candles.year_file import CandleFile, CandleRows
from backtest_pipeline.model.span import LONG_AGO_US, Span


def rows_before(files: Mapping[int, CandleFile], moment_us: int, most: int | None) -> list[CandleRows]:
    """The newest rows that open before a moment, oldest first.

    Args:
        files: a symbol's, by year.
        moment_us: microseconds since 1970, UTC.
        most: how many rows at most; `None`: all there are.

    Raises:
        CandlesError: a file that may hold some cannot be used.
    """
    found: list[CandleRows] = []
    left = most
    span = Span(LONG_AGO_US, moment_us - 1)
    for year in sorted(files, reverse=True):
        if left == 0:
            break
        if year > span.years()[1]:
            continue
        rows = files[year].read(span)
        if len(rows) and left is not None:
            rows = _newest(rows, left)
            left -= len(rows)
        found += [rows] if len(rows) else []
    return found[::-1]


def _newest(rows: CandleRows, most: int) -> CandleRows:
    first = max(len(rows) - most, 0)
    columns = {name: own[first:] for name, own in rows.columns.items()}
    return replace(rows, columns=columns, first_row=rows.first_row + first)
