"""What a strategy is and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from backtest_pipeline.model.errors import ParamsInvalid, StrategyFaulty
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.request_model import problems_of
from backtest_pipeline.model.source_place import place_raised

OWN_FAULTS = (Exception, SystemExit)
"""What a strategy's code raises and answers for: sys.exit() would end whatever process asks it."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles


@dataclass(frozen=True, eq=False, slots=True)
class Signals:
    """A strategy's wishes, bar by bar. What stands at bar t uses bars up to and including t only.

    Attributes:
        entry: shape (n,), bool: open a long position.
        exit: shape (n,), bool: close a long position.
        short_entry: shape (n,), bool: open a short position; `None` means never.
        short_exit: shape (n,), bool: close a short position; `None` means never.
        confidence: shape (n,), float64 in 0 to 1, how good the signal at the bar is; `None` means 1.
        entry_limit: shape (n,), price of a limit order to open long, placed at the bar's close; NaN where
            there is none. A price is a signal, whether `entry` is set or not. As the next three.
        entry_stop: price of a stop order to open long.
        short_entry_limit: price of a limit order to open short.
        short_entry_stop: price of a stop order to open short.
        stop_price: shape (n,), stop loss of the position that the bar's entry opens; NaN: the request's.
        target_price: shape (n,), take profit of that position; NaN: the request's.
        size_frac: shape (n,), share of equity that goes into that position; NaN: the request's sizing.
        lines: what reports draw over the prices, by name: arrays of shape (n,), NaN where there is nothing,
            or one number. Decides nothing, and is asked for anew when a report is drawn.
        panes: the same for panes of their own below the prices, by title: `{"RSI": {"index": ...}}`.
    """

    entry: NDArray[np.bool_]
    exit: NDArray[np.bool_] | None = None
    short_entry: NDArray[np.bool_] | None = None
    short_exit: NDArray[np.bool_] | None = None
    confidence: NDArray[np.float64] | None = None
    entry_limit: NDArray[np.float64] | None = None
    entry_stop: NDArray[np.float64] | None = None
    short_entry_limit: NDArray[np.float64] | None = None
    short_entry_stop: NDArray[np.float64] | None = None
    stop_price: NDArray[np.float64] | None = None
    target_price: NDArray[np.float64] | None = None
    size_frac: NDArray[np.float64] | None = None
    lines: Mapping[str, NDArray[np.float64] | float] | None = None
    panes: Mapping[str, Mapping[str, NDArray[np.float64] | float]] | None = None


class StrategyParams(BaseModel):
    """Base of a strategy's parameters: immutable, unknown names refused.

    Give every field a default, a description and, where it has one, a range, so that the launchpad, the
    command line and error messages can explain it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnyStrategy(ABC):
    """What strategies of signals and of portfolios have in common.

    A subclass names itself and its parameter model. Its docstring's first line describes it to users. It
    keeps no state between calls.
    """

    name: ClassVar[str]
    Params: ClassVar[type[StrategyParams]] = StrategyParams

    @classmethod
    def summary(cls) -> str:
        """First line of the class's docstring: what users read."""
        return ((cls.__doc__ or "").strip() or cls.name).splitlines()[0]

    def warmup_bars(self, params: Any) -> int:  # noqa: ARG002  subclasses read it
        """Bars before a bar that its answer depends on: as many are loaded before a request's `start`."""
        return 0


class Strategy(AnyStrategy):
    """A trading idea: parameters in, signals out.

    A subclass computes its signals with NumPy.

    A strategy that needs chance takes it as a further argument, `signals(self, candles, params, rng)`: a
    NumPy generator made from the request's seed and the symbol, the same at every call. Numbers drawn in the
    bars' order (`rng.random(len(candles))`) are then the same however many bars follow.
    """

    @abstractmethod
    def signals(self, candles: Candles, params: Any) -> Signals:
        """Computes the signals of one symbol.

        Args:
            candles: n bars, oldest first.
            params: an instance of the strategy's own `Params`.

        Returns:
            Arrays of shape (n,).
        """

    def holding_period_bars(self, params: Any) -> int | None:  # noqa: ARG002  subclasses read it
        """Bars after which a position is closed, or `None` to hold until a signal says so."""
        return None


def checked_params(strategy: AnyStrategy, params: Mapping[str, Any]) -> StrategyParams:
    """Parameters as an instance of the strategy's own `Params`.

    Raises:
        ParamsInvalid: a parameter is unknown, of the wrong type or out of range, or they do not fit together.
        StrategyFaulty: its own validators raised something else than a finding.
    """
    try:
        # As model_validate, which takes twice as long.
        checked: StrategyParams = strategy.Params.__pydantic_validator__.validate_python(params)
    except ValidationError as error:
        names = list(strategy.Params.model_fields)
        problems = [
            (field, problem.replace("no such field", "no such parameter", 1))
            for field, problem in problems_of(error, names)
        ]
        raise ParamsInvalid(strategy.name, problems, names) from None
    except OWN_FAULTS as error:
        problem = f"its Params raised {type(error).__name__}: {error}; let validators raise ValueError"
        raise StrategyFaulty(strategy.name, problem, place_raised(error, type(strategy))) from error
    unknown = set(params) - _names_of(strategy.Params)
    if unknown and strategy.Params.model_config.get("extra") != "allow":  # a plain model ignores them
        names = list(strategy.Params.model_fields)
        problems = [
            (name, f"there is no such parameter{did_you_mean(name, names)}") for name in sorted(unknown)
        ]
        raise ParamsInvalid(strategy.name, problems, names)
    return checked


@cache
def _names_of(model: type[BaseModel]) -> frozenset[str]:
    """What a model's fields may be called."""
    aliases = (
        alias for field in model.model_fields.values() for alias in (field.alias, field.validation_alias)
    )
    return frozenset(model.model_fields) | {alias for alias in aliases if isinstance(alias, str)}
