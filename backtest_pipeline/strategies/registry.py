"""Which strategies there are: built in, installed, named by the operator, or registered by hand."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

from pydantic import BaseModel

from backtest_pipeline.model.errors import BacktestError, RequestInvalid, StrategyFaulty, StrategyUnknown
from backtest_pipeline.model.portfolio_rules import portfolio_problems
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.request_model import require_kind
from backtest_pipeline.model.source_place import place_raised
from backtest_pipeline.model.strategy import OWN_FAULTS, AnyStrategy, Strategy, StrategyParams, checked_params
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies.code_version import (
    changed_since_loaded,
    code_sha256,
    code_sha256_on_disk,
    own_sources,
)

ENTRY_POINT_GROUP = "backtest_pipeline.strategies"

StrategyClass = TypeVar("StrategyClass", bound=type[AnyStrategy])

_KINDS = (Strategy, PortfolioStrategy)

_by_hand: dict[str, type[AnyStrategy]] = {}


@dataclass(frozen=True, slots=True)
class Resolved:
    """A request whose strategy is known and whose parameters have been checked.

    Attributes:
        strategy: an instance of the strategy.
        params: its parameters, an instance of `strategy.Params`.
        request: the request with every parameter written out.
    """

    strategy: AnyStrategy
    params: StrategyParams
    request: BacktestRequest


def register(strategy: StrategyClass) -> StrategyClass:
    """Makes a strategy known in this process; usable as a decorator. A later one of the same name wins.

    Raises:
        StrategyFaulty: the class has no name.
    """
    _by_hand[_checked(strategy, strategy.__qualname__).name] = strategy
    return strategy


def strategies() -> dict[str, type[AnyStrategy]]:
    """All strategies by name, sorted.

    Raises:
        StrategyFaulty: an entry point or a module of BACKTEST_STRATEGIES cannot be loaded, holds no strategy,
            or uses a name that is taken.
    """
    installed = _installed(tuple(get_settings().strategy_modules))
    return dict(sorted(({name: found.strategy for name, found in installed.items()} | _by_hand).items()))


def signal_strategies() -> dict[str, type[Strategy]]:
    """Those that answer signals, symbol by symbol; errors as for `strategies`."""
    return {name: own for name, own in strategies().items() if issubclass(own, Strategy)}


def origins() -> dict[str, str]:
    """Where each strategy was found, by name, for people; errors as for `strategies`."""
    found = _installed(tuple(get_settings().strategy_modules))
    return {name: "registered by hand" if name in _by_hand else found[name].origin for name in strategies()}


def strategy_sources() -> dict[str, Path]:
    """Files, by module name, that the operator's strategies consist of, as far as known: for reloading code.

    What a strategy imports from beside itself counts: else the old helper would serve the new strategy.
    """
    found: dict[str, Path] = {}
    with suppress(BacktestError):
        for strategy in strategies().values():
            found |= own_sources(strategy)
    return found


def strategy_modules() -> set[str]:
    """Names of all modules that strategies come from, those included that could not be loaded."""
    points = {point.module for point in entry_points(group=ENTRY_POINT_GROUP)}
    return points | set(get_settings().strategy_modules)


def changed_strategies() -> list[str]:
    """Names of the strategies whose sources on disk are no longer what this process has loaded."""
    return [strategy.name for strategy in changed_since_loaded(strategies().values())]


def resolve(request: BacktestRequest) -> Resolved:
    """Finds a request's strategy and checks its parameters.

    Raises:
        StrategyUnknown: no strategy has that name.
        ParamsInvalid: a parameter is unknown, of the wrong type or out of range.
        RequestInvalid: the strategy trades a portfolio, and the request is not made for one.
        StrategyFaulty: the strategy cannot be made, or validators of its parameters fail.
    """
    require_kind(request, BacktestRequest)
    strategy = made(strategy_named(request.strategy))
    params = checked_params(strategy, request.params)
    if isinstance(strategy, PortfolioStrategy) and (problems := portfolio_problems(request)):
        raise RequestInvalid(problems)
    written_out = request.model_copy(update={"params": params.model_dump(mode="json")})
    return Resolved(strategy, params, written_out)


def strategy_named(name: str) -> type[AnyStrategy]:
    """The strategy of a name.

    Raises:
        StrategyUnknown: no strategy has that name.
    """
    found = _strategy_named(name)
    if found is None:
        raise StrategyUnknown(name, list(strategies()))
    return found


def code_sha256_of(*names: str) -> str | None:
    """Digest of the code that results of strategies depend on, or `None` where one's cannot be known."""
    return _joint_digest(names, code_sha256)


def code_sha256_on_disk_of(*names: str) -> str | None:
    """The same of the sources as they are on disk now, which may have changed since they were loaded."""
    return _joint_digest(names, code_sha256_on_disk)


def _joint_digest(names: Iterable[str], digest_of: Callable[[type[AnyStrategy]], str | None]) -> str | None:
    """The digest of an only strategy, or one over those of all."""
    try:
        found = [_strategy_named(name) for name in sorted(set(names))]
    except BacktestError:
        return None
    digests = [None if strategy is None else digest_of(strategy) for strategy in found]
    known_digests = [digest for digest in digests if digest is not None]
    if len(known_digests) < len(digests):
        return None
    joint = hashlib.sha256("".join(known_digests).encode()).hexdigest()
    return known_digests[0] if len(known_digests) == 1 else joint


def made(strategy: type[AnyStrategy]) -> AnyStrategy:
    """An instance of a strategy.

    Raises:
        StrategyFaulty: it cannot be made without arguments.
    """
    try:
        return strategy()
    except OWN_FAULTS as error:
        problem = f"it cannot be made without arguments: {type(error).__name__}: {error}"
        raise StrategyFaulty(strategy.name, problem, place_raised(error, strategy)) from error


def _strategy_named(name: str) -> type[AnyStrategy] | None:
    """The strategy of a name, or `None`; of the others, only those are loaded that must be, until all are.

    Errors as for `strategies`.
    """
    if name not in _by_hand and not _installed.cache_info().currsize:
        alone = _entry_point_alone(name)
        if alone is not None:
            return alone
    return _by_hand.get(name) or strategies().get(name)


@cache
def _entry_point_alone(name: str) -> type[AnyStrategy] | None:
    """The strategy of the only entry point that has this name, if it is the strategy's own name."""
    points = entry_points(group=ENTRY_POINT_GROUP, name=name)
    if len(points) != 1:
        return None
    with suppress(StrategyFaulty):  # what looks at all of them says what is wrong
        found = _loaded(next(iter(points)))
        if [strategy.name for strategy in found] == [name]:
            code_sha256(found[0])  # as in `_installed`
            return found[0]
    return None


class _Found(NamedTuple):
    strategy: type[AnyStrategy]
    origin: str


@cache
def _installed(modules: tuple[str, ...]) -> dict[str, _Found]:
    """Looked for once: to read the metadata of every installed package takes longer than a backtest."""
    found: dict[str, _Found] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        _add(found, _loaded(point), _origin_of(point))
    for name in modules:
        _add(found, _strategies_of(_imported(name)), f"BACKTEST_STRATEGIES ({name})")
    for strategy, _ in found.values():
        code_sha256(
            strategy
        )  # noted as it is loaded; workers are forked later, and the file may have changed
    return found


def _origin_of(point: EntryPoint) -> str:
    if point.module.startswith("backtest_pipeline."):
        return "built in"
    return f"package {point.dist.name}" if point.dist is not None else f"package of {point.module}"


def _add(found: dict[str, _Found], classes: Iterable[type[AnyStrategy]], origin: str) -> None:
    for strategy in classes:
        taken = found.get(strategy.name)
        if taken is not None and taken.strategy is not strategy:
            raise StrategyFaulty(
                strategy.name,
                f"{strategy.__module__} uses a name that {taken.strategy.__module__} has taken; "
                "choose another",
            )
        found.setdefault(strategy.name, _Found(strategy, origin))


def _loaded(point: EntryPoint) -> list[type[AnyStrategy]]:
    try:
        target = point.load()
    except OWN_FAULTS as error:
        problem = f"entry point {point.value} cannot be loaded: {error!r}"
        raise StrategyFaulty(point.name, problem, place_raised(error)) from error
    return _strategies_of(target) if isinstance(target, ModuleType) else [_checked(target, point.value)]


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except OWN_FAULTS as error:
        problem = f"this module of BACKTEST_STRATEGIES cannot be imported: {error!r}"
        if isinstance(error, ModuleNotFoundError) and place_raised(error) is None:
            problem += "; write its name without .py, and let PYTHONPATH have its folder"
        raise StrategyFaulty(name, problem, place_raised(error)) from error


def _strategies_of(module: ModuleType) -> list[type[AnyStrategy]]:
    classes = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, _KINDS)
        and member.__module__ == module.__name__
        and not inspect.isabstract(member)
    ]
    if not classes:
        raise StrategyFaulty(module.__name__, "this module defines no strategy")
    return [_checked(strategy, module.__name__) for strategy in classes]


def _checked(strategy: object, where: str) -> type[AnyStrategy]:
    if not (inspect.isclass(strategy) and issubclass(strategy, _KINDS)):
        raise StrategyFaulty(where, "this is no subclass of Strategy or PortfolioStrategy")
    if not isinstance(getattr(strategy, "name", None), str) or not strategy.name.isidentifier():
        raise StrategyFaulty(where, "a strategy needs a `name` of letters, digits and underscores")
    if not (inspect.isclass(strategy.Params) and issubclass(strategy.Params, BaseModel)):
        raise StrategyFaulty(strategy.name, "its `Params` should be a subclass of StrategyParams")
    return strategy
