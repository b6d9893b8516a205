"""What a walk-forward yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from backtest_pipeline.model.errors import ReportMissing
from backtest_pipeline.model.notebook import result_html, written_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult, Metrics
    from backtest_pipeline.model.robustness import Robustness
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest


@dataclass(frozen=True, eq=False)
class WalkForwardResult:
    """A finished walk-forward, or cross-validation.

    Attributes:
        out_of_sample: the account that has traded all test parts, one after another, as a backtest: its
            `request` has the time from the first tested bar to the last, and the parameters that the sweep
            does not vary. Of several paths, the one with the median Sharpe ratio.
        folds: one row a fold and test part, see docs/walk-forward.md.
        trials: one row a trial of each training: `fold`, then the columns of a sweep's `trials`.
        paths: `timestamp` and the equity of each path, `path_0`, …; none where there is one path only.
        request: what was asked, every default written out.
        manifest: the record of the task; none where it ran without one.
        assessed: computes the statistics of luck and skill; none where none can be computed.
        drawn: makes the report, a whole HTML page; none where no report can be drawn.
    """

    out_of_sample: BacktestResult
    folds: pd.DataFrame
    trials: pd.DataFrame
    paths: pd.DataFrame | None
    request: WalkForwardRequest
    manifest: Manifest | None = None
    assessed: Callable[[WalkForwardResult], Robustness] | None = field(default=None, repr=False)
    drawn: Callable[[WalkForwardResult], str] | None = field(default=None, repr=False)

    @property
    def metrics(self) -> Metrics:
        """Metrics of the account out of sample."""
        return self.out_of_sample.metrics

    @property
    def equity(self) -> pd.DataFrame:
        """The account out of sample, one row a bar, columns as a backtest's."""
        return self.out_of_sample.equity

    @property
    def trades(self) -> pd.DataFrame:
        """Trades out of sample, columns as a backtest's."""
        return self.out_of_sample.trades

    @cached_property
    def robustness(self) -> Robustness | None:
        """What tells luck from skill: the task's, or computed when it is first asked for."""
        if self.manifest is not None and self.manifest.robustness is not None:
            return self.manifest.robustness
        return self.assessed(self) if self.assessed is not None else None

    def plot(self, file: str | Path | None = None, *, show: bool = True) -> Path:
        """Write the report, one page that needs no network, and open it in a browser.

        Args:
            file: where to write it; by default a temporary file, which stays.
            show: whether to open it.

        Returns:
            The file's path.

        Raises:
            ReportMissing: this result came with nothing to draw it by.
        """
        strategy = self.request.sweep.backtest.strategy
        if self.drawn is None:
            raise ReportMissing(strategy)
        return written_page(self.drawn(self), file, prefix=f"{strategy}-walk-forward-", show=show)

    def _repr_html_(self) -> str:
        """Show the account out of sample in a notebook."""
        return result_html(self.out_of_sample)
