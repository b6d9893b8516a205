"""What is recorded of a symbol's market, and which calendar a backtest went by."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from backtest_pipeline.model.exchanges import calendar_named, currency_of, timezone_of
from backtest_pipeline.model.time_zones import known_zone

Source = Literal["requested", "recorded", "read", "assumed"]


def _checked_zone(name: str) -> str:
    known_zone(name)
    return name


class SymbolRecord(BaseModel):
    """`symbol.json`: what is recorded of a symbol beside its candles."""

    model_config = ConfigDict(frozen=True, extra="allow")  # what others have recorded there is kept

    calendar: Annotated[str, AfterValidator(calendar_named)] = Field(
        description="`24/7` or an exchange's MIC, as XKRX"
    )
    quote: str | None = Field(None, min_length=1, description="currency of the prices, as KRW")
    timezone: Annotated[str, AfterValidator(_checked_zone)] = Field(description="the market's, as Asia/Seoul")

    @classmethod
    def of(cls, calendar: str, quote: str | None = None) -> Self:
        """The record of a symbol that trades by a calendar, with that calendar's time zone.

        Args:
            calendar: a name that `calendar_named` knows.
            quote: currency of the prices; `None`: the exchange's.

        Raises:
            ValueError: there is no such calendar.
        """
        name = calendar_named(calendar)
        return cls(calendar=name, quote=quote or currency_of(name), timezone=timezone_of(name))


class CalendarUsed(BaseModel):
    """The calendar that a curve was annualised by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calendar: str | None = Field(
        description="`24/7` or an exchange's MIC; null: sessions of an exchange that the bars do not name"
    )
    source: Source = Field(
        description="`requested`, `recorded` in symbol.json, `read` from the bars, or `assumed` because "
        "nothing decides"
    )
    periods_per_year: float = Field(gt=0, description="bars a year, by which returns are annualised")
    note: str = Field("", description="what was assumed, or how an account's calendar follows from several")


class CalendarsUsed(BaseModel):
    """The calendars of a backtest: the account's and each symbol's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: CalendarUsed
    by_symbol: dict[str, CalendarUsed]

    def recorded(self, symbol: str) -> str | None:
        """The calendar that was recorded for a symbol and used; `None` where another one was, or none was."""
        used = self.by_symbol.get(symbol)
        return used.calendar if used and used.source == "recorded" else None
