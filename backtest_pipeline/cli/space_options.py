"""What varies in a sweep, as the command line writes it: `fast=5:50:5`, `stop_loss_frac=none,0.02,0.05`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.ranges import FloatRange, IntRange
from backtest_pipeline.model.space_values import FIXED_FIELDS, PARAM, VARIED_FIELDS

_LOG = "log"


def parsed_space(texts: Sequence[str]) -> dict[str, Any]:
    """A space from `NAME=VALUES` texts.

    A name is that of a field of the backtest, or else of a parameter of the strategy; `params.NAME` is always
    the latter. Values are a list separated by commas (`none` for none; symbols of one trial, and steps of
    its target as in `0:0.04+30:0.02`, joined by `+`), or a range: `LOW:HIGH` of whole numbers,
    `LOW:HIGH:STEP`, of decimals without a step any between them, or `LOW:HIGH:log`.

    Raises:
        RequestInvalid: a text has another form, or a name comes twice.
    """
    space: dict[str, Any] = {}
    for text in texts:
        name, sign, values = text.partition("=")
        if not sign or not name or not values:
            raise RequestInvalid([("--vary", f"write NAME=VALUES, as in fast=5:50:5, not {text!r}")])
        is_field = name in VARIED_FIELDS or name in FIXED_FIELDS  # the latter are refused with their reason
        key = name if is_field or name.startswith(PARAM) else f"{PARAM}{name}"
        if key in space:
            raise RequestInvalid([("--vary", f"{name} is varied twice; write all its values into one")])
        space[key] = _values(key, values)
    return space


def _values(key: str, text: str) -> Any:
    if key == "take_profit_steps":
        return [parsed_steps(part, option="--vary") for part in text.split(",")]
    found = _range(text)
    if found is not None:
        return found
    if key == "symbols":
        return [part.split("+") for part in text.split(",")]
    return [_value(part.strip()) for part in text.split(",")]


def parsed_steps(text: str, option: str = "--take-profit-steps") -> list[list[float]]:
    """The steps of a target, `BARS:FRAC` pairs joined by `+`, or by commas where no further ones follow.

    `none` are none; JSON, as `[[0, 0.04], [30, 0.02]]`, is read as well.

    Raises:
        RequestInvalid: the text has another form.
    """
    if text.strip().lower() == "none":
        return []
    if text.lstrip().startswith("["):
        found: list[list[float]] = _value(text)
        return found
    pairs = [part.split(":") for part in text.replace(",", "+").split("+")]
    steps = [[number for part in pair if (number := _number(part.strip())) is not None] for pair in pairs]
    if any(len(pair) != 2 or len(step) != 2 for pair, step in zip(pairs, steps, strict=True)):
        raise RequestInvalid([(option, f"write BARS:FRAC+BARS:FRAC, as in 0:0.04+30:0.02, not {text!r}")])
    return steps


def _range(text: str) -> IntRange | FloatRange | None:
    """The range that a text describes; none where it is a list."""
    parts = text.split(":")
    if len(parts) not in {2, 3}:
        return None
    log = parts[-1] == _LOG
    numbers = [_number(part) for part in (parts[:-1] if log else parts)]
    if None in numbers or len(numbers) < 2:
        return None
    if log:
        return FloatRange(numbers[0] or 0, numbers[1] or 0, log=True)
    kind: Any = IntRange if all(isinstance(number, int) for number in numbers) else FloatRange
    made: IntRange | FloatRange = kind(*numbers)
    return made


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _value(text: str) -> Any:
    """A value: none, JSON where it is JSON (10, 0.5, true), text otherwise."""
    if text.lower() == "none":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
