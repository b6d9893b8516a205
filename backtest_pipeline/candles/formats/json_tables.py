"""JSON of exchanges, data vendors and pandas turned into a table of text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from backtest_pipeline.candles.formats.read_options import NAME_THE_COLUMNS, RawTable, renamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    # Names of the columns, `None` where the rows have none, and the rows.
    Rows = tuple[Sequence[str], Sequence[Sequence[Any]]]

    from backtest_pipeline.candles.formats.read_options import Origin, ReadOptions

DEEPEST = 6
ADVICE = "give a list of candles, objects or arrays, or CSV"


def json_table(text: bytes, options: ReadOptions, origin: Origin, assumptions: list[str]) -> RawTable:
    """The one table inside a JSON document: objects or arrays in a list, arrays by column, objects by time.

    Raises:
        CandleFileUnreadable: this is no JSON, or it holds no table or several.
    """
    document = _parsed(text, origin)
    found = list(_tables(document, 0))
    if len(found) != 1:
        problem = (
            f"the JSON holds {len(found)} tables" if found else f"the JSON holds no candles{_error(document)}"
        )
        raise origin.refused(problem, ADVICE)
    names, rows = found[0]
    if rows and any(len(row) != len(rows[0]) for row in rows):
        odd = next(at for at, row in enumerate(rows) if len(row) != len(rows[0]))
        raise origin.refused(
            f"row {odd} of the JSON has {len(rows[odd])} values, the first has {len(rows[0])}"
        )
    width = len(names) if names else len(rows[0]) if rows else 0
    columns = [pa.array([_text(row[at]) for row in rows], pa.string()) for at in range(width)]
    table = pa.table(columns, names=list(names) if names else [""] * width)
    if options.columns:
        table = renamed(table, options.columns, origin)
    return RawTable(table, assumptions, headerless=not names and not options.columns)


def _parsed(text: bytes, origin: Origin) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise origin.refused("the JSON is nested too deeply", ADVICE) from error
    except ValueError as error:
        try:
            lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise origin.refused(f"this is no JSON ({error})", NAME_THE_COLUMNS) from error
        return lines


def _tables(value: Any, depth: int) -> Iterator[Rows]:
    """Yields names (`None`: the rows are arrays) and rows of everything that is a table."""
    if depth > DEEPEST:
        return
    if isinstance(value, list):
        yield from _tables_of_list(value, depth)
        return
    if not isinstance(value, dict):
        return
    if {"columns", "data"} <= value.keys() and isinstance(value["columns"], list):
        yield from _split(value)
        return
    if by_column := _by_column(value):
        yield by_column
        return
    objects = [each for each in value.values() if isinstance(each, dict)]
    if objects and len(objects) == len(value) and _is_by_time(value):
        names = list(dict.fromkeys(name for row in objects for name in row))
        yield ["timestamp", *names], [[at, *(row.get(name) for name in names)] for at, row in value.items()]
        return
    for each in value.values():
        yield from _tables(each, depth + 1)


def _tables_of_list(value: list[Any], depth: int) -> Iterator[Rows]:
    if value and all(isinstance(row, dict) for row in value) and _has_plain_values(value[0]):
        names = list(dict.fromkeys(name for row in value for name in row))
        yield names, [[row.get(name) for name in names] for row in value]
    elif value and all(isinstance(row, list) for row in value) and len(value[0]) >= 5:
        yield (), value
    elif len(value) == 1:
        yield from _tables(value[0], depth + 1)


def _has_plain_values(row: dict[str, Any]) -> bool:
    return sum(not isinstance(value, dict | list) for value in row.values()) >= 5


def _split(value: dict[str, Any]) -> Iterator[Rows]:
    """As `frame.to_json(orient="split")` writes it."""
    rows, index = value["data"], value.get("index")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return
    names = [str(name) for name in value["columns"]]
    if isinstance(index, list) and len(index) == len(rows):
        yield ["", *names], [[at, *row] for at, row in zip(index, rows, strict=True)]
    else:
        yield names, rows


def _by_column(value: dict[str, Any]) -> Rows | None:
    """Arrays of one length by name, also where times stand beside an object of prices, or objects by row."""
    arrays = dict(_arrays(value, 0))
    longest = max((len(each) for each in arrays.values()), default=0)
    chosen = {name: each for name, each in arrays.items() if len(each) == longest}
    if len(chosen) >= 5 and longest:
        return list(chosen), [list(row) for row in zip(*chosen.values(), strict=True)]
    objects = {name: each for name, each in value.items() if isinstance(each, dict) and each}
    if 5 <= len(objects) <= 50 and not _is_by_time(value):
        keys = list(next(iter(objects.values())))
        if all(list(each) == keys and _is_flat(each) for each in objects.values()):
            rows = [[key, *(each[key] for each in objects.values())] for key in keys]
            return ["", *objects], rows
    return None


def _arrays(value: Any, depth: int) -> Iterator[tuple[str, list[Any]]]:
    if depth > 3 or not isinstance(value, dict):
        return
    for name, each in value.items():
        if isinstance(each, list) and each and not isinstance(each[0], dict | list):
            yield name, each
        elif isinstance(each, list) and len(each) == 1:
            yield from _arrays(each[0], depth + 1)
        else:
            yield from _arrays(each, depth + 1)


def _is_by_time(value: dict[str, Any]) -> bool:
    """Whether the names are times and the values candles."""
    first_name, first = next(iter(value.items()))
    return first_name[:4].isdigit() and isinstance(first, dict) and _is_flat(first) and len(first) >= 4


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(each, dict | list) for each in value.values())


def _error(document: Any) -> str:
    """What a service says instead of candles."""
    if isinstance(document, dict):
        for name, each in document.items():
            if isinstance(each, str) and name.casefold().startswith(
                ("error", "message", "note", "information", "msg")
            ):
                return f", but {name}: {each[:80]!r}"
    return ""


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return (
        repr(value)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else json.dumps(value)[:200]
    )
