"""Rows as exchanges give them, made into candles; what cannot be one is left out and named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.candles.sources.exchange_answers import AnswerUnusable
from backtest_pipeline.model.candle_rules import check_values, moment_label
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import CandlesInvalid

if TYPE_CHECKING:
    from backtest_pipeline.candles.year_file import Columns


def check_row(row: Sequence[Any]) -> None:
    """Refuse a row that is not six finite numbers.

    Raises:
        AnswerUnusable: naming it.
    """
    if len(row) != 6 or not all(isinstance(cell, (int, float)) and math.isfinite(cell) for cell in row):
        raise AnswerUnusable(f"a row that is no candle: {list(row)!r:.120}")


def by_moment(rows: Sequence[list[float]]) -> dict[int, list[float]]:
    """Rows by their time in milliseconds.

    Raises:
        AnswerUnusable: two of one time differ.
    """
    found: dict[int, list[float]] = {}
    for row in rows:
        if found.setdefault(int(row[0]), row) != row:
            raise AnswerUnusable(f"two candles of one time: {list(row)!r:.120}")
    return found


def page_columns(
    source: str, rows: Sequence[Sequence[float]], bar_ms: int
) -> tuple[Columns, tuple[str, ...]]:
    """Columns of candles, sorted as the rows are, and a sentence for each row that keeps no rule of candles.

    Exchanges' histories have a few rows that cannot be, and one of them must not hide all others for ever.

    Args:
        source: for the sentences.
        rows: time (milliseconds since 1970), open, high, low, close, volume; sorted, unique.
        bar_ms: length of a bar; whatever does not open where most others do, bars apart, is left out.
    """
    good, left_out = _on_grid(source, rows, bar_ms)
    while True:
        columns = _columns(good)
        values = {name: columns[name] for name in CANDLE_COLUMNS[1:]}
        try:
            check_values(source, columns["timestamp"], values, source="exchange")
        except CandlesInvalid as error:
            if error.row is None:
                raise
            left_out.append(f"{source}: {error.problem}")
            del good[error.row]
        else:
            return columns, tuple(left_out)


def _on_grid(
    source: str, rows: Sequence[Sequence[float]], bar_ms: int
) -> tuple[list[Sequence[float]], list[str]]:
    phases = Counter(row[0] % bar_ms for row in rows)
    if len(phases) < 2:
        return list(rows), []
    usual = phases.most_common(1)[0][0]
    off = [row for row in rows if row[0] % bar_ms != usual]
    said = [f"{source}: the bar at {_label(row)} does not open where the others do" for row in off]
    return [row for row in rows if row[0] % bar_ms == usual], said


def _columns(rows: Sequence[Sequence[float]]) -> Columns:
    table = np.array(rows, dtype=np.float64).reshape(-1, len(CANDLE_COLUMNS))
    moments = np.array([int(row[0]) for row in rows], dtype=np.int64).astype("datetime64[ms]")
    values = {name: table[:, at].copy() for at, name in enumerate(CANDLE_COLUMNS) if at}
    return {"timestamp": moments.astype("datetime64[us]"), **values}


def _label(row: Sequence[float]) -> str:
    return moment_label(np.datetime64(int(row[0]), "ms").astype("datetime64[us]"))
