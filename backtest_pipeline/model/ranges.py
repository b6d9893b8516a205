"""Ranges of numbers that a search goes through, both ends inclusive."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.plain_data import LARGEST_WHOLE
from backtest_pipeline.model.request_model import problems_of

MOST_IN_A_RANGE = 1_000_000_000


def _plain(value: object) -> object:
    """A NumPy scalar as Python's own number, and no truth value as a number."""
    if isinstance(value, bool):
        raise ValueError("write a number")  # noqa: TRY004  pydantic takes a ValueError for a finding
    return value.item() if hasattr(value, "item") else value


Whole = Annotated[int, Field(ge=-LARGEST_WHOLE, le=LARGEST_WHOLE), BeforeValidator(_plain)]
WholeStep = Annotated[int, Field(ge=1, le=LARGEST_WHOLE), BeforeValidator(_plain)]
Number = Annotated[float, BeforeValidator(_plain)]


class _Range(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    heading: ClassVar[str] = "this range cannot be used"

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise RequestInvalid(problems_of(error), heading=self.heading) from None

    def to_dict(self) -> dict[str, Any]:
        """The range as JSON values, every default written out."""
        return self.model_dump(mode="json")


class IntRange(_Range):
    """The whole numbers `low`, `low + step`, … up to `high`.

    Raises:
        RequestInvalid: `high` is below `low`, the step is below 1, or there are more than 10⁹ numbers.
    """

    low: Whole
    high: Whole
    step: WholeStep = 1

    def __init__(self, low: int, high: int, step: int = 1) -> None:
        super().__init__(low=low, high=high, step=step)

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        _check_ends(self.low, self.high)
        _check_count(self.count)
        return self

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return (self.high - self.low) // self.step + 1

    def at(self, place: int) -> int:
        """The number at a place, counted from 0."""
        return self.low + place * self.step


class FloatRange(_Range):
    """The numbers from `low` to `high`: `low`, `low + step`, …, or without a step all between them.

    Steps are taken in decimals, so that `FloatRange(0.1, 0.5, step=0.1)` has 0.3 and not
    0.30000000000000004. With `log`, equal ratios are equally likely; it needs `low` above 0 and no step.

    Raises:
        RequestInvalid: `high` is below `low`, the step is not above 0, or there are more than 10⁹ steps.
    """

    low: Number
    high: Number
    step: Annotated[Number, Field(gt=0)] | None = None
    log: bool = False

    def __init__(self, low: float, high: float, step: float | None = None, log: bool = False) -> None:
        super().__init__(low=low, high=high, step=step, log=log)

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        _check_ends(self.low, self.high)
        if self.log and self.step is not None:
            raise ValueError("leave out either step or log")
        if self.log and self.low <= 0:
            raise ValueError(f"low should be more than 0 with log, not {self.low:g}")
        if self.count is not None:
            _check_count(self.count)
        return self

    @property
    def count(self) -> int | None:
        """How many numbers there are; none without a step: as many as floats have room for."""
        if self.step is None:
            return None
        return int((_decimal(self.high) - _decimal(self.low)) / _decimal(self.step)) + 1

    def at(self, place: int) -> float:
        """The number at a place, counted from 0, of a range with a step."""
        return float(_decimal(self.low) + place * _decimal(self.step or 0.0))


def range_of(fields: Mapping[str, Any]) -> IntRange | FloatRange:
    """The range that a mapping of JSON describes: of floats where it has `log` or any float.

    Raises:
        RequestInvalid: as the ranges themselves.
    """
    unknown = sorted(set(fields) - set(FloatRange.model_fields))
    missing = [name for name in ("low", "high") if name not in fields]
    if unknown or missing:
        problems = [(str(name), "a range has low, high, step and log alone") for name in unknown]
        raise RequestInvalid(
            [*problems, *((name, "this end is missing") for name in missing)], heading=_Range.heading
        )
    if "log" in fields or any(isinstance(value, float) for value in fields.values()):
        return FloatRange(**fields)
    return IntRange(**{name: value for name, value in fields.items() if value is not None})


def _check_ends(low: float, high: float) -> None:
    if high < low:
        raise ValueError(f"high ({high:g}) is below low ({low:g})")


def _check_count(count: int) -> None:
    if count > MOST_IN_A_RANGE:
        raise ValueError(
            f"{count:,} numbers, and a range has at most {MOST_IN_A_RANGE:,}; take a larger step"
        )


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))
