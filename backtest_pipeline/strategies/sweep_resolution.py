"""The gate of a sweep: its strategies are known, and every value passes where one alone can be judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from backtest_pipeline.model.errors import ParamsInvalid, RequestInvalid, StrategyUnknown
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.portfolio_rules import portfolio_problems
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.model.request_model import problems_of
from backtest_pipeline.model.space_values import (
    PARAM,
    VARIED_FIELDS,
    Problems,
    repeated_problem,
    sample_of,
)
from backtest_pipeline.model.strategy import AnyStrategy, StrategyParams
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.strategies.registry import made, strategies


@dataclass(frozen=True, slots=True)
class ResolvedSweep:
    """A sweep whose strategies are known and whose values have been checked one by one.

    Attributes:
        strategies: by name, an instance of each strategy that a trial may have.
        request: the sweep, the values and defaults of an only strategy's parameters written out.
    """

    strategies: Mapping[str, AnyStrategy]
    request: SweepRequest


def resolve_sweep(request: SweepRequest) -> ResolvedSweep:
    """Finds a sweep's strategies and checks the values of their parameters, each by itself.

    Whether values fit together is found trial by trial.

    Raises:
        StrategyUnknown: no strategy has one of the names.
        ParamsInvalid: a parameter is unknown, or one of its values is refused whatever the others are.
        RequestInvalid: a portfolio strategy cannot be run with what the backtest asks for.
    """
    known = strategies()
    names = request.space.get("strategy", (request.backtest.strategy,))
    for name in names:
        if name not in known:
            raise StrategyUnknown(name, list(known))
    found = {name: made(known[name]) for name in names}
    for strategy in found.values():
        if isinstance(strategy, PortfolioStrategy) and (
            problems := portfolio_problems(request.backtest, request.space)
        ):
            raise RequestInvalid([(f"backtest.{field}", problem) for field, problem in problems])
    if len(found) == 1:
        return ResolvedSweep(found, _written_out(request, next(iter(found.values()))))
    _check_names(request, found)
    return ResolvedSweep(found, request)


def resolve_walk_forward(request: WalkForwardRequest) -> WalkForwardRequest:
    """A walk-forward whose strategies are known, values and defaults of their parameters written out.

    Raises:
        StrategyUnknown, ParamsInvalid: as `resolve_sweep`.
    """
    return request.model_copy(update={"sweep": resolve_sweep(request.sweep).request})


def _check_names(request: SweepRequest, found: Mapping[str, AnyStrategy]) -> None:
    """Of several strategies, one at least must have each parameter that varies."""
    fields = list(dict.fromkeys(name for one in found.values() for name in one.Params.model_fields))
    problems = _unknown_names(request, fields)
    if problems:
        raise ParamsInvalid(" and ".join(found), problems, fields)


def _unknown_names(request: SweepRequest, fields: list[str]) -> Problems:
    fixed, varied = request.backtest.params, request.varied_params
    return [
        (name, f"there is no such parameter{did_you_mean(name, [*fields, *others])}")
        for name, others in {**dict.fromkeys(fixed, ()), **dict.fromkeys(varied, VARIED_FIELDS)}.items()
        if name not in fields
    ]


def _written_out(request: SweepRequest, strategy: AnyStrategy) -> SweepRequest:
    fields = list(strategy.Params.model_fields)
    problems = _unknown_names(request, fields)
    fixed: dict[str, Any] = {}
    for name, field in strategy.Params.model_fields.items():
        if name in request.varied_params:
            continue
        if name in request.backtest.params:
            fixed[name] = _checked(strategy, name, request.backtest.params[name], problems)
        elif field.is_required():
            problems.append((name, "Field required"))
        else:
            default = field.get_default(call_default_factory=True, validated_data={})
            fixed[name] = TypeAdapter(Any).dump_python(default, mode="json")
    space = dict(request.space)
    for key, values in request.space.items():
        name = key.removeprefix(PARAM)
        if key.startswith(PARAM) and name in fields:
            space[key] = _checked_values(strategy, name, values, problems)
    if problems:
        raise ParamsInvalid(strategy.name, problems, fields)
    backtest = request.backtest.model_copy(update={"params": fixed})
    return request.model_copy(update={"backtest": backtest, "space": space})


def _checked_values(strategy: AnyStrategy, name: str, values: Any, problems: Problems) -> Any:
    before = len(problems)
    checked = []
    for value in values if isinstance(values, tuple) else sample_of(values):
        checked.append(_checked(strategy, name, value, problems))
        if len(problems) > before + 2:  # enough to see what is meant
            break
    if not isinstance(values, tuple):
        return values
    if len(problems) == before and (problem := repeated_problem(checked)):
        problems.append((name, problem))
    return tuple(checked)


def _checked(strategy: AnyStrategy, name: str, value: Any, problems: Problems) -> Any:
    """A value as its parameter has it in JSON; where it is refused, a problem that names it."""
    adapter = _adapter(strategy.Params, name)
    try:
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        problems += [(name, problem) for _, problem in problems_of(error)]
        return value


@lru_cache(maxsize=1_024)
def _adapter(params: type[StrategyParams], name: str) -> TypeAdapter[Any]:
    field = params.model_fields[name]
    annotated: Any = Annotated[field.annotation, field]
    try:
        return TypeAdapter(annotated, config=params.model_config)
    except PydanticUserError:  # a model or dataclass has a config of its own
        return TypeAdapter(annotated)
