"""What a backtest yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.errors import ReportMissing
from backtest_pipeline.model.notebook import result_html, written_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.market import CalendarsUsed
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.robustness import Robustness

Metrics = dict[str, float | None]

SIGNAL_COLUMNS = (
    "symbol",
    "timestamp",
    "side",
    "price",
    "confidence",
    "exit_timestamp",
    "exit_price",
    "return_frac",
    "complete",
)
TRADE_COLUMNS = (
    "symbol",
    "side",
    "quantity",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "fees",
    "slippage_cost",
    "pnl",
    "return_frac",
    "bars_held",
    "exit_reason",
    "mae_frac",
    "mfe_frac",
)
EQUITY_COLUMNS = ("timestamp", "equity", "cash", "exposure_frac", "drawdown_frac")
POSITION_COLUMNS = ("timestamp", "symbol", "quantity", "value", "weight")


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """A finished backtest.

    Attributes:
        signals: one row a signal, columns `SIGNAL_COLUMNS`, by symbol and time.
        trades: one row a trade, columns `TRADE_COLUMNS`, by symbol and entry.
        equity: one row a bar of the account, columns `EQUITY_COLUMNS`.
        metrics: the account's metrics; fractions, not percent; `None` where undefined.
        by_symbol: the same metrics for each symbol's own share of the account.
        request: what was asked, every default written out.
        diagnostics: remarks that a reader of the numbers should know, possibly none.
        positions: of a shared account, one row a change of a position, columns `POSITION_COLUMNS`, by time:
            the open of the bar, quantity and market value after the change (negative: short), value over
            equity; `None` with an account a symbol.
        checks: verdicts of the safety nets, by name (`look_ahead`).
        calendars: which calendars the account and each symbol were annualised by; `None`: not recorded.
        manifest: the record of the task, or `None` where the engine ran without one.
        drawn: makes the result's report, a whole HTML page; `None` where no report can be drawn.
        assessed: computes the result's statistics of luck and skill; `None` where none can be computed.
    """

    signals: pd.DataFrame
    trades: pd.DataFrame
    equity: pd.DataFrame
    metrics: Metrics
    by_symbol: dict[str, Metrics]
    request: BacktestRequest
    diagnostics: list[str] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)
    calendars: CalendarsUsed | None = None
    manifest: Manifest | None = None
    positions: pd.DataFrame | None = None
    drawn: Callable[[BacktestResult], str] | None = field(default=None, repr=False)
    assessed: Callable[[BacktestResult], Robustness] | None = field(default=None, repr=False)

    @cached_property
    def robustness(self) -> Robustness | None:
        """What tells luck from skill: the task's, or computed when it is first asked for."""
        if self.manifest is not None and self.manifest.robustness is not None:
            return self.manifest.robustness
        return self.assessed(self) if self.assessed is not None else None

    def stats(self) -> pd.Series[float]:
        """Return the account's metrics as a series of floats, NaN where undefined, named by the strategy."""
        import pandas as pd  # noqa: PLC0415  the model's other users need no pandas

        return pd.Series(self.metrics, dtype="float64", name=self.request.strategy)

    def plot(self, file: str | Path | None = None, *, show: bool = True) -> Path:
        """Write the result's report, one page that needs no network, and open it in a browser.

        Args:
            file: where to write it; by default a temporary file, which stays.
            show: whether to open it.

        Returns:
            The file's path.

        Raises:
            ReportMissing: this result came with nothing to draw it by.
        """
        if self.drawn is None:
            raise ReportMissing(self.request.strategy)
        return written_page(self.drawn(self), file, prefix=f"{self.request.strategy}-", show=show)

    def _repr_html_(self) -> str:
        """Show the result in a notebook."""
        return result_html(self)
