"""Values that requests are made of: what may stand in a field, whatever stands in the others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from itertools import pairwise
from numbers import Number
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from backtest_pipeline.model.exchanges import AUTO, calendar_named
from backtest_pipeline.model.plain_data import plain_data_problem, shortened
from backtest_pipeline.model.timeframe import symbol_problem

MOST_SYMBOLS = 500
MOST_BARS = 1_000_000_000
MOST_STEPS = 100
MOST_LABELS = 100
LONGEST_LABEL_NAME, LONGEST_LABEL = 100, 10_000
MOST_CASH = 1e15
"""Of any amount of money: beyond it, cents are lost in a float's rounding."""
MOST_FEE_BPS = 1_000_000
"""A hundred times what is traded."""

Fill = Literal["next_open", "close"]
Direction = Literal["long", "short", "both"]
AccountKind = Literal["split", "shared"]
Sizing = Literal["fraction", "slots", "risk", "volatility"]
Conflict = Literal["exit", "ignore"]
SameBarTrail = Literal["proven", "pessimistic"]
LevelFrac = Annotated[float, Field(gt=0)]
OpenFrac = Annotated[float, Field(gt=0, lt=1)]
Moment = date | datetime
_WRITE_A_MOMENT = "write 2024-05-01 or 2024-05-01T09:30"


def _few_symbols(symbols: object) -> object:
    """Refuses what is no list, or one that is too long, before anything in it is looked at."""
    if isinstance(symbols, str):
        problem = f"write a list, as [{symbols!r}], not {shortened(symbols)}"
        raise ValueError(problem)  # noqa: TRY004  pydantic takes a ValueError for a finding
    if isinstance(symbols, set | frozenset):
        problem = "write a list: a set has no order, and entries compete in the order of symbols"
        raise ValueError(problem)  # noqa: TRY004  as above
    if isinstance(symbols, list | tuple) and not symbols:
        raise ValueError("at least 1 item, as in ['AAPL']")
    if isinstance(symbols, list | tuple) and len(symbols) > MOST_SYMBOLS:
        raise ValueError(
            f"at most {MOST_SYMBOLS} items, not {len(symbols):,}; send the others in further requests"
        )
    return symbols


def _storable(value: Any) -> Any:
    if problem := plain_data_problem(value):
        raise ValueError(problem)
    return value


def _checked_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    if len(labels) > MOST_LABELS:
        raise ValueError(f"give at most {MOST_LABELS} labels, not {len(labels):,}")
    for name, value in labels.items():
        if not 1 <= len(name) <= LONGEST_LABEL_NAME or not name.isprintable() or not name.strip():
            raise ValueError(
                f"a label's name has 1 to {LONGEST_LABEL_NAME} printable characters, not {shortened(name)}"
            )
        if len(value) > LONGEST_LABEL:
            raise ValueError(f"label {name!r} has more than {LONGEST_LABEL:,} characters; shorten it")
    return labels


def _checked_symbols(symbols: tuple[str, ...]) -> tuple[str, ...]:
    problems = [problem for symbol in symbols if (problem := symbol_problem(symbol))]
    if problems:
        raise ValueError("; ".join(problems))
    twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} named more than once")
    return symbols


def _checked_symbol(symbol: str) -> str:
    if problem := symbol_problem(symbol):
        raise ValueError(problem)
    return symbol


def _parsed_moment(value: object) -> object:
    """Reads ISO text: `2024-05-01` and `20240501` are dates, what has a time of day is a datetime.

    A number may be a day (20240501) as well as seconds since 1970, and pandas' NaT is no moment at all.
    """
    is_missing = isinstance(value, date) and value != value  # noqa: PLR0124  as NaT alone
    if isinstance(value, Number) or is_missing:
        raise ValueError(f"{value!r} is no date or datetime; {_WRITE_A_MOMENT}")
    if not isinstance(value, str):
        return value
    for read in (date.fromisoformat, datetime.fromisoformat):
        with suppress(ValueError):
            return read(value)
    raise ValueError(f"{value!r} is no ISO date or datetime; {_WRITE_A_MOMENT}")


def _plain_values(params: object) -> object:
    """Turns NumPy scalars, as parameter sweeps produce them, into Python numbers."""
    if not isinstance(params, Mapping):
        return params
    return {name: value.item() if hasattr(value, "item") else value for name, value in params.items()}


def _known_calendar(name: str) -> str:
    return AUTO if name.strip().lower() == AUTO else calendar_named(name)


def _rising_steps(steps: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    if any(later[0] <= earlier[0] for earlier, later in pairwise(steps)):
        raise ValueError("the bars of the steps should rise, as in [[0, 0.04], [30, 0.02]]")
    return steps


TakeProfitSteps = Annotated[
    tuple[tuple[Annotated[int, Field(ge=0, le=MOST_BARS)], Annotated[float, Field(ge=0, le=1_000_000)]], ...],
    Field(max_length=MOST_STEPS),
    AfterValidator(_rising_steps),
]
CalendarName = Annotated[str, AfterValidator(_known_calendar)]
Params = Annotated[Mapping[str, JsonValue], BeforeValidator(_plain_values), AfterValidator(_storable)]
Symbols = Annotated[
    tuple[str, ...],
    Field(min_length=1, max_length=MOST_SYMBOLS),
    AfterValidator(_checked_symbols),
    BeforeValidator(_few_symbols),
]
Symbol = Annotated[str, AfterValidator(_checked_symbol)]
Labels = Annotated[Mapping[str, str], AfterValidator(_storable), AfterValidator(_checked_labels)]
Name = Annotated[str, AfterValidator(_storable)]
OptionalMoment = Annotated[Moment | None, BeforeValidator(_parsed_moment)]
