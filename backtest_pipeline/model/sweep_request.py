"""What a user asks for who searches: a backtest, what to vary in it, and which metric tells the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_serializer

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.metric_condition import MetricCondition
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.nested_request import checked_inner, is_reported
from backtest_pipeline.model.plain_data import LARGEST_WHOLE, shortened
from backtest_pipeline.model.ranges import FloatRange, IntRange
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.request_model import RequestModel, problems_of
from backtest_pipeline.model.space_values import (
    PARAM,
    Problems,
    Values,
    checked_space,
    count_of,
    values_as_json,
)

__all__ = ["FloatRange", "IntRange", "SweepRequest"]

SearchName = Literal["grid", "random", "sobol", "tpe"]

MOST_TRIALS = 10_000_000
MOST_TPE_TRIALS = 10_000
MOST_CONDITIONS = 50


def _known_objective(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"there is no metric {shortened(name)}{did_you_mean(name, METRICS)}")
    if METRICS[name].better == "neither":
        directed = [other for other, facts in METRICS.items() if facts.better != "neither"]
        raise ValueError(f"neither more nor less {name} is better; choose one of {', '.join(directed)}")
    return name


def _written_conditions(conditions: object) -> object:
    """The conditions as they are written out, each once."""
    if isinstance(conditions, str) or not isinstance(conditions, Sequence):
        raise ValueError(  # noqa: TRY004  pydantic takes a ValueError for a finding
            f"write a list of conditions, as in ['trades >= 30'], not {shortened(conditions)}"
        )
    if len(conditions) > MOST_CONDITIONS:
        raise ValueError(f"at most {MOST_CONDITIONS} conditions, not {len(conditions):,}")
    return tuple(dict.fromkeys(str(MetricCondition.parse(str(one))) for one in conditions))


class SweepRequest(RequestModel):
    """A search over combinations of values, one task. Immutable; unknown fields are refused.

    A key of the space is `params.<name>` or a field of `BacktestRequest` that changes the outcome; its values
    are a list, an `IntRange` or a `FloatRange`. What is not in the space stays as in `backtest`. How the
    service treats the task (`timeout_s`, `max_retries`, `priority`, `pinned`, `labels`) stands in `backtest`.

    Raises:
        RequestInvalid: at construction, naming every field that is wrong. Parameters are checked against the
            strategies' own models by `strategies.sweep_resolution.resolve_sweep`.
    """

    backtest: BacktestRequest = Field(description="the backtest of which something is varied")
    space: Mapping[str, Any] = Field(description="what varies: names, each with its values")
    search: SearchName = Field("grid", description="how combinations are chosen: grid takes all")
    trials: int | None = Field(None, ge=1, description="how many combinations; all of them with grid")
    objective: Annotated[str, BeforeValidator(_known_objective)] = Field(
        "sharpe", description="the metric that ranks trials, in its better direction"
    )
    where: Annotated[tuple[str, ...], BeforeValidator(_written_conditions)] = Field(
        (), description="conditions on metrics; a trial that breaks one is kept and not ranked"
    )
    keep_best: int = Field(20, ge=1, le=1_000, description="of how many of the best the equity is kept")
    seed: int = Field(0, ge=-LARGEST_WHOLE, le=LARGEST_WHOLE, description="seed of the search's own chance")

    if not TYPE_CHECKING:  # a typed signature is left to the type checker, which derives it from the fields

        def __init__(self, **fields: Any) -> None:
            problems: Problems = []
            if "space" in fields:
                fields["space"] = checked_space(fields["space"], problems)
            fields |= checked_inner("backtest", BacktestRequest, fields, problems)
            try:
                super().__init__(**fields)
            except ValidationError as error:
                found = problems_of(error, type(self).model_fields)
                problems += [one for one in found if not is_reported(one[0], problems)]
            else:
                problems = problems or _search_problems(self)
            if problems:
                raise RequestInvalid(problems, heading="this sweep cannot be run")

    def to_dict(self) -> dict[str, Any]:
        """All fields, defaults written out, as JSON values; `backtest` as `BacktestRequest.to_dict` has it.

        Where `start` varies, `warmup_bars` are always among them: see `stored_request`.
        """
        backtest = self.backtest.to_dict()
        if "start" in self.space:
            backtest["warmup_bars"] = self.backtest.warmup_bars
        return {**super().to_dict(), "backtest": backtest}

    @field_serializer("space")
    def _plain_space(self, space: Mapping[str, Values]) -> dict[str, Any]:
        return {key: values_as_json(values) for key, values in space.items()}

    @property
    def conditions(self) -> tuple[MetricCondition, ...]:
        """What `where` says."""
        return tuple(MetricCondition.parse(text) for text in self.where)

    @property
    def combinations(self) -> int | None:
        """How many combinations the space has; none where a range without a step has no end of them."""
        return combinations_of(self.space)

    @property
    def planned_trials(self) -> int:
        """How many trials the sweep has."""
        return self.trials if self.trials is not None else (self.combinations or 0)

    @property
    def symbols_traded(self) -> tuple[str, ...]:
        """All symbols that a trial may trade, each once."""
        choices = self.space.get("symbols", (self.backtest.symbols,))
        return tuple(dict.fromkeys(symbol for one in choices for symbol in one))

    @property
    def symbols_read(self) -> tuple[str, ...]:
        """All symbols whose candles are needed: those that are traded, then the benchmark."""
        benchmark = self.backtest.benchmark
        return tuple(dict.fromkeys([*self.symbols_traded, *([benchmark] if benchmark else [])]))

    @property
    def varied_params(self) -> list[str]:
        """Names of the strategy's parameters that vary."""
        return [key.removeprefix(PARAM) for key in self.space if key.startswith(PARAM)]

    @property
    def varied_fields(self) -> list[str]:
        """The request's own fields that vary."""
        return [key for key in self.space if not key.startswith(PARAM)]


def combinations_of(space: Mapping[str, Values]) -> int | None:
    """How many combinations a space has; none where there is no end of them."""
    counts = [count_of(values) for values in space.values()]
    finite = [count for count in counts if count is not None]
    return math.prod(finite) if len(finite) == len(counts) else None


def _search_problems(request: SweepRequest) -> Problems:
    """What is wrong between the search, its trials and the space."""
    if request.search != "grid":
        return _trials_problems(request)
    if request.trials is not None:
        return [("trials", "grid runs all combinations; leave trials out, or choose another search")]
    endless = [key for key, values in request.space.items() if count_of(values) is None]
    if endless:
        return [(f"space.{key}", "grid needs a step here, or choose another search") for key in endless]
    combinations = request.combinations or 0
    if combinations > MOST_TRIALS:
        problem = (
            f"{combinations:,} combinations, and grid runs at most {MOST_TRIALS:,}; take fewer values or "
            "larger steps, or choose another search with `trials`"
        )
        return [("space", problem)]
    return []


def _trials_problems(request: SweepRequest) -> Problems:
    if request.trials is None:
        return [("trials", f"say how many; {request.search} has no number of its own")]
    most = MOST_TPE_TRIALS if request.search == "tpe" else MOST_TRIALS
    if request.trials > most:
        return [("trials", f"{request.search} runs at most {most:,}, not {request.trials:,}")]
    return []
