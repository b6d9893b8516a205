"""A line of the ledger: what a task has tried, and what an earlier attempt count says of a strategy."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from backtest_pipeline.model.task_kind import TaskKind


class LedgerRow(BaseModel):
    """The trials of one task with one strategy in one timeframe. Ratios are per bar, not annualised.

    A task that varies strategy or timeframe has several rows. The same task, run again, has the same rows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: datetime = Field(description="when the task ended, UTC")
    task_id: str
    kind: TaskKind
    user: str = Field(description="who submitted it; empty where nobody is known")
    strategy: str
    code_sha256: str = Field(description="of the sources that decide the result; empty: not known")
    settings_sha256: str = Field(description="over what was asked, less what changes no outcome")
    symbols: tuple[str, ...]
    timeframe: str
    first: datetime = Field(description="open of the first bar")
    last: datetime = Field(description="open of the last bar")
    trials: int = Field(ge=0, description="combinations that were run, failed ones included")
    sharpe: float | None = Field(description="of the backtest, or the best of the sweep's trials")
    skewness: float | None
    kurtosis: float | None = Field(description="not in excess: 3 for normal returns")
    bars: int | None = Field(description="returns that these were measured by")
    rated: int = Field(ge=0, description="trials that have a Sharpe ratio")
    mean_sharpe: float | None = Field(description="of these")
    sharpe_variance: float | None = Field(description="of these, around their mean, divided by their number")

    @property
    def name(self) -> str:
        """What distinguishes it from all other rows of its strategy."""
        return f"{self.task_id}.{self.timeframe}"
