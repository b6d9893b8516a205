"""A search that has to prove itself on candles that it has not seen: what a user asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.nested_request import checked_inner, is_reported
from backtest_pipeline.model.request_model import RequestModel, problems_of
from backtest_pipeline.model.space_values import Problems
from backtest_pipeline.model.sweep_request import MOST_TRIALS, SweepRequest
from backtest_pipeline.model.windows import Window, window_of, written_window

PURGED: Literal["purged"] = "purged"
DEFAULT_TRAIN, DEFAULT_TEST = "2y", "6mo"
DEFAULT_FOLDS, DEFAULT_TEST_FOLDS = 6, 2
MOST_COMBINATIONS = 1_000
MOST_SKIPPED_BARS = 1_000_000
SAME_IN_ALL_FOLDS = ("symbols", "timeframe", "start", "end", "calendar", "initial_cash")
"""Fields that may not vary: one account has to go through all folds."""


def _written(value: object) -> object:
    return None if value is None or value == "" else written_window(value)


WrittenWindow = Annotated[int | str | None, BeforeValidator(_written)]


class WalkForwardRequest(RequestModel):
    """A sweep in each of many folds, whose winner trades the candles after it. Immutable, one task.

    `train` and `test` are both numbers of bars, or both spans of the calendar: `2y`, `6mo`, `8w`, `90d`,
    `12h`. With `cross_validation="purged"` the candles are cut into `folds` instead, and every choice of
    `test_folds` of them is tested by what the others teach. How the service treats the task stands in the
    sweep's `backtest`.

    Raises:
        RequestInvalid: at construction, naming every field that is wrong. Whether the candles are enough for
            one fold is found when they are read.
    """

    sweep: SweepRequest = Field(description="the search that runs on the training part of each fold")
    train: WrittenWindow = Field(None, description="length of a training: 500 bars, or 2y, 6mo, 8w, 90d, 12h")
    test: WrittenWindow = Field(None, description="length of a test part, in bars where train is")
    anchored: bool = Field(False, description="every training begins with the first candle, and grows")
    purge_bars: int = Field(
        0, ge=0, le=MOST_SKIPPED_BARS, description="bars between a training and its test that neither sees"
    )
    embargo_bars: int = Field(
        0, ge=0, le=MOST_SKIPPED_BARS, description="of purged cross-validation: bars left out after a test"
    )
    cross_validation: Literal["purged"] | None = Field(
        None, description="purged: combinatorial purged cross-validation instead of walking forward"
    )
    folds: int | None = Field(None, ge=3, le=100, description="of cross-validation: into how many to cut")
    test_folds: int | None = Field(None, ge=1, le=99, description="of cross-validation: tested at a time")

    if not TYPE_CHECKING:  # a typed signature is left to the type checker, which derives it from the fields

        def __init__(self, **fields: Any) -> None:
            problems: Problems = []
            fields = {**fields, **checked_inner("sweep", SweepRequest, fields, problems)}
            for name, default in _defaults(fields).items():
                if fields.get(name) in {None, ""}:
                    fields[name] = default
            try:
                super().__init__(**fields)
            except ValidationError as error:
                found = problems_of(error, type(self).model_fields)
                problems += [one for one in found if not is_reported(one[0], problems)]
            else:
                problems = problems or _fold_problems(self)
            if problems:
                raise RequestInvalid(problems, heading="this walk-forward cannot be run")

    def to_dict(self) -> dict[str, Any]:
        """All fields, defaults written out, as JSON values; the sweep as `SweepRequest.to_dict` has it.

        The sweep's `warmup_bars` are always among them, as folds begin at moments of their own.
        """
        sweep = self.sweep.to_dict()
        sweep["backtest"] = {**sweep["backtest"], "warmup_bars": self.sweep.backtest.warmup_bars}
        return {**super().to_dict(), "sweep": sweep}

    @property
    def windows(self) -> tuple[Window, Window]:
        """Lengths of training and test; of a walk-forward."""
        return window_of(self.train), window_of(self.test)

    @property
    def is_cross_validation(self) -> bool:
        """Whether folds are combined instead of walked through."""
        return self.cross_validation is not None


def _defaults(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if fields.get("cross_validation") is None:
        return {"train": DEFAULT_TRAIN, "test": DEFAULT_TEST}
    return {"folds": DEFAULT_FOLDS, "test_folds": DEFAULT_TEST_FOLDS}


def _fold_problems(request: WalkForwardRequest) -> Problems:
    """What is wrong between the folds and the sweep."""
    problems = [
        (f"sweep.space.{name}", f"{name} has to be the same in all folds; set it in `backtest`")
        for name in SAME_IN_ALL_FOLDS
        if name in request.sweep.space
    ]
    if request.is_cross_validation:
        return problems + _combination_problems(request)
    problems += [
        (name, "is of cross-validation; leave it out, or ask for cross_validation")
        for name in ("folds", "test_folds")
        if getattr(request, name) is not None
    ]
    if request.embargo_bars:
        problems.append(("embargo_bars", "is of cross-validation: here every training ends before its test"))
    train, test = request.windows
    if isinstance(train, int) != isinstance(test, int):
        problems.append(("test", "give train and test both in bars or both as spans of the calendar"))
    return problems


def _combination_problems(request: WalkForwardRequest) -> Problems:
    folds, test_folds = request.folds or 0, request.test_folds or 0
    problems = [
        (name, "is of walking forward; cross-validation takes folds and test_folds")
        for name in ("train", "test")
        if getattr(request, name) is not None
    ]
    if request.anchored:
        problems.append(("anchored", "is of walking forward; cross-validation has no such thing"))
    if test_folds >= folds:
        problems.append(("test_folds", f"test fewer than all {folds} folds at a time"))
    elif math.comb(folds, test_folds) > MOST_COMBINATIONS:
        many = f"{math.comb(folds, test_folds):,} combinations, and at most {MOST_COMBINATIONS:,} are run"
        problems.append(("folds", f"{many}; take fewer folds"))
    if request.sweep.search == "tpe":
        problem = "tpe tries other combinations in each part of a training; take grid, random or sobol"
        problems.append(("sweep.search", problem))
    return problems


def too_many_trials(request: WalkForwardRequest, trainings: int) -> Problems:
    """A problem where all trainings together have more trials than one task may have."""
    planned = request.sweep.planned_trials * trainings
    if planned <= MOST_TRIALS:
        return []
    return [("sweep", f"{planned:,} trials in {trainings:,} trainings, and at most {MOST_TRIALS:,} are run")]
