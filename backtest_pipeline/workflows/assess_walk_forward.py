"""Statistics of a walk-forward: what its searches were worth on candles that they had not seen."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import spearmanr

from backtest_pipeline.model.luck_verdict import concluded
from backtest_pipeline.model.robustness import ChosenValues, PathsRecord, Robustness, WalkForwardRecord
from backtest_pipeline.model.space_values import as_json
from backtest_pipeline.reports.rolling_statistics import bar_returns
from backtest_pipeline.research.sharpe_confidence import SharpeMoments
from backtest_pipeline.research.space import Space
from backtest_pipeline.workflows.assess_backtest import deflated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
    from backtest_pipeline.research.space import Axis
    from backtest_pipeline.results.earlier_trials import EarlierTrials

    Floats = NDArray[np.float64]

FEWEST_FOR_CORRELATION = 3


def assessed_walk_forward(
    result: BacktestResult,
    folds: pd.DataFrame,
    request: WalkForwardRequest,
    paths: pd.DataFrame | None = None,
    known: EarlierTrials | None = None,
) -> Robustness:
    """Compute the statistics of a walk-forward; the same one and ledger yield the same.

    The account has seen none of the trainings' trials, so it is deflated by the number of walk-forwards
    alone: whoever runs many and keeps the best has searched again.

    Args:
        result: the account out of sample.
        folds: the table of folds.
        request: what was asked.
        paths: of a cross-validation, the equity of each path.
        known: what the ledger knows of walk-forwards of the strategy on these candles, this one included;
            `None`: nothing, as where there is no ledger.
    """
    found = deflated(result, known).model_copy(
        update={"walk_forward": _record(result, folds, request, paths)}
    )
    return concluded(found, result.request.symbols, result.checks)


def _record(
    result: BacktestResult, folds: pd.DataFrame, request: WalkForwardRequest, paths: pd.DataFrame | None
) -> WalkForwardRecord:
    traded = folds[folds["trial"].notna()]
    tested = traded[traded["out_of_sample_total_return"].notna()]
    in_sample = _mean(traded["in_sample_cagr"])
    out_of_sample = result.metrics.get("cagr")
    efficient = in_sample is not None and in_sample > 0.0 and out_of_sample is not None
    return WalkForwardRecord(
        folds=folds["fold"].nunique(),
        traded_folds=traded["fold"].nunique(),
        profitable_frac=float((tested["out_of_sample_total_return"] > 0.0).mean()) if len(tested) else None,
        in_sample_cagr=in_sample,
        out_of_sample_cagr=out_of_sample,
        efficiency=out_of_sample / in_sample
        if efficient and in_sample and out_of_sample is not None
        else None,
        in_sample_objective=_mean(traded["in_sample_objective"]),
        out_of_sample_objective=_mean(traded["out_of_sample_objective"]),
        rank_correlation=_correlation(traded),
        chosen={
            key: _chosen(axis, traded.drop_duplicates("fold")[key])
            for key, axis in Space.of(request.sweep.space).axes.items()
            if len(traded)
        },
        paths=None if paths is None else _paths(result, paths),
    )


def _mean(column: pd.Series[Any]) -> float | None:
    values = column.dropna().to_numpy(dtype=np.float64)
    return float(values.mean()) if len(values) else None


def _correlation(traded: pd.DataFrame) -> float | None:
    both = traded[["in_sample_objective", "out_of_sample_objective"]].dropna().to_numpy(dtype=np.float64)
    if len(both) < FEWEST_FOR_CORRELATION or (both == both[0]).all(axis=0).any():
        return None
    return float(spearmanr(both[:, 0], both[:, 1]).statistic)


def _chosen(axis: Axis, column: pd.Series[Any]) -> ChosenValues:
    cells = pa.chunked_array([pa.array(map(_plain, column), axis.column_type)])
    written = [json.dumps(as_json(axis.value(place)), sort_keys=True) for place in axis.places(cells)]
    [(usual, count)] = Counter(written).most_common(1)
    return ChosenValues(distinct=len(set(written)), usual=usual, usual_frac=count / len(written))


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _paths(result: BacktestResult, paths: pd.DataFrame) -> PathsRecord:
    cash = result.request.initial_cash
    periods = result.metrics.get("periods_per_year") or np.nan
    curves: Sequence[Floats] = [
        paths[name].to_numpy(np.float64) for name in paths.columns if name != "timestamp"
    ]
    returns = [float(curve[-1] / cash - 1.0) for curve in curves]
    return PathsRecord(
        sharpe=[_annual_sharpe(curve, cash, periods) for curve in curves],
        total_return=list(returns),
        losing_frac=float(np.mean([one < 0.0 for one in returns])),
    )


def _annual_sharpe(curve: Floats, cash: float, periods: float) -> float | None:
    moments = SharpeMoments.of(bar_returns(curve, cash))
    return None if moments is None or np.isnan(periods) else float(moments.sharpe * np.sqrt(periods))
