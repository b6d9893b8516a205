"""What tells luck from skill, as a manifest records it.

Sharpe ratios are per bar, not annualised, without a risk-free rate; null where undefined. Formulas and
sources stand where each is computed, in `research`; docs/robustness.md explains them to traders.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Figure = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Record):
    """Ends of an interval."""

    low: Figure
    high: Figure


class Bands(_Record):
    """Equity over initial equity in the bootstrap's samples, after some numbers of bars."""

    bars: list[int]
    low: list[Figure]
    median: list[Figure]
    high: list[Figure]


class BootstrapRecord(_Record):
    """Intervals by the stationary block bootstrap of the account's bar returns."""

    samples: int = Field(ge=1)
    block_bars: int = Field(ge=1, description="mean length of blocks, chosen from the data")
    coverage: Share
    sharpe: Interval | None = Field(description="annualised, as the metric `sharpe`")
    cagr: Interval | None
    max_drawdown: Interval
    bands: Bands


class TradeShuffleRecord(_Record):
    """Maximum drawdown at trades' ends over other orders of the same trades; says nothing of the return."""

    samples: int = Field(ge=1)
    actual: Figure
    median: Figure
    worst_twentieth: Figure = Field(description="one order in twenty exceeds it")
    milder_frac: Share = Field(description="share of orders with a smaller drawdown than the actual one")


class NeighbourhoodRecord(_Record):
    """Objective of the best trial against those around it in the space."""

    winner: Figure
    neighbours: int = Field(ge=0)
    mean: Figure | None = Field(description="of the neighbours' objectives")
    kept: Figure | None = Field(
        description="(mean - median of all) / (winner - median): 1 a plateau, 0 a spike"
    )


class Logits(_Record):
    """How the logits of cross-validation are distributed: counts between edges."""

    edges: list[Figure]
    counts: list[int]


class ChosenValues(_Record):
    """What the folds of a walk-forward have chosen of one name of the space."""

    distinct: int = Field(ge=1, description="different values")
    usual: str = Field(description="the value that most folds have chosen, as JSON")
    usual_frac: Share = Field(description="share of the folds that have chosen it")


class PathsRecord(_Record):
    """How the paths through a cross-validation ended."""

    sharpe: list[Figure | None] = Field(description="of each path, annualised")
    total_return: list[Figure | None]
    losing_frac: Share = Field(description="share of the paths that lost money")


class WalkForwardRecord(_Record):
    """What a search was worth on candles that it had not seen, against those that it had."""

    folds: int = Field(ge=1)
    traded_folds: int = Field(ge=0, description="folds in which a trial ranked")
    profitable_frac: Share | None = Field(description="share of the traded tests that made money")
    in_sample_cagr: Figure | None = Field(description="mean of the winners in their trainings")
    out_of_sample_cagr: Figure | None = Field(description="of the account that has traded all tests")
    efficiency: Figure | None = Field(
        description="the latter over the former; null where that is not above 0"
    )
    in_sample_objective: Figure | None = Field(description="mean of the winners in their trainings")
    out_of_sample_objective: Figure | None = Field(description="mean of the winners in their tests")
    rank_correlation: Figure | None = Field(description="Spearman's, of the two in each fold")
    chosen: dict[str, ChosenValues] = Field(description="by name of the space")
    paths: PathsRecord | None = Field(description="of a cross-validation")


class Robustness(_Record):
    """Statistics of a completed task, computed after it has ended: of its account, and of what was tried."""

    bars: int | None = Field(description="returns that the Sharpe ratio is measured by")
    periods_per_year: Figure | None
    sharpe: Figure | None = Field(
        description="of the backtest, of the best trial, or of the account out of sample"
    )
    skewness: Figure | None
    kurtosis: Figure | None = Field(description="not in excess: 3 for normal returns")
    probabilistic_sharpe: Share | None
    minimum_track_record_bars: Figure | None
    trials: int = Field(
        ge=1,
        description="different trials of this strategy on these candles up to now, by anyone, these "
        "included; of a walk-forward: different walk-forwards, as no trial of its own has seen its tests",
    )
    trials_since: AwareDatetime | None = Field(description="when the first of these ended")
    effective_trials: int | None = Field(
        description="of a sweep: clusters of its trials' returns, by leader clustering at a correlation of "
        "0.8 of block returns; null: not a sweep"
    )
    sharpe_variance: Figure | None = Field(
        description="variance of the trials' Sharpe ratios, by the winner's bar"
    )
    expected_best_sharpe: Figure | None = Field(
        description="that the best of so many worthless trials would show; of a sweep by `effective_trials`"
    )
    deflated_sharpe: Share | None = Field(description="probability of a Sharpe ratio above that")
    deflated_sharpe_of_all: Share | None = Field(description="the same by `trials`")
    pbo: Share | None = Field(description="of a sweep: probability of backtest overfitting, by CSCV")
    logits: Logits | None
    reality_check: Share | None = Field(description="of a sweep: p-value of White's reality check")
    spa: Share | None = Field(description="of a sweep: p-value of Hansen's test, the consistent one")
    bootstrap: BootstrapRecord | None
    trade_shuffle: TradeShuffleRecord | None
    neighbourhood: NeighbourhoodRecord | None
    walk_forward: WalkForwardRecord | None = Field(
        None, description="of a walk-forward: out of sample against in sample"
    )
    verdict: str = Field(description="the conclusion, in a sentence or two")
