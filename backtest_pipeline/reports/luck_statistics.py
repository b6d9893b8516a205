"""The statistics of luck and skill as a reader sees them: name, value, plain words, source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtest_pipeline.model.robustness import Interval, Robustness, WalkForwardRecord

NONE = "-"


@dataclass(frozen=True, slots=True)
class Statistic:
    """A line of the table.

    Attributes:
        name: field of the manifest's `robustness`.
        title: for people.
        value: for people.
        words: what it says.
        source: who described it, or how it is made.
    """

    name: str
    title: str
    value: str
    words: str
    source: str


def luck_statistics(found: Robustness) -> Iterator[Statistic]:
    """Yield the statistics that were computed, in the order of a careful reader's questions."""
    yield Statistic(
        "probabilistic_sharpe", "Probabilistic Sharpe", _share(found.probabilistic_sharpe),
        "Probability that the true Sharpe ratio is above zero, if this had been the only trial.",
        "Bailey, López de Prado 2012",
    )  # fmt: skip
    yield Statistic(
        "minimum_track_record_bars", "Bars needed", _count(found.minimum_track_record_bars),
        "How long a record with these returns must be to be believed at 95 %.",
        "Bailey, López de Prado 2012",
    )  # fmt: skip
    if found.walk_forward is not None:
        yield from _walk_forward(found, found.walk_forward)
    else:
        yield Statistic(
            "trials", "Trials", f"{found.trials:,}",
            "Different settings of this strategy that anybody has tried on these candles.",
            "ledger",
        )  # fmt: skip
    if found.effective_trials is not None:
        yield Statistic(
            "effective_trials", "Unlike trials", f"{found.effective_trials:,}",
            "How many groups of trials there are whose returns rise and fall together.",
            "López de Prado 2019",
        )  # fmt: skip
    yield Statistic(
        "deflated_sharpe", "Deflated Sharpe", _share(found.deflated_sharpe),
        "Probability that the true Sharpe ratio is above what the search alone would show.",
        "Bailey, López de Prado 2014",
    )  # fmt: skip
    if found.effective_trials is not None:
        yield from _of_sweep(found)
    if found.bootstrap is not None:
        yield Statistic(
            "bootstrap.sharpe", "Sharpe, 90 % interval", _interval(found.bootstrap.sharpe, ".2f"),
            "Where the ratio lies in histories that are made of pieces of this one.",
            "Politis, Romano 1994",
        )  # fmt: skip
        yield Statistic(
            "bootstrap.cagr", "Annual growth, 90 % interval", _interval(found.bootstrap.cagr, ".1%"),
            "Where the annual growth lies in such histories.",
            "Politis, Romano 1994",
        )  # fmt: skip
        yield Statistic(
            "bootstrap.max_drawdown", "Maximum drawdown, 90 % interval",
            _interval(found.bootstrap.max_drawdown, ".1%"),
            "How deep the account falls in such histories.",
            "Politis, White 2004",
        )  # fmt: skip
    if found.trade_shuffle is not None:
        yield Statistic(
            "trade_shuffle", "Drawdown of shuffled trades", f"{found.trade_shuffle.worst_twentieth:.1%}",
            "One order of the same trades in twenty falls deeper. It says nothing of the return.",
            "1,000 orders",
        )  # fmt: skip


def _of_sweep(found: Robustness) -> Iterator[Statistic]:
    yield Statistic(
        "pbo", "Probability of overfitting", _share(found.pbo),
        "How often the winner of one half of the time is below the middle in the other half.",
        "Bailey, Borwein, López de Prado, Zhu 2017",
    )  # fmt: skip
    yield Statistic(
        "spa", "Superior ability, p-value", _share(found.spa),
        "How often the best of worthless trials would earn as much for its risk.",
        "Hansen 2005",
    )  # fmt: skip
    yield Statistic(
        "reality_check", "Reality check, p-value", _share(found.reality_check),
        "How often the best of worthless trials would earn as much.",
        "White 2000",
    )  # fmt: skip
    if found.neighbourhood is not None:
        kept = found.neighbourhood.kept
        yield Statistic(
            "neighbourhood", "Kept by neighbours", NONE if kept is None else f"{kept:.0%}",
            "Which share of the winner's lead over the median trial its neighbours have as well.",
            "neighbouring trials",
        )  # fmt: skip


def _share(value: float | None) -> str:
    """A probability, never rounded to certainty."""
    if value is None:
        return NONE
    return ">0.999" if value >= 0.9995 else "<0.001" if value < 0.0005 else f"{value:.3f}"


def _count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def _interval(ends: Interval | None, form: str) -> str:
    return NONE if ends is None else f"{ends.low:{form}} – {ends.high:{form}}"  # noqa: RUF001  a span


def _walk_forward(found: Robustness, walked: WalkForwardRecord) -> Iterator[Statistic]:
    yield Statistic(
        "trials", "Walk-forwards", f"{found.trials:,}",
        "Different walk-forwards of this strategy that anybody has run on these candles.",
        "ledger",
    )  # fmt: skip
    yield Statistic(
        "walk_forward.efficiency", "Efficiency", _decimal(walked.efficiency),
        "Annual return out of sample over the mean of the winners in sample: 1 kept everything.",
        "Pardo 2008",
    )  # fmt: skip
    yield Statistic(
        "walk_forward.profitable_frac", "Profitable tests", _share(walked.profitable_frac),
        "Share of the test parts that made money.",
        f"{walked.traded_folds:,} of {walked.folds:,} folds traded",
    )  # fmt: skip
    yield Statistic(
        "walk_forward.rank_correlation", "In sample against out", _decimal(walked.rank_correlation),
        "Rank correlation of the objective in trainings and tests: below 0, winning meant nothing.",
        "Spearman 1904",
    )  # fmt: skip
    if walked.paths is not None:
        yield Statistic(
            "walk_forward.paths.losing_frac", "Losing paths", _share(walked.paths.losing_frac),
            "Share of the paths through all folds that lost money.",
            f"{len(walked.paths.sharpe):,} paths, López de Prado 2018",
        )  # fmt: skip


def _decimal(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
