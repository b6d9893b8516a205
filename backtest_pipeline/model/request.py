"""What a user asks for: the one gate that all input passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from backtest_pipeline.model.account_rules import account_problem
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.exchanges import AUTO
from backtest_pipeline.model.plain_data import LARGEST_WHOLE
from backtest_pipeline.model.request_model import RequestModel, problems_of
from backtest_pipeline.model.request_values import (
    MOST_BARS,
    MOST_CASH,
    MOST_FEE_BPS,
    MOST_SYMBOLS,
    AccountKind,
    CalendarName,
    Conflict,
    Direction,
    Fill,
    Labels,
    LevelFrac,
    Moment,
    Name,
    OpenFrac,
    OptionalMoment,
    Params,
    SameBarTrail,
    Sizing,
    Symbol,
    Symbols,
    TakeProfitSteps,
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


def _is(default: object) -> Callable[[object], bool]:
    """Whether a field has its default: then it is left out of what is written.

    So a request that says nothing of a field keeps the digest that it had before there was the field.
    """
    return lambda value: value == default


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
        10_000, gt=0, le=MOST_CASH, description="in quote currency, of all symbols together"
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
    position_frac: float = Field(
        1, gt=0, le=1_000, description="share of equity put into a position; at most 1, or the leverage"
    )
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
        None, ge=1, le=MOST_BARS, description="close a position after this many bars"
    )
    on_conflict: Conflict = Field(
        "exit",
        exclude_if=_is("exit"),
        description="entry and exit at one bar: exit leaves, or ignore: they cancel each other",
    )
    trailing_activation_frac: LevelFrac | None = Field(
        None, exclude_if=_is(None), description="the trailing stop starts once this far in profit"
    )
    same_bar_trail: SameBarTrail = Field(
        "proven",
        exclude_if=_is("proven"),
        description="whether a bar's own high moves the trail for its low: if proven, or (pessimistic) ever",
    )
    take_profit_steps: TakeProfitSteps = Field(
        (),
        exclude_if=_is(()),
        description="targets that change with time: pairs of bars held and fraction of the entry price",
    )
    account: AccountKind = Field(
        "split",
        exclude_if=_is("split"),
        description="split: an account a symbol with an equal share of the cash; shared: one for all",
    )
    max_positions: int | None = Field(
        None,
        ge=1,
        le=MOST_SYMBOLS,
        exclude_if=_is(None),
        description="shared account: open positions at a time",
    )
    sizing: Sizing = Field(
        "fraction",
        exclude_if=_is("fraction"),
        description="how large a position is: fraction of equity, slots, risk at the stop, or volatility",
    )
    risk_frac: OpenFrac | None = Field(
        None, exclude_if=_is(None), description="sizing risk: share of equity that the stop costs"
    )
    target_volatility: OpenFrac | None = Field(
        None, exclude_if=_is(None), description="sizing volatility: a position's expected volatility a year"
    )
    leverage: float = Field(
        1, ge=1, le=1_000, exclude_if=_is(1), description="most gross exposure over equity"
    )
    maintenance_margin_frac: OpenFrac | None = Field(
        None, exclude_if=_is(None), description="equity over gross exposure below which all is liquidated"
    )
    borrow_apr: float = Field(
        0, ge=0, le=100, exclude_if=_is(0), description="cost of what is borrowed, as a fraction a year"
    )
    funding: bool = Field(
        default=False,
        exclude_if=_is(False),
        description="longs pay, shorts receive the store's funding rates",
    )
    max_entries: int = Field(
        1, ge=1, le=1_000, exclude_if=_is(1), description="entries that one position may take (pyramiding)"
    )
    good_for_bars: int = Field(
        1, ge=1, le=MOST_BARS, exclude_if=_is(1), description="bars that a pending order lives"
    )
    limit_fills_on_touch: bool = Field(
        default=False, exclude_if=_is(False), description="whether a limit that is only touched is filled"
    )
    detail_timeframe: Timeframe | None = Field(
        None, exclude_if=_is(None), description="finer candles that decide what came first inside a bar"
    )
    calendar: CalendarName = Field(
        AUTO, description="auto, 24/7 or an exchange's MIC (XKRX): by which bars a year are counted"
    )
    benchmark: Symbol | None = Field(
        None,
        exclude_if=_is(None),
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
    def _account_fits_together(self) -> Self:
        if problem := account_problem(self):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.start is None or self.end is None:
            return self
        first, last = _as_datetime(self.start, time.min), _as_datetime(self.end, time.max)
        slack = timedelta(0)
        if (first.tzinfo is None) != (last.tzinfo is None):
            # What the one without a zone means, the store tells; until then, a day more or less is fine.
            first, last, slack = first.replace(tzinfo=None), last.replace(tzinfo=None), timedelta(days=1)
        if last - first < -slack:
            raise ValueError(f"end ({self.end.isoformat()}) is before start ({self.start.isoformat()})")
        return self

    @field_serializer("start", "end")
    def _iso(self, moment: Moment | None) -> str | None:
        return None if moment is None else moment.isoformat()


def _as_datetime(moment: Moment, time_of_day: time) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time_of_day)
