"""The candles that a request needs are missing or unusable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from backtest_pipeline.model.errors.backtest_error import BacktestError, listed
from backtest_pipeline.model.nearest_names import did_you_mean

_MOST_HINTS = 5


class CandlesError(BacktestError):
    """The candles that a request needs are missing or unusable."""


class SymbolsUnknown(CandlesError):
    """The store has no candles of these symbols in this timeframe.

    Attributes:
        timeframe: the timeframe asked for, or empty where any would have done.
        known: symbols that the store has in this timeframe.
        timeframes: timeframes of which the store has candles of any symbol.
        elsewhere: by symbol, the timeframes that there are of it instead.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        timeframe: str,
        known: Sequence[str],
        timeframes: Sequence[str] = (),
        elsewhere: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.symbols = list(symbols)
        self.timeframe = timeframe
        self.known = sorted(known)
        self.timeframes = list(timeframes)
        self.elsewhere = dict(elsewhere or {})
        if self.known:
            has = f"it has {listed(self.known)}"
        elif self.timeframes:
            has = f"it has candles of {', '.join(self.timeframes)} only"
        else:
            has = "it is empty; see `backtest candles import --help`"
        candles = f"{timeframe} candles" if timeframe else "candles"
        named = [f"{symbol}{self._hint(symbol)}" for symbol in self.symbols[:_MOST_HINTS]]
        super().__init__(
            f"the store has no {candles} of {', '.join([*named, *self.symbols[_MOST_HINTS:]])}; {has}"
        )

    def _hint(self, symbol: str) -> str:
        """Which timeframes there are of it, or which symbol may have been meant."""
        if self.elsewhere.get(symbol):
            return f" ({', '.join(self.elsewhere[symbol])} only)" if self.known else ""
        return did_you_mean(symbol, self.known)


class CandlesMissing(CandlesError):
    """A known symbol has no candles in the requested range.

    Attributes:
        asked: first and last moment of the request, as text.
        has: first and last candle that there is, as text, or `None` where the store's files hold no row.
        holder: who has them, as the message says it.
    """

    def __init__(
        self,
        symbol: str,
        timeframe: str,
        *,
        asked: tuple[str, str],
        has: tuple[str, str] | None,
        holder: str = "the store has",
    ) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.asked = asked
        self.has = has
        self.holder = holder
        super().__init__(
            f"no {symbol} {timeframe} candles from {asked[0]} to {asked[1]}; "
            + (f"{holder} {has[0]} to {has[1]}" if has else "its files hold no row")
        )


class CandlesInvalid(CandlesError):
    """Candles break a rule that the engine relies on.

    Attributes:
        row: zero-based position of the first offending row in the file or frame, or `None`.
        line: the row's line in a file of text, counted from one with all that stands above, or `None`.
    """

    def __init__(
        self,
        symbol: str,
        problem: str,
        *,
        source: str | Path,
        row: int | None = None,
        line: int | None = None,
    ) -> None:
        self.symbol = symbol
        self.problem = problem
        self.source = str(source)
        self.row = row
        self.line = line
        at = f", line {line}" if line is not None else "" if row is None else f", row {row}"
        super().__init__(f"{symbol}: {problem} ({source}{at})")


class CandleFileUnreadable(CandlesError):
    """A candle file exists and cannot be read."""

    def __init__(
        self,
        symbol: str,
        path: str | Path,
        reason: str,
        *,
        advice: str = "restore the file, or delete it and import its candles again",
    ) -> None:
        self.symbol = symbol
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{symbol}: cannot read {path}: {reason}; {advice}")


class SymbolRecordInvalid(CandlesError):
    """A symbol's `symbol.json` exists and cannot be used."""

    def __init__(self, symbol: str, path: str | Path, problem: str) -> None:
        self.symbol = symbol
        self.path = str(path)
        self.problem = problem
        super().__init__(
            f"{symbol}: {path} is no record of a symbol: {problem}; mend it, or delete it and record the "
            "calendar again with `backtest candles import --calendar`"
        )


class DetailMissing(CandlesError):
    """A request wants the order of events inside its bars, and there are no finer candles to tell it.

    Attributes:
        symbols: of which there are none in the time of the request.
        timeframe: of the finer candles.
    """

    def __init__(self, symbols: Sequence[str], timeframe: str) -> None:
        self.symbols = list(symbols)
        self.timeframe = timeframe
        super().__init__(
            f"detail_timeframe: the store has no {timeframe} candles of {listed(self.symbols)} in the time "
            "of this request; bring them with `backtest candles download --exchange EXCHANGE --symbols "
            f"MARKET --timeframe {timeframe}` or `backtest candles import`, or leave detail_timeframe out"
        )


class FundingMissing(CandlesError):
    """A request wants funding to be paid, and there are no rates of some of its symbols in its time.

    Attributes:
        symbols: of which there are none.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)
        super().__init__(
            f"funding: the store has no funding rates of {listed(self.symbols)} in the time of this request; "
            "bring them with `backtest candles download --exchange EXCHANGE --symbols MARKET --timeframe 1h "
            "--funding`, or leave funding out"
        )
