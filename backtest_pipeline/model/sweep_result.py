"""What a sweep yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from backtest_pipeline.model.notebook import sweep_html

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.robustness import Robustness
    from backtest_pipeline.model.sweep_request import SweepRequest


@dataclass(frozen=True, eq=False)
class SweepResult:
    """A finished sweep.

    Attributes:
        trials: one row a trial: `trial, state, rank, objective, <a column for each key of the space>, <every
            metric>, error`.
        by_symbol: one row a completed trial and symbol: `trial, symbol, <every metric>`; none where no trial
            has several symbols.
        blocks: one row a completed trial: `trial, count, sum, sum_squares`, of its account's bar returns in
            each of 16 even blocks of time.
        best: the trial of rank 1, run as a backtest of its own; none where no trial ranks.
        request: what was asked, the values and defaults of parameters written out.
        best_equity: of a task: `timestamp` and a column `trial_<number>` for each of the best, by rank;
            none where no trial ranks.
        manifest: the record of the task; none where the sweep ran without one.
        assessed: computes the statistics of luck and skill; none where none can be computed.
    """

    trials: pd.DataFrame
    by_symbol: pd.DataFrame | None
    blocks: pd.DataFrame
    best: BacktestResult | None
    request: SweepRequest
    best_equity: pd.DataFrame | None = None
    manifest: Manifest | None = None
    assessed: Callable[[SweepResult], Robustness | None] | None = field(default=None, repr=False)

    @cached_property
    def overfitting(self) -> Robustness | None:
        """What tells luck from skill: the task's, or computed when it is first asked for.

        None where no trial ranks.
        """
        if self.manifest is not None and self.manifest.robustness is not None:
            return self.manifest.robustness
        return self.assessed(self) if self.assessed is not None else None

    def _repr_html_(self) -> str:
        """Show the best trials in a notebook."""
        return sweep_html(self)
