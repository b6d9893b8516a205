"""Divisions of bars, against those of another library and against what they must never do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as drawn
from skfolio.model_selection import CombinatorialPurgedCV, WalkForward

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.windows import CalendarSpan, window_of, written_window
from backtest_pipeline.research.splits import Part, PurgedCrossValidation, Split, walk_forward_splits


def _days(count: int, start: str = "2020-01-01") -> Any:
    return np.datetime64(start, "us") + np.arange(count) * np.timedelta64(1, "D")


def _places(parts: tuple[Part, ...]) -> list[int]:
    return [place for part in parts for place in range(part.first, part.stop)]


def _theirs(splitter: Any, table: Any) -> list[tuple[list[int], list[int]]]:
    return [(train.tolist(), np.concatenate([test]).tolist()) for train, test in splitter.split(table)]


def _ours(splits: list[Split]) -> list[tuple[list[int], list[int]]]:
    return [(_places(one.train), _places(one.test)) for one in splits]


@given(
    bars=drawn.integers(2, 160),
    train=drawn.integers(1, 60),
    test=drawn.integers(1, 40),
    purge=drawn.integers(0, 12),
    anchored=drawn.booleans(),
)
def test_windows_of_bars_are_those_of_skfolio(
    bars: int, train: int, test: int, purge: int, anchored: bool
) -> None:
    other = WalkForward(
        test_size=test, train_size=train, purged_size=purge, expand_train=anchored, reduce_test=True
    )
    if train + purge >= bars:
        with pytest.raises(RequestInvalid, match="leave none to test"):
            walk_forward_splits(_days(bars), train, test, anchored=anchored, purge_bars=purge)
        return
    splits = walk_forward_splits(_days(bars), train, test, anchored=anchored, purge_bars=purge)
    assert _ours(splits) == _theirs(other, np.zeros((bars, 1)))


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize("purge", [0, 5])
@pytest.mark.parametrize(
    ("index", "train", "test", "freq", "periods"),
    [
        (pd.bdate_range("2015-01-15", "2021-03-03"), "2y", "6mo", pd.DateOffset(months=6), 4),
        (pd.date_range("2018-02-28", "2020-07-01"), "1y", "3mo", pd.DateOffset(months=3), 4),
        (pd.date_range("2019-01-01", "2019-09-01", freq="4h"), "60d", "20d", pd.DateOffset(days=20), 3),
        (pd.bdate_range("2016-06-01", "2018-01-01"), "26w", "13w", pd.DateOffset(weeks=13), 2),
    ],
)
def test_windows_of_the_calendar_are_those_of_skfolio(
    index: Any, train: str, test: str, freq: Any, periods: int, purge: int, anchored: bool
) -> None:
    table = pd.DataFrame({"x": 0.0}, index=index)
    other = WalkForward(
        test_size=1,
        train_size=periods,
        freq=freq,
        purged_size=purge,
        expand_train=anchored,
        reduce_test=True,
    )
    moments = index.to_numpy().astype("datetime64[us]")
    splits = walk_forward_splits(
        moments, window_of(train), window_of(test), anchored=anchored, purge_bars=purge
    )
    assert len(splits) > 3
    assert _ours(splits) == _theirs(other, table)


@given(
    folds=drawn.integers(3, 8),
    test_folds=drawn.integers(2, 7),
    bars=drawn.integers(40, 200),
    purge=drawn.integers(0, 3),
    embargo=drawn.integers(0, 3),
)
def test_combinatorial_purged_cross_validation_is_that_of_skfolio(
    folds: int, test_folds: int, bars: int, purge: int, embargo: int
) -> None:
    if test_folds >= folds:
        return
    own = PurgedCrossValidation(folds, test_folds, purge, embargo)
    other = CombinatorialPurgedCV(folds, test_folds, purge, embargo)
    if purge + embargo >= bars // folds - 1:
        with pytest.raises(RequestInvalid, match="use up"):
            own.splits(bars)
        return
    theirs = [
        (train.tolist(), np.concatenate(tests).tolist()) for train, tests in other.split(np.zeros((bars, 1)))
    ]
    assert _ours(own.splits(bars)) == theirs
    assert np.array(own.paths).T.tolist() == other.recombined_paths.tolist()


def test_six_folds_two_at_a_time_worked_by_hand() -> None:
    """15 splits and 5 paths; testing folds 1 and 4 of 60 bars leaves 0-9, 20-39 and 50-59, less 3 bars."""
    own = PurgedCrossValidation(6, 2, purge_bars=2, embargo_bars=1)
    splits = own.splits(60)
    assert len(splits) == 15
    assert len(own.paths) == 5
    middle = splits[own.chosen.index((1, 4))]
    assert middle.test == (Part(10, 20), Part(40, 50))
    assert middle.train == (Part(0, 8), Part(23, 38), Part(53, 60))


@given(
    bars=drawn.integers(30, 300),
    train=drawn.integers(5, 25),
    test=drawn.integers(1, 9),
    purge=drawn.integers(0, 4),
)
def test_every_bar_after_the_first_training_is_tested_once_and_never_trained_on_before(
    bars: int, train: int, test: int, purge: int
) -> None:
    splits = walk_forward_splits(_days(bars), train, test, purge_bars=purge)
    tested = [place for one in splits for place in _places(one.test)]
    assert tested == list(range(train + purge, bars))
    for one in splits:
        assert one.train[-1].stop + purge == one.test[0].first


def test_a_training_is_a_month_long_though_the_candles_begin_on_the_31st() -> None:
    """A month after 31 January is 28 February: tests begin on the 28th, and trainings a month before them."""
    days = np.arange("2019-01-31", "2019-06-15", dtype="datetime64[D]").astype("datetime64[us]")
    month = window_of("1mo")
    splits = walk_forward_splits(days, month, month)
    begun = [[str(days[part.first])[:10] for part in (own.train[0], own.test[0])] for own in splits]
    assert begun == [
        ["2019-01-31", "2019-02-28"],
        ["2019-02-28", "2019-03-28"],
        ["2019-03-28", "2019-04-28"],
        ["2019-04-28", "2019-05-28"],
    ]
    assert all(own.train[0].stop == own.test[0].first for own in splits)


def test_a_month_lacks_days_and_spans_do_not_drift() -> None:
    month = window_of("1mo")
    assert isinstance(month, CalendarSpan)
    january = np.datetime64("2023-01-31T10:00", "us")
    assert str(month.after(january))[:16] == "2023-02-28T10:00"
    assert str(month.after(january, 2))[:16] == "2023-03-31T10:00"
    assert str(month.after(january, -2))[:16] == "2022-11-30T10:00"
    assert str(CalendarSpan("2y", months=24).after(np.datetime64("2020-02-29")))[:10] == "2022-02-28"


@pytest.mark.parametrize(
    ("given_", "kept"),
    [(500, 500), ("500", 500), (" 2Y", "2y"), ("6 mo", "6mo"), ("8w", "8w"), ("12h", "12h")],
)
def test_windows_are_kept_as_they_are_written(given_: object, kept: object) -> None:
    assert written_window(given_) == kept


@pytest.mark.parametrize(
    "wrong", [0, "0d", -3, "-3d", 2.5, "2.5y", True, None, "1m", "3q", "", "y", 10**10, "9999y"]
)
def test_what_is_no_window_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"window|bar|year|mo"):
        window_of(wrong)


def test_months_are_not_taken_for_minutes() -> None:
    with pytest.raises(ValueError, match="a month is written mo"):
        window_of("3m")


def test_folds_that_cannot_be_are_refused() -> None:
    for train, test, said in (
        (10, "1mo", "both in bars"),
        ("2y", "1mo", "2y of training leaves none"),
        (3, 1, "more than 1,000 test parts"),
    ):
        moments = _days(1_100 if said.startswith("more") else 400)
        with pytest.raises(RequestInvalid, match=said):
            walk_forward_splits(moments, window_of(train), window_of(test))
    with pytest.raises(RequestInvalid, match="no bar to train on"):
        walk_forward_splits(_days(400), window_of("10d"), window_of("10d"), purge_bars=30)
    with pytest.raises(RequestInvalid, match="more than 1,000 combinations"):
        PurgedCrossValidation(16, 8).splits(10_000)


def test_a_stretch_without_bars_has_no_test_part() -> None:
    """60 days, 15 days of nothing, 60 days: the part from day 60 to 69 is left out, from 70 to 79 shorter."""
    moments = np.concatenate([_days(60), _days(60, "2020-03-16")])
    splits = walk_forward_splits(moments, window_of("30d"), window_of("10d"))
    assert [len(one.test[0]) for one in splits] == [10, 10, 10, 5, 10, 10, 10, 10, 10, 5]
    assert [place for one in splits for place in _places(one.test)] == list(range(30, 120))
