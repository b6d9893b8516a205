"""Which trial a fold chooses by its training, which may consist of several stretches of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.research.ranking import Ranking

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.sweep_request import SweepRequest

    Floats = NDArray[np.float64]


def winner_of(request: SweepRequest, scores: Sequence[pa.Table], bars: Sequence[int]) -> int | None:
    """Number of the trial of rank 1 over all stretches of a training; `None` where none ranks.

    Args:
        request: the sweep.
        scores: of each stretch, one row a trial, by number: `trial`, `objective` and what `where` names.
        bars: of each stretch.
    """
    ranking = Ranking(request)
    ranking.add(_joint_scores(request, scores, bars))
    best = ranking.best(1)
    return best[0] if best else None


def joint_metrics(rows: Sequence[Mapping[str, Any]], bars: Sequence[int]) -> dict[str, float | None]:
    """The metrics of a trial over several stretches, as `winner_of` weighs them."""
    found: dict[str, float | None] = {}
    for name in METRIC_NAMES:
        values = np.array([[np.nan if row[name] is None else float(row[name])] for row in rows])
        value = float(_joint(name, values, bars)[0])
        found[name] = None if np.isnan(value) else value
    return found


def _joint_scores(request: SweepRequest, scores: Sequence[pa.Table], bars: Sequence[int]) -> pa.Table:
    if len(scores) == 1:
        return scores[0]
    columns: dict[str, Any] = {"trial": scores[0].column("trial")}
    named = {condition.metric: condition.metric for condition in request.conditions}
    for column, metric in {"objective": request.objective, **named}.items():
        values = np.stack([one.column(column).cast(pa.float64()).to_numpy() for one in scores])
        columns[column] = pa.array(_joint(metric, values, bars), pa.float64())
    return pa.table(columns)


def _joint(metric: str, values: Floats, bars: Sequence[int]) -> Floats:
    """One value of several: counts are added, others weighed by bars; none where a stretch has none.

    Args:
        metric: its name.
        values: shape (stretches, trials), NaN for none.
        bars: of each stretch.
    """
    if len(values) == 1:
        only: Floats = values[0]
        return only
    if METRICS[metric].unit == "count":
        summed: Floats = values.sum(axis=0)
        return summed
    weights = np.asarray(bars, dtype=np.float64)
    weighed: Floats = (values * weights[:, None]).sum(axis=0) / weights.sum()
    return weighed
