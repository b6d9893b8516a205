"""The folds of a walk-forward on given candles: what is searched, what is tested, and from when to when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.inputs import benchmark_candles, chosen_candles
from backtest_pipeline.engine.joint_grid import JointGrid
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.span import moment_of
from backtest_pipeline.model.walk_forward_request import too_many_trials
from backtest_pipeline.research.splits import Part, PurgedCrossValidation, Split, walk_forward_splits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest

    Moments = NDArray[np.datetime64]

NO_FOLD = "this walk-forward cannot be run"
_MICROSECOND = np.timedelta64(1, "us")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bars that follow each other.

    Attributes:
        part: their places among those of the plan.
        start: when the first of them opens, UTC.
        end: the last moment before the bar after them opens, or when the very last bar opens, UTC.
    """

    part: Part
    start: datetime
    end: datetime

    @property
    def bars(self) -> int:
        """How many."""
        return len(self.part)

    def of(self, request: BacktestRequest) -> BacktestRequest:
        """A backtest of these bars alone."""
        return request.model_copy(update={"start": self.start, "end": self.end})


@dataclass(frozen=True, slots=True)
class Fold:
    """One training and its tests.

    Attributes:
        number: from 0.
        trainings: numbers of the plan's trainings that its winner is chosen by; of a walk-forward one.
        tests: the stretches that the winner trades, in time; of a walk-forward one.
    """

    number: int
    trainings: tuple[int, ...]
    tests: tuple[Stretch, ...]


@dataclass(frozen=True, eq=False, slots=True)
class FoldPlan:
    """What there is to do.

    Attributes:
        request: the walk-forward, resolved.
        moments: shape (n,), `datetime64[us]`, of all bars of the account.
        trainings: the stretches that are searched, each once.
        folds: in time.
        paths: each a way through all tested bars: fold and test of each piece, in time; of a walk-forward
            one.
    """

    request: WalkForwardRequest
    moments: Moments
    trainings: Sequence[Stretch]
    folds: Sequence[Fold]
    paths: Sequence[Sequence[tuple[int, int]]]

    def sweep(self, training: int) -> SweepRequest:
        """The search on one training: the request's own, on those candles alone."""
        sweep = self.request.sweep
        return sweep.model_copy(update={"backtest": self.trainings[training].of(sweep.backtest)})

    @property
    def tested(self) -> Stretch:
        """From the first tested bar to the last."""
        stretches = [test for fold in self.folds for test in fold.tests]
        first = min(stretches, key=lambda one: one.part.first)
        last = max(stretches, key=lambda one: one.part.stop)
        return Stretch(Part(first.part.first, last.part.stop), first.start, last.end)


def fold_plan(candles: Mapping[str, Candles], request: WalkForwardRequest, timezone: str = "UTC") -> FoldPlan:
    """The folds of a walk-forward on some candles.

    Args:
        candles: by symbol, in the request's timeframe, at least the request's and its benchmark's.
        request: resolved.
        timezone: what a `start` or `end` without a zone means.

    Raises:
        RequestInvalid: the candles are not enough for one fold, the folds are too many, or there are no
            candles of some symbol.
        CandlesInvalid: a symbol's candles are empty.
        CandlesMissing: a symbol or the benchmark has no candle within the request's span, or within a part
            of a fold.
    """
    chosen = chosen_candles(candles, request.sweep.backtest, timezone)
    grid = JointGrid.of(chosen)
    cutting = _Cutting(grid.earliest_opens(chosen), grid.timestamp)
    try:
        splits, paths = _splits(request, grid.timestamp)
    except RequestInvalid as error:
        raise RequestInvalid(error.problems, heading=NO_FOLD) from None
    plan = _planned(request, grid.timestamp, splits, paths, cutting)
    if problems := too_many_trials(request, len(plan.trainings)):
        raise RequestInvalid(problems, heading=NO_FOLD)
    for stretch in (*plan.trainings, *(test for fold in plan.folds for test in fold.tests)):
        own = stretch.of(request.sweep.backtest)
        chosen_candles(candles, own, timezone)
        benchmark_candles(candles, own, timezone)
    return plan


def _splits(
    request: WalkForwardRequest, moments: Moments
) -> tuple[list[Split], Sequence[Sequence[tuple[int, int]]]]:
    """The splits, and the ways through their tests."""
    if not request.is_cross_validation:
        train, test = request.windows
        splits = walk_forward_splits(
            moments, train, test, anchored=request.anchored, purge_bars=request.purge_bars
        )
        return splits, [[(number, 0) for number in range(len(splits))]]
    folds, test_folds = request.folds or 0, request.test_folds or 0
    purged = PurgedCrossValidation(folds, test_folds, request.purge_bars, request.embargo_bars)
    paths = [
        [(split, purged.chosen[split].index(fold)) for fold, split in enumerate(path)]
        for path in purged.paths
    ]
    return purged.splits(len(moments)), paths


@dataclass(frozen=True, eq=False, slots=True)
class _Cutting:
    """Makes stretches of parts; `opens` are the earliest of each value's bars, `moments` the latest."""

    opens: Moments
    moments: Moments

    def stretch(self, part: Part) -> Stretch:
        after = part.stop < len(self.opens)
        end = self.opens[part.stop] - _MICROSECOND if after else self.moments[-1]
        return Stretch(part, *(moment_of(one.astype(np.int64)) for one in (self.opens[part.first], end)))


def _planned(
    request: WalkForwardRequest,
    moments: Moments,
    splits: Sequence[Split],
    paths: Sequence[Sequence[tuple[int, int]]],
    cutting: _Cutting,
) -> FoldPlan:
    numbers: dict[Part, int] = {}
    folds = []
    for number, split in enumerate(splits):
        trainings = tuple(numbers.setdefault(part, len(numbers)) for part in split.train)
        folds.append(Fold(number, trainings, tuple(cutting.stretch(part) for part in split.test)))
    return FoldPlan(request, moments, [cutting.stretch(part) for part in numbers], folds, paths)
