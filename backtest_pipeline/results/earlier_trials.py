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
    "kind",
    "sharpe",
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
    found = _alike(ledger, strategy, symbols, timeframe, first, last)
    if not len(found):
        return EarlierTrials(0, 0, None, None)
    different = _first_of_each(found)
    trials = int(found.column("trials").to_numpy()[different].sum())
    return EarlierTrials(trials, len(found), _since(found), _joint_variance(found, different))


def earlier_walks(
    ledger: Ledger, strategy: str, symbols: Collection[str], timeframe: str, first: datetime, last: datetime
) -> EarlierTrials:
    """As `earlier_trials`, of whole walk-forwards: each is one trial, with its Sharpe ratio out of sample."""
    found = _alike(ledger, strategy, symbols, timeframe, first, last)
    walks = found.filter(_names(found, "kind", {"walk_forward"})) if len(found) else found
    if not len(walks):
        return EarlierTrials(0, 0, None, None)
    different = _first_of_each(walks)
    sharpes = walks.column("sharpe").to_numpy()[different].astype(np.float64)
    sharpes = sharpes[~np.isnan(sharpes)]
    variance = float(sharpes.var(ddof=1)) if len(sharpes) > 1 else None
    return EarlierTrials(int(different.sum()), len(walks), _since(walks), variance)


def _since(found: pa.Table) -> datetime:
    since: datetime = pc.min(found.column("at")).as_py()
    return since


def _first_of_each(found: pa.Table) -> NDArray[np.bool_]:
    """Which rows are the first of their settings and code."""
    first: NDArray[np.bool_] = ~pd.Series(found.column(SETTINGS).to_numpy()).duplicated().to_numpy()
    return first


def _alike(
    ledger: Ledger, strategy: str, symbols: Collection[str], timeframe: str, first: datetime, last: datetime
) -> pa.Table:
    """Rows of a strategy on candles that share a symbol and a time with these."""

    def chosen(part: pa.Table) -> pa.Table:
        named = pc.and_(_names(part, "timeframe", {timeframe}), _names(part, "symbols", set(symbols)))
        meets = pc.and_(
            pc.less_equal(part.column("first"), last), pc.greater_equal(part.column("last"), first)
        )
        return part.filter(pc.and_(named, meets))

    return ledger.table(strategy, _COLUMNS, chosen)


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
