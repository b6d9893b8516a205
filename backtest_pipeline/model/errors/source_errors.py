"""An exchange, or whatever else candles come from, does not give what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from backtest_pipeline.model.errors.backtest_error import BacktestError, listed
from backtest_pipeline.model.nearest_names import did_you_mean


class SourceError(BacktestError):
    """A source of candles does not give what was asked for; what is stored already stays.

    Attributes:
        source: its name, as `upbit`.
    """

    def __init__(self, source: str, message: str) -> None:
        self.source = source
        super().__init__(message)


class ExchangeUnknown(SourceError):
    """There is no exchange of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        hint = did_you_mean(name, known)
        super().__init__(name, f"there is no exchange {name!r}{hint}; it is one of ccxt's: {listed(known)}")


class MarketsUnknown(SourceError):
    """The source has no such markets.

    Attributes:
        markets: those that were asked for and are not there.
    """

    def __init__(self, source: str, markets: Sequence[str], known: Sequence[str]) -> None:
        self.markets = list(markets)
        named = ", ".join(f"{market}{did_you_mean(market, known)}" for market in self.markets[:5])
        more = f" and {len(markets) - 5} more" if len(markets) > 5 else ""
        super().__init__(
            source, f"{source} has no market {named}{more}; it has {len(known)}, such as {listed(known, 5)}"
        )


class SourceLacks(SourceError):
    """The source has no candles of this timeframe, or no funding rates."""

    def __init__(self, source: str, what: str, has: Sequence[str]) -> None:
        self.has = list(has)
        super().__init__(source, f"{source} has no {what}; it has {', '.join(has) or 'none'}")


class SourceUnreachable(SourceError):
    """The source did not answer, or what it answered could not be used, again and again."""

    retryable = True

    def __init__(self, source: str, problem: str, tries: int) -> None:
        self.problem = problem
        self.tries = tries
        super().__init__(
            source,
            f"{source} gave no usable answer in {tries} tries: {problem}; what was fetched is stored, so "
            "run the same command later and it goes on from there",
        )


class SourceBlocked(SourceError):
    """The exchange has shut this address out for a while; asking on would make the while longer.

    Attributes:
        until: when it may be asked again, UTC.
    """

    def __init__(self, source: str, until: datetime) -> None:
        self.until = until
        super().__init__(
            source,
            f"{source} refuses this address until {until:%Y-%m-%d %H:%M:%S} UTC because it was asked too "
            "often, perhaps by another program here too; what was fetched is stored, so run the same "
            "command after that time and it goes on from there",
        )


class SourceRefused(SourceError):
    """The source answered that it will not give this; asking again would not help."""

    def __init__(self, source: str, problem: str) -> None:
        self.problem = problem
        super().__init__(source, f"{source} refuses: {problem}")


class SymbolTaken(SourceError):
    """A symbol's candles come from another market, and two markets' prices do not belong in one series."""

    def __init__(self, symbol: str, timeframe: str, was: tuple[str, str], asked: tuple[str, str]) -> None:
        self.symbol = symbol
        self.was = was
        self.asked = asked
        if was[0] == asked[0]:
            advice = (
                f"where the exchange has renamed it, add --renamed; otherwise store it as {asked[1]}=OTHER"
            )
        else:
            advice = f"store it under another name: --symbols {asked[1]}={symbol}.{asked[0].upper()}"
        super().__init__(
            asked[0],
            f"{symbol} {timeframe} comes from {was[1]} of {was[0]}, not from {asked[1]} of {asked[0]}; "
            f"{advice}",
        )


class DownloadStopped(BacktestError):
    """The download was told to stop; what was fetched is stored."""

    def __init__(self) -> None:
        super().__init__("stopped; what was fetched is stored, and the same command goes on from there")
