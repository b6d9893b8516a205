"""Which bars a strategy is fitted on and on which it is tried: walk-forward, and purged cross-validation.

Places are those of bars that follow each other in time, as NumPy counts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.windows import CalendarSpan, Window, first_at_or_after

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Moments = NDArray[np.datetime64]

MOST_FOLDS = 1_000
"""Of one walk-forward, or combinations of one cross-validation."""
OF_A_KIND = "give train and test both in bars or both as spans of the calendar"


@dataclass(frozen=True, slots=True)
class Part:
    """Bars that follow each other, from `first` to `stop` (excluded)."""

    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


@dataclass(frozen=True, slots=True)
class Split:
    """One division of the bars.

    Attributes:
        train: the parts that a strategy is fitted on, in time; none of them empty, none next to another.
        test: the parts that it is tried on, in time; of a walk-forward one.
    """

    train: tuple[Part, ...]
    test: tuple[Part, ...]


def walk_forward_splits(
    moments: Moments, train: Window, test: Window, *, anchored: bool = False, purge_bars: int = 0
) -> list[Split]:
    """Windows that walk through the bars: each test part begins where the one before ends.

    By bars, as `skfolio.model_selection.WalkForward` with `reduce_test`: the first test part begins after
    `train` and the purged bars. By the calendar, test part k begins at the first bar at or after the first
    bar's open plus `train` plus k times `test`, training at the first bar at or after `train` before that,
    and purging shortens the training. The last test part ends with the bars, and may be shorter. A test part
    in which there is no bar is left out.

    Args:
        moments: shape (n,), `datetime64[us]`, rising, when the bars open.
        train: length of the training.
        test: length of a test part, in bars where `train` is.
        anchored: training always begins with the first bar, and grows.
        purge_bars: bars between the end of the training and its test part that neither has.

    Raises:
        RequestInvalid: there are too few bars for one test part, a training without a bar, or too many
            test parts.
    """
    if isinstance(train, CalendarSpan) and isinstance(test, CalendarSpan):
        bounds = _calendar_bounds(moments, train, test, purge_bars)
    elif isinstance(train, int) and isinstance(test, int):
        bounds = _bar_bounds(len(moments), train, test, purge_bars)
    else:
        raise RequestInvalid([("test", OF_A_KIND)])
    splits = []
    for first, train_stop, test_first, stop in bounds:
        own = Part(0 if anchored else first, train_stop)
        if own.first >= own.stop:
            raise RequestInvalid([("train", f"there is no bar to train on before {moments[test_first]}Z")])
        splits.append(Split((own,), (Part(test_first, stop),)))
        if len(splits) > MOST_FOLDS:
            raise RequestInvalid([("test", f"more than {MOST_FOLDS:,} test parts; make them longer")])
    if not splits:
        raise RequestInvalid([("train", _too_short(moments, train, purge_bars))])
    return splits


def _bar_bounds(bars: int, train: int, test: int, purge_bars: int) -> Iterator[tuple[int, int, int, int]]:
    for test_first in range(train + purge_bars, bars, test):
        train_stop = test_first - purge_bars
        yield train_stop - train, train_stop, test_first, min(test_first + test, bars)


def _calendar_bounds(
    moments: Moments, train: CalendarSpan, test: CalendarSpan, purge_bars: int
) -> Iterator[tuple[int, int, int, int]]:
    begin = train.after(moments[0])
    step = 0
    while (edge := test.after(begin, step)) <= moments[-1]:
        step += 1
        test_first = first_at_or_after(moments, edge)
        stop = first_at_or_after(moments, test.after(begin, step))
        if test_first < stop:
            first = first_at_or_after(moments, train.after(edge, -1))
            yield first, test_first - purge_bars, test_first, stop


def _too_short(moments: Moments, train: Window, purge_bars: int) -> str:
    if isinstance(train, CalendarSpan):
        first, last = (str(moment)[:10] for moment in moments[[0, -1]])
        return f"there are candles from {first} to {last}, and {train.text} of training leaves none to test"
    purged = f" and {purge_bars:,} purged" if purge_bars else ""
    return f"there are {len(moments):,} bars, and {train:,} of training{purged} leave none to test"


@dataclass(frozen=True, slots=True)
class PurgedCrossValidation:
    """Combinatorial purged cross-validation (López de Prado, Advances in Financial Machine Learning, 12).

    The bars are cut into even folds, the last with what is left over. Each choice of `test_folds` of them is
    tested by what the others teach, less the bars next to the tested ones. Every fold is tested in several
    splits, so that several whole paths through all bars can be put together.

    Attributes:
        folds: how many, at least 3.
        test_folds: how many are tested at a time, fewer than `folds`.
        purge_bars: bars left out of the training on either side of a test fold.
        embargo_bars: further bars left out of the training after a test fold.
    """

    folds: int
    test_folds: int
    purge_bars: int = 0
    embargo_bars: int = 0

    @property
    def chosen(self) -> list[tuple[int, ...]]:
        """The folds that each split tests."""
        return list(combinations(range(self.folds), self.test_folds))

    @property
    def paths(self) -> list[list[int]]:
        """For each path, which split tests each fold."""
        testing = [
            [at for at, tested in enumerate(self.chosen) if fold in tested] for fold in range(self.folds)
        ]
        return [list(path) for path in zip(*testing, strict=True)]

    def parts(self, bars: int) -> list[Part]:
        """The folds of so many bars."""
        size = bars // self.folds
        edges = [*(size * fold for fold in range(self.folds)), bars]
        return [Part(first, stop) for first, stop in pairwise(edges)]

    def splits(self, bars: int) -> list[Split]:
        """As `skfolio.model_selection.CombinatorialPurgedCV.split`.

        Raises:
            RequestInvalid: the folds are too short for what is purged.
        """
        if math.comb(self.folds, self.test_folds) > MOST_FOLDS:
            raise RequestInvalid([("folds", f"more than {MOST_FOLDS:,} combinations; take fewer folds")])
        if self.purge_bars + self.embargo_bars >= bars // self.folds - 1:
            problem = f"a fold has {bars // self.folds:,} bars, which purge and embargo would use up"
            raise RequestInvalid([("purge_bars", problem)])
        parts = self.parts(bars)
        return [
            Split(tuple(self._training(parts, tested)), tuple(parts[fold] for fold in tested))
            for tested in self.chosen
        ]

    def _training(self, parts: Sequence[Part], tested: tuple[int, ...]) -> Iterator[Part]:
        begin: int | None = None
        for fold, part in enumerate(parts):
            if fold in tested:
                continue
            if begin is None:
                after_test = fold - 1 in tested
                begin = part.first + (self.purge_bars + self.embargo_bars if after_test else 0)
            if fold + 1 in tested:
                yield Part(begin, part.stop - self.purge_bars)
                begin = None
        if begin is not None:
            yield Part(begin, parts[-1].stop)
