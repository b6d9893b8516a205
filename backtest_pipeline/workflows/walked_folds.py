"""The winners of all folds trade what comes after their training, one account after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.research.chained_account import ChainedAccount
from backtest_pipeline.research.fold_choice import joint_metrics
from backtest_pipeline.research.space import Space
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.workflows.run_backtest import run_backtest

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.research.fold_plan import Fold, FoldPlan, Stretch
    from backtest_pipeline.workflows.execution_data import ExecutionData

IN_SAMPLE, OUT_OF_SAMPLE = "in_sample_", "out_of_sample_"
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False, slots=True)
class Winner:
    """The trial that a fold has chosen.

    Attributes:
        trial: its number.
        rows: its rows, one for each of the fold's trainings, each a table of one row.
    """

    trial: int
    rows: Sequence[pa.Table]


@dataclass(frozen=True, eq=False, slots=True)
class WalkedFolds:
    """What has come of it.

    Attributes:
        folds: one row a fold and test part.
        out_of_sample: the account, of several paths the one with the median Sharpe ratio.
        path: which one that is.
        paths: `timestamp` and the equity of each; none where there is one only.
    """

    folds: pa.Table
    out_of_sample: BacktestResult
    path: int
    paths: pa.Table | None


def walked(
    plan: FoldPlan,
    candles: Mapping[str, Candles],
    winners: Sequence[Winner | None],
    data: ExecutionData,
    *,
    timezone: str = "UTC",
    progress_callback: Callable[[int], None] = lambda _: None,
) -> WalkedFolds:
    """Trades the test parts of all folds, along every path.

    Args:
        plan: what there is to do.
        candles: by symbol, at least the request's and its benchmark's.
        winners: of each fold; none where no trial ranks, and then nothing is traded.
        data: finer candles and funding rates.
        timezone: what a moment without a zone means.
        progress_callback: called with how many test parts are done; what it raises passes through.

    Raises:
        BacktestError: a winner cannot be run, which has been run before.
    """
    cash = plan.request.sweep.backtest.initial_cash
    results, rows = [], []
    for number, path in enumerate(plan.paths):
        account = ChainedAccount(cash)
        for place, test in path:
            fold = plan.folds[place]
            row = _traded(plan, fold, fold.tests[test], winners[place], account, candles, data, timezone)
            rows.append({"fold": place, "path": number, **row})
            progress_callback(len(rows))
        whole = plan.tested.of(plan.request.sweep.backtest)
        results.append(account.result(candles, whole, timezone))
    chosen = median_path([result.metrics["sharpe"] for result in results])
    result = results[chosen]
    result.diagnostics[:0] = _remarks(rows, chosen, len(results))
    rows.sort(key=lambda one: (one["fold"], one["test_start"]))
    paths = None if len(results) == 1 else _paths(results)
    return WalkedFolds(_folds_table(plan, rows), result, chosen, paths)


def median_path(sharpes: Sequence[float | None]) -> int:
    """The place of the median, of two in the middle the lower; none counts as below all."""
    values = [-np.inf if one is None else one for one in sharpes]
    return int(np.argsort(values, kind="stable")[(len(values) - 1) // 2])


def request_of_test(stretch: Stretch, winner: BacktestRequest, equity: float) -> BacktestRequest:
    """The backtest by which a winner trades a test part: what anybody may run alone.

    Args:
        stretch: the test part.
        winner: the winner's backtest, of whatever time and cash.
        equity: what the test part before has left.
    """
    return stretch.of(winner).model_copy(update={"initial_cash": equity})


def _traded(
    plan: FoldPlan,
    fold: Fold,
    stretch: Stretch,
    winner: Winner | None,
    account: ChainedAccount,
    candles: Mapping[str, Candles],
    data: ExecutionData,
    timezone: str,
) -> dict[str, Any]:
    """Trades one test part, and says how it went."""
    trainings = [plan.trainings[number] for number in fold.trainings]
    row: dict[str, Any] = {
        "trainings": ",".join(map(str, fold.trainings)),
        "train_start": trainings[0].start,
        "train_end": trainings[-1].end,
        "train_bars": sum(one.bars for one in trainings),
        "test_start": stretch.start,
        "test_end": stretch.end,
        "test_bars": stretch.bars,
        "equity_before": account.equity,
    }
    if winner is None or account.equity <= 0.0:
        account.wait(plan.moments[stretch.part.first : stretch.part.stop])
    if winner is not None:
        rows = [own.to_pylist()[0] for own in winner.rows]
        in_sample = joint_metrics(rows, [one.bars for one in trainings])
        row |= {"trial": winner.trial, **{key: rows[0][key] for key in plan.request.sweep.space}}
        row |= {f"{IN_SAMPLE}{name}": value for name, value in in_sample.items()}
        row["in_sample_objective"] = in_sample[plan.request.sweep.objective]
        if account.equity > 0.0:
            asked = request_of_test(
                stretch, request_of_row(plan.request.sweep, winner.rows[0]), account.equity
            )
            result = run_backtest(candles, asked, timezone=timezone, **data.of(asked))
            row |= {f"{OUT_OF_SAMPLE}{name}": value for name, value in result.metrics.items()}
            row["out_of_sample_objective"] = result.metrics[plan.request.sweep.objective]
            account.add(result)
    row["equity_after"] = account.equity
    return row


def _folds_table(plan: FoldPlan, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """The rows, of types that depend on the request alone."""
    space = Space.of(plan.request.sweep.space)
    kinds: dict[str, Any] = {
        "fold": pa.int64(),
        "path": pa.int64(),
        "trainings": pa.string(),
        "train_start": _TIME,
        "train_end": _TIME,
        "train_bars": pa.int64(),
        "test_start": _TIME,
        "test_end": _TIME,
        "test_bars": pa.int64(),
        "trial": pa.int64(),
        **{key: axis.column_type for key, axis in space.axes.items()},
        "in_sample_objective": pa.float64(),
        "out_of_sample_objective": pa.float64(),
        "equity_before": pa.float64(),
        "equity_after": pa.float64(),
    }
    for prefix in (IN_SAMPLE, OUT_OF_SAMPLE):
        kinds |= {f"{prefix}{name}": _kind_of(name) for name in METRIC_NAMES}
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()}
    return pa.table(columns)


def _kind_of(metric: str) -> pa.DataType:
    return pa.int64() if METRICS[metric].unit == "count" else pa.float64()


def _paths(results: Sequence[BacktestResult]) -> pa.Table:
    stamps = pa.array(results[0].equity["timestamp"], _TIME)
    curves = [pa.array(result.equity["equity"], pa.float64()) for result in results]
    names = [f"path_{number}" for number in range(len(results))]
    return pa.table([stamps, *curves], names=["timestamp", *names])


def _remarks(rows: Sequence[Mapping[str, Any]], path: int, paths: int) -> list[str]:
    """What a reader of the numbers should know."""
    remarks = []
    if paths > 1:
        remarks.append(f"Of {paths:,} paths this is path {path}, whose Sharpe ratio is the median.")
    without = len({row["fold"] for row in rows if "trial" not in row})
    if without:
        folds = counted(without, "fold")
        remarks.append(f"In {folds} no trial of the training ranks, and nothing was traded.")
    ruined = sum(1 for row in rows if row["equity_before"] <= 0.0 and row["path"] == path)
    if ruined:
        remarks.append(f"The account was ruined; {counted(ruined, 'test part')} came after that.")
    return remarks
