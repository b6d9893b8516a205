"""How often a strategy has been tried on some candles before, by anyone, in any task."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.results.ledger_table import SEPARATOR, SETTINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.results.ledger import Ledger

_COLUMNS = (
    SETTINGS,
    "at",
    "symbols",
    "timeframe",
    "first",
    "last",
    "trials",
    "rated",
    "mean_sharpe",
    "sharpe_variance",
)


@dataclass(frozen=True, slots=True)
class EarlierTrials:
    """What the ledger knows of a strategy on some candles.

    Attributes:
        trials: different trials that were run: the same settings and code count once, however often.
        tasks: rows of the ledger that they come from.
        since: when the first of these ended; none where there is none.
        sharpe_variance: variance (ddof 1) of the trials' Sharpe ratios per bar, over all of them together;
            none below two that have one.
    """

    trials: int
    tasks: int
    since: datetime | None
    sharpe_variance: float | None


def earlier_trials(
    ledger: Ledger, strategy: str, symbols: Collection[str], timeframe: str, first: datetime, last: datetime
) -> EarlierTrials:
    """Ask the ledger for trials of a strategy on candles that share a symbol and a time with these.

    Args:
        ledger: whom to ask.
        strategy: its name.
        symbols: of which one at least was traded.
        timeframe: of the bars; ratios per bar of others cannot be compared.
        first: open of the first bar.
        last: open of the last bar.
    """

    def chosen(part: pa.Table) -> pa.Table:
        named = pc.and_(_names(part, "timeframe", {timeframe}), _names(part, "symbols", set(symbols)))
        meets = pc.and_(
            pc.less_equal(part.column("first"), last), pc.greater_equal(part.column("last"), first)
        )
        return part.filter(pc.and_(named, meets))

    found = ledger.table(strategy, _COLUMNS, chosen)
    if not len(found):
        return EarlierTrials(0, 0, None, None)
    different = ~pd.Series(found.column(SETTINGS).to_numpy()).duplicated().to_numpy()
    trials = int(found.column("trials").to_numpy()[different].sum())
    since: datetime = pc.min(found.column("at")).as_py()
    return EarlierTrials(trials, len(found), since, _joint_variance(found, different))


def _names(table: pa.Table, column: str, wanted: set[str]) -> pa.Array:
    """Which rows have one of some names in a column, each different text of which is looked at once."""
    texts = table.column(column).combine_chunks()
    holds = [not wanted.isdisjoint(text.split(SEPARATOR)) for text in texts.dictionary.to_pylist()]
    return pa.array(np.array(holds, dtype=np.bool_)[texts.indices.to_numpy()])


def _joint_variance(found: pa.Table, chosen: NDArray[np.bool_]) -> float | None:
    """Variance of numbers of which groups are known by count, mean and variance."""
    counts, means, variances = (
        found.column(name).to_numpy()[chosen].astype(np.float64)
        for name in ("rated", "mean_sharpe", "sharpe_variance")
    )
    rated = counts > 0
    counts, means, variances = counts[rated], means[rated], variances[rated]
    total = counts.sum()
    if total < 2:
        return None
    mean = (counts * means).sum() / total
    return float((counts * (variances + (means - mean) ** 2)).sum() / (total - 1))
