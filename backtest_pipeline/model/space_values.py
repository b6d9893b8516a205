"""What a search space may hold: which names, and which values each of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.plain_data import plain_data_problem, shortened
from backtest_pipeline.model.ranges import FloatRange, IntRange, range_of
from backtest_pipeline.model.request import SERVICE_FIELDS, BacktestRequest
from backtest_pipeline.model.request_model import problems_of

Values = IntRange | FloatRange | tuple[Any, ...]
Problems = list[tuple[str, str]]

PARAM = "params."
MOST_KEYS = 50
MOST_VALUES = 10_000
FIXED_FIELDS = ("benchmark", *SERVICE_FIELDS)
"""Fields that all trials have as the backtest does."""
VARIED_FIELDS = tuple(
    name for name in BacktestRequest.model_fields if name != "params" and name not in FIXED_FIELDS
)
_BENCHMARK_VARIED = (
    "a benchmark changes no trade, so all trials have the same; set it in `backtest`, as in --benchmark SPY"
)
_FIRST_OF_A_RANGE = 1_000
_MOST_WRITTEN, _LONGEST_WRITTEN = 4, 60


def checked_space(space: object, problems: Problems) -> dict[str, Values]:
    """The space, its keys sorted, every value as its field has it; adds what is wrong to `problems`."""
    if not isinstance(space, Mapping) or not space:
        problems.append(("space", "name at least one thing to vary, as in {'params.fast': IntRange(5, 50)}"))
        return {}
    if len(space) > MOST_KEYS:
        problems.append(("space", f"vary at most {MOST_KEYS} names, not {len(space):,}"))
        return {}
    found: dict[str, Values] = {}
    for key in sorted(space, key=str):
        where = f"space.{key}"
        if problem := _key_problem(key):
            problems.append((where, problem))
            continue
        try:
            found[key] = _checked_values(key, space[key])
        except RequestInvalid as error:
            problems += [(f"{where}.{field}" if field else where, text) for field, text in error.problems]
        except ValueError as error:
            problems.append((where, str(error)))
    return found


def count_of(values: Values) -> int | None:
    """How many values there are; none where there is no end of them."""
    return len(values) if isinstance(values, tuple) else values.count


def value_at(values: Values, place: int) -> Any:
    """The value at a place, counted from 0, where they can be counted."""
    return values[place] if isinstance(values, tuple) else values.at(place)


def sample_of(values: Values) -> Iterator[Any]:
    """All values, or of a long or dense range the first and both ends: what each of them must pass alone."""
    count = count_of(values)
    if isinstance(values, FloatRange) and count is None:
        yield from (values.low, (values.low + values.high) / 2, values.high)
        return
    yield from (value_at(values, place) for place in range(min(count or 0, _FIRST_OF_A_RANGE)))
    if count is not None and count > _FIRST_OF_A_RANGE:
        yield value_at(values, count - 1)


def as_json(value: Any) -> Any:
    """A value as JSON has it: moments in ISO, lists for tuples."""
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    return [as_json(one) for one in value] if isinstance(value, list | tuple) else value


def repeated_problem(values: Sequence[Any]) -> str | None:
    """Which of the values are the same in JSON; `None` where all differ."""
    counts = Counter(json.dumps(as_json(value), sort_keys=True) for value in values)
    twice = sorted(text for text, count in counts.items() if count > 1)
    return f"{', '.join(twice)} listed more than once" if twice else None


def values_as_json(values: Values) -> Any:
    """A key's values as JSON has them."""
    return as_json(values) if isinstance(values, tuple) else values.to_dict()


def written_values(values: object) -> str:
    """A key's values as JSON has them, for people: a few as they are, of many the first and the last."""
    if isinstance(values, Mapping):
        step, log = values.get("step"), values.get("log")
        by = f" by {_written(step)}" if step not in {None, 1} else ""
        return f"{_written(values.get('low'))} to {_written(values.get('high'))}{by}{' (log)' if log else ''}"
    if not isinstance(values, list | tuple):
        return _written(values)
    if len(values) <= _MOST_WRITTEN:
        return ", ".join(_written(one) for one in values)
    return f"{_written(values[0])} to {_written(values[-1])}, {len(values):,} values"


def _written(value: object) -> str:
    if value is None or value in ([], ()):
        return "none"
    text = "+".join(map(_part, value)) if isinstance(value, list | tuple) else value
    return shortened(text) if isinstance(text, Mapping) else str(text)[:_LONGEST_WRITTEN]


def _part(value: object) -> str:
    return ":".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _key_problem(key: object) -> str | None:
    if not isinstance(key, str) or plain_data_problem(key):
        return f"names are texts, not {shortened(key)}"
    if key in VARIED_FIELDS or (key.startswith(PARAM) and len(key) > len(PARAM)):
        return None
    if key in SERVICE_FIELDS:
        return f"{key} changes no outcome, so it cannot be varied; set it in `backtest`"
    if key == "benchmark":
        return _BENCHMARK_VARIED
    if key == "params":
        return "vary parameters one by one, as params.fast"
    parameter = "" if "." in key else f"; a parameter of the strategy is written params.{key}"
    return f"a request has no field {shortened(key)}{did_you_mean(key, VARIED_FIELDS)}{parameter}"


def _checked_values(key: str, values: object) -> Values:
    if isinstance(values, Mapping):
        values = range_of(values)
    if hasattr(values, "tolist"):  # an array of NumPy's
        values = values.tolist()
    if isinstance(values, IntRange | FloatRange):
        if not key.startswith(PARAM):
            for value in sample_of(values):
                _checked_field(key, value)
        return values
    if isinstance(values, str) or not isinstance(values, Sequence | range):
        raise ValueError(  # noqa: TRY004  reported with the others
            f"write a list of values, IntRange or FloatRange, not {shortened(values)}"
        )
    if not 1 <= len(values) <= MOST_VALUES:
        raise ValueError(f"list 1 to {MOST_VALUES:,} values, not {len(values):,}")
    checked = tuple(_checked_value(key, value) for value in values)
    if problem := repeated_problem(checked):
        raise ValueError(problem)
    return checked


def _checked_value(key: str, value: Any) -> Any:
    if hasattr(value, "item"):  # a scalar of NumPy's
        value = value.item()
    if not key.startswith(PARAM):
        return _checked_field(key, value)
    if problem := plain_data_problem(value):
        raise ValueError(problem)
    if not isinstance(value, str | int | float | list | tuple | Mapping | None):
        raise ValueError(f"write a plain value, not a {type(value).__name__}")  # noqa: TRY004  as above
    return value


def _checked_field(name: str, value: Any) -> Any:
    """A value as the request's field has it.

    Raises:
        ValueError: the field refuses it whatever the others are.
    """
    try:
        return _adapter(name).validate_python(value)
    except ValidationError as error:
        raise ValueError("; ".join(problem for _, problem in problems_of(error))) from None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = BacktestRequest.model_fields[name]
    annotated: Any = Annotated[field.annotation, field]
    return TypeAdapter(annotated, config=ConfigDict(allow_inf_nan=False))
