"""Whether a strategy's answer is what it promised; apart from `strategy.py`, which needs no NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.answer_labels import label_problem
from backtest_pipeline.model.errors import StrategyFaulty
from backtest_pipeline.model.strategy import Signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BOOL = np.dtype(np.bool_)
_ONE = np.float64(1.0).tobytes()


LEVELS = (
    "entry_limit",
    "entry_stop",
    "short_entry_limit",
    "short_entry_stop",
    "stop_price",
    "target_price",
    "size_frac",
)
"""Prices and sizes that signals may carry, in the order in which kernels take them."""


@dataclass(eq=False, slots=True)
class CheckedSignals:
    """Signals in which every array is there and has the candles' length, but levels that nobody gave.

    A bar with the price of an order has the flag of its entry as well.

    Not frozen, which would take longer to make than all that is checked.

    Attributes:
        levels: of `LEVELS`, those that were given, shape (n,), NaN where there is none; usually empty.
    """

    entry: NDArray[np.bool_]
    exit: NDArray[np.bool_]
    short_entry: NDArray[np.bool_]
    short_exit: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    levels: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def since(self, bar: int) -> CheckedSignals:
        """The signals from a bar on, sharing memory with these; from bar 0 on, these themselves."""
        if bar == 0:
            return self
        return CheckedSignals(
            self.entry[bar:],
            self.exit[bar:],
            self.short_entry[bar:],
            self.short_exit[bar:],
            self.confidence[bar:],
            {name: level[bar:] for name, level in self.levels.items()},
        )

    def with_level(self, name: str, values: NDArray[np.float64]) -> CheckedSignals:
        """The signals with one of `LEVELS`, in place of what was given."""
        return replace(self, levels={**self.levels, name: values})


def check_signals(strategy: str, signals: object, bars: int) -> CheckedSignals:
    """Completes a strategy's answer, or says what is wrong with it.

    Raises:
        StrategyFaulty: no `Signals`, an array of another length or dtype, a confidence outside 0 to 1, or
            prices and sizes that are not above 0.
    """
    if not isinstance(signals, Signals):
        raise StrategyFaulty(strategy, f"signals() must return Signals, not {type(signals).__name__}")
    checked = CheckedSignals(
        entry=_checked_flags(strategy, "entry", signals.entry, bars),
        exit=_checked_flags(strategy, "exit", signals.exit, bars),
        short_entry=_checked_flags(strategy, "short_entry", signals.short_entry, bars),
        short_exit=_checked_flags(strategy, "short_exit", signals.short_exit, bars),
        confidence=_checked_confidence(strategy, signals.confidence, bars),
    )
    if carries_levels(signals):
        checked.levels = _checked_levels(strategy, signals, bars)
        checked.entry = _with_orders(strategy, checked, "entry")
        checked.short_entry = _with_orders(strategy, checked, "short_entry")
    return checked


def no_signals(bars: int) -> CheckedSignals:
    """Signals of a strategy that has none."""
    nothing = np.zeros(bars, dtype=np.bool_)
    return CheckedSignals(nothing, nothing, nothing, nothing, _full_confidence(bars))


def carries_levels(signals: Signals) -> bool:
    """Whether a strategy's answer has prices or sizes beside its flags."""
    return not (
        signals.entry_limit
        is signals.entry_stop
        is signals.short_entry_limit
        is signals.short_entry_stop
        is None
        and signals.stop_price is signals.target_price is signals.size_frac is None
    )


def copy_plain_signals(signals: object, flags: Sequence[NDArray[np.bool_]], warmup_bars: int = 0) -> bool:
    """Copies signals that need no closer look, which is most, in half the time of `check_signals`.

    Args:
        signals: a strategy's answer.
        flags: four arrays of as many bars as are traded, for entry, exit, short_entry and short_exit.
        warmup_bars: bars before those, of which the answer speaks as well.

    Returns:
        Whether they were copied; otherwise ask `check_signals`.
    """
    if type(signals) is not Signals or signals.confidence is not None or carries_levels(signals):
        return False
    shape = (len(flags[0]) + warmup_bars,)
    given = (signals.entry, signals.exit, signals.short_entry, signals.short_exit)
    for own, target in zip(given, flags):  # noqa: B905  four of each
        if type(own) is np.ndarray and own.dtype is _BOOL and own.shape == shape:
            target[...] = own[warmup_bars:]
        elif own is None:
            target[...] = False
        else:
            return False
    return True


def _checked_flags(strategy: str, name: str, array: object, bars: int) -> NDArray[np.bool_]:
    if type(array) is np.ndarray and array.dtype is _BOOL and array.shape == (bars,):
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)
    if array is None:
        return np.zeros(bars, dtype=np.bool_)
    flags = _as_array(strategy, name, array, bars)
    if flags.dtype != np.bool_:
        raise StrategyFaulty(strategy, f"{name} must hold bool, not {flags.dtype}")
    return np.ascontiguousarray(flags)


def _checked_confidence(strategy: str, array: object, bars: int) -> NDArray[np.float64]:
    if array is None:
        return _full_confidence(bars)
    confidence = _as_array(strategy, "confidence", array, bars)
    if not np.issubdtype(confidence.dtype, np.floating):
        raise StrategyFaulty(strategy, f"confidence must hold float, not {confidence.dtype}")
    outside = ~((confidence >= 0) & (confidence <= 1))
    if outside.any():
        bar = int(np.argmax(outside))
        raise StrategyFaulty(strategy, f"confidence must lie in 0 to 1, not {confidence[bar]} at bar {bar}")
    return np.ascontiguousarray(confidence, dtype=np.float64)


def _checked_levels(strategy: str, signals: Signals, bars: int) -> dict[str, NDArray[np.float64]]:
    levels = {}
    for name in LEVELS:
        given = getattr(signals, name)
        if given is None:
            continue
        values = _as_array(strategy, name, given, bars)
        if not np.issubdtype(values.dtype, np.floating):
            raise StrategyFaulty(strategy, f"{name} must hold float, not {values.dtype}")
        wrong = ~(np.isnan(values) | ((values > 0) & (values < np.inf)))
        if wrong.any():
            bar = int(np.argmax(wrong))
            raise StrategyFaulty(
                strategy, f"{name} must be above 0, or NaN for none, not {values[bar]} at bar {bar}"
            )
        levels[name] = np.ascontiguousarray(values, dtype=np.float64)
    return levels


def _with_orders(strategy: str, checked: CheckedSignals, entry: str) -> NDArray[np.bool_]:
    """The flags of an entry, set at bars with the price of an order as well."""
    flags: NDArray[np.bool_] = getattr(checked, entry)
    limit, stop = (checked.levels.get(f"{entry}_{kind}") for kind in ("limit", "stop"))
    if limit is not None and stop is not None:
        both = ~(np.isnan(limit) | np.isnan(stop))
        if both.any():
            problem = (
                f"{entry}_limit and {entry}_stop both have a price at bar {int(np.argmax(both))}; give one"
            )
            raise StrategyFaulty(strategy, problem)
    for prices in (limit, stop):
        if prices is not None:
            flags = flags | ~np.isnan(prices)
    return flags


@lru_cache(maxsize=64)
def _full_confidence(bars: int) -> NDArray[np.float64]:
    return np.ndarray((bars,), np.float64, _ONE, 0, (0,))  # as np.broadcast_to, which takes far longer


def _as_array(strategy: str, name: str, array: object, bars: int) -> NDArray[Any]:
    if problem := label_problem(name, array):
        raise StrategyFaulty(strategy, problem)
    values = np.asarray(array)
    if values.shape != (bars,):
        raise StrategyFaulty(strategy, f"{name} must have shape ({bars},), not {values.shape}")
    return values
