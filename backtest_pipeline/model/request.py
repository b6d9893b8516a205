"""What a user asks for: the one gate that all input passes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.exchanges import AUTO
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.plain_data import LARGEST_WHOLE, shortened
from backtest_pipeline.model.request_values import (
    MOST_CASH,
    MOST_FEE_BPS,
    CalendarName,
    Direction,
    Fill,
    Labels,
    LevelFrac,
    Moment,
    Name,
    OptionalMoment,
    Params,
    Symbol,
    Symbols,
)
from backtest_pipeline.model.timeframe import Timeframe

MOST_WARMUP_BARS = 10_000_000
SERVICE_FIELDS = ("timeout_s", "max_retries", "priority", "pinned", "labels")
"""Fields of a request that the engine leaves to the service: without one they change nothing."""

# Sides whose price falls to reach a level: all the way to zero where the level is a whole price away.
_LEVELS_BELOW: Mapping[str, str] = {
    "stop_loss_frac": "long",
    "take_profit_frac": "short",
    "trailing_stop_frac": "long",
}


def _is_none(value: object) -> bool:
    return value is None


class RequestModel(BaseModel):
    """What requests of every kind have in common: immutable, unknown fields refused, known by a digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """All fields, defaults written out, as JSON values."""
        return self.model_dump(mode="json")

    def canonical_json(self) -> str:
        """The request as JSON with sorted keys, no spaces and every default written out."""
        return canonical_json_of(self.to_dict())

    def digest(self) -> str:
        """SHA-256 of `canonical_json()`, in hexadecimal."""
        return digest_of(self.to_dict())


class BacktestRequest(RequestModel):
    """One backtest: strategy, candles, money, fills and how to run it. Immutable; unknown fields are refused.

    Raises:
        RequestInvalid: at construction, naming every field that is wrong. Parameters are checked against
            the strategy's own model by `strategies.registry.resolve`, which every entrance calls.
    """

    strategy: Name = Field(min_length=1, max_length=255, description="registered name of a strategy")
    params: Params = Field(default_factory=dict, description="the strategy's own parameters")
    symbols: Symbols = Field(description="symbols in the candle store")
    timeframe: Timeframe = Field("1d", description="length of a bar")
    start: OptionalMoment = Field(None, description="first bar, inclusive; none: from the first candle")
    end: OptionalMoment = Field(None, description="last bar, inclusive; a date includes that whole day")
    warmup_bars: int | None = Field(
        None,
        ge=0,
        le=MOST_WARMUP_BARS,
        description="bars before start that the strategy sees and nobody trades; none: what it needs",
    )
    initial_cash: float = Field(
        10_000, gt=0, le=MOST_CASH, description="in quote currency, split equally over the symbols"
    )
    fee_bps: float = Field(
        10, ge=0, le=MOST_FEE_BPS, description="fee per side, in basis points of the notional"
    )
    fee_fixed: float = Field(0, ge=0, le=MOST_CASH, description="fee per order, in quote currency")
    slippage_bps: float = Field(
        0, ge=0, lt=10_000, description="adverse slippage of market fills, basis points"
    )
    fill: Fill = Field(
        "next_open", description="fill at the next bar's open, or (optimistic) the signal's close"
    )
    direction: Direction = Field("long", description="which positions may be opened")
    position_frac: float = Field(1, gt=0, le=1, description="share of equity put into a position")
    quantity_step: float = Field(
        0, ge=0, le=MOST_CASH, description="0: fractional quantities; 1: whole units, rounded down"
    )
    stop_loss_frac: LevelFrac | None = Field(
        None, description="stop loss, as a fraction of the entry price; below 1 unless direction is short"
    )
    take_profit_frac: LevelFrac | None = Field(
        None, description="take profit, as a fraction of the entry price; below 1 unless direction is long"
    )
    trailing_stop_frac: LevelFrac | None = Field(
        None, description="trailing stop, from the best price since entry; below 1 unless direction is short"
    )
    max_hold_bars: int | None = Field(
        None, ge=1, le=1_000_000_000, description="close a position after this many bars"
    )
    calendar: CalendarName = Field(
        AUTO, description="auto, 24/7 or an exchange's MIC (XKRX): by which bars a year are counted"
    )
    benchmark: Symbol | None = Field(
        None,
        exclude_if=_is_none,  # so that a request without one keeps the digest that it had before the field
        description="symbol that the account is measured against; none: buy and hold of its own symbols",
    )
    seed: int = Field(0, ge=-LARGEST_WHOLE, le=LARGEST_WHOLE, description="seed of everything random")
    timeout_s: int = Field(
        3_600, ge=1, le=31_536_000, description="an attempt that runs longer fails, in seconds"
    )
    max_retries: int = Field(2, ge=0, le=10, description="further attempts after crashes and passing faults")
    priority: int = Field(0, ge=-1_000_000, le=1_000_000, description="higher leaves the queue first")
    pinned: bool = Field(False, description="keep the results for ever")
    labels: Labels = Field(default_factory=dict, description="your own, shown as run tags")

    if not TYPE_CHECKING:  # a typed signature is left to the type checker, which derives it from the fields

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise RequestInvalid(problems_of(error, type(self).model_fields)) from None

    def to_dict(self) -> dict[str, Any]:
        """All fields, defaults written out, as JSON values; those left out that requests once did not have.

        There is no `benchmark` where none is asked for, and no `warmup_bars` where they are left to the
        strategy and there is no `start` for them to lie before: such requests mean what they meant without
        these fields, and keep the digest that they had.
        """
        fields = super().to_dict()
        if self.start is None and self.warmup_bars is None:
            del fields["warmup_bars"]
        return fields

    @property
    def symbols_read(self) -> tuple[str, ...]:
        """All symbols whose candles are needed: those that are traded, then the benchmark."""
        return tuple(dict.fromkeys([*self.symbols, *([self.benchmark] if self.benchmark else [])]))

    @field_validator(*_LEVELS_BELOW)
    @classmethod
    def _level_above_zero(cls, frac: float | None, info: ValidationInfo) -> float | None:
        """Refuses a level at which the price would be zero or less, for any side that may be opened."""
        side, direction = _LEVELS_BELOW[info.field_name or ""], info.data.get("direction")
        if frac is not None and frac >= 1 and direction in {side, "both"}:
            raise ValueError(
                f"should be less than 1, not {frac:.12g}, with direction {direction}: "
                f"a {side} position would reach it only at a price of zero"
            )
        return frac

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.start is None or self.end is None:
            return self
        first, last = _as_datetime(self.start, time.min), _as_datetime(self.end, time.max)
        if (first.tzinfo is None) != (last.tzinfo is None):
            first, last = first.replace(tzinfo=None), last.replace(tzinfo=None)
        if last < first:
            raise ValueError(f"end ({self.end.isoformat()}) is before start ({self.start.isoformat()})")
        return self

    @field_serializer("start", "end")
    def _iso(self, moment: Moment | None) -> str | None:
        return None if moment is None else moment.isoformat()


def digest_of(fields: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a request's fields, in hexadecimal."""
    return hashlib.sha256(canonical_json_of(fields).encode()).hexdigest()


def canonical_json_of(fields: Mapping[str, Any]) -> str:
    """JSON of a request's fields with sorted keys and no spaces."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def problems_of(error: ValidationError, known: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Turns pydantic's findings into `(field, problem)` pairs that name the refused value.

    Args:
        error: what pydantic found.
        known: the names of fields that there are, of which one may have been meant.
    """
    problems = []
    for finding in error.errors(include_url=False):
        field = ".".join(str(part) for part in finding["loc"])
        message = finding["msg"].removeprefix("Value error, ")
        if finding["type"] not in {"value_error", "missing", "extra_forbidden"}:
            message = f"{message}, not {shortened(finding['input'])}"
        if finding["type"] == "literal_error" and isinstance(finding["input"], str):
            message += did_you_mean(finding["input"], _QUOTED.findall(finding["ctx"]["expected"]))
        elif finding["type"] == "extra_forbidden":
            message = f"there is no such field{did_you_mean(field, known)}"
        problems.append((field, message))
    return problems


_QUOTED = re.compile("'([^']*)'")


def _as_datetime(moment: Moment, time_of_day: time) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time_of_day)
