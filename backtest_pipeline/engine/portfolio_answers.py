"""What a portfolio strategy answers, held to its promises, and after which rows it is acted upon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from backtest_pipeline.engine.inputs import generator_of, raised_fault, takes_rng
from backtest_pipeline.model.answer_labels import label_problem
from backtest_pipeline.model.errors import BacktestError, StrategyFaulty
from backtest_pipeline.model.portfolio_strategy import Rebalance, Weights
from backtest_pipeline.model.strategy import OWN_FAULTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.panel import Panel
    from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
    from backtest_pipeline.model.request_values import Direction
    from backtest_pipeline.model.strategy import StrategyParams

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

SUM_TOLERANCE = 1e-9
"""By how much weights may add up to more than they should: shares of a whole are rounded."""

ROWS_AT_ONCE = 16_384
"""Rows that are added up at once: a copy of a few is made in memory that is there already."""


@dataclass(frozen=True, eq=False, slots=True)
class CheckedWeights:
    """Target weights that have been checked.

    Attributes:
        weights: shape (n, k), float64, C-contiguous; NaN: leave alone.
        acted_rows: shape (n,), bool, the rows after which their weights are acted upon.
        drift_frac: no trade where a weight is less than this away from the one wanted.
    """

    weights: Floats
    acted_rows: Flags
    drift_frac: float

    def since(self, row: int) -> CheckedWeights:
        """The weights from a row on, sharing memory with these; from row 0 on, these themselves."""
        if row == 0:
            return self
        return CheckedWeights(self.weights[row:], self.acted_rows[row:], self.drift_frac)


def weights_of(
    strategy: PortfolioStrategy,
    params: StrategyParams,
    panel: Panel,
    seed: int = 0,
    *,
    direction: Direction = "both",
    leverage: float = 1.0,
    warmup_rows: int = 0,
) -> CheckedWeights:
    """Ask the strategy and check its answer.

    Args:
        strategy: the strategy.
        params: an instance of its `Params`.
        panel: n rows of k symbols.
        seed: of the generator that the strategy gets if its `weights` takes `rng`.
        direction: of the request, which positions may be opened.
        leverage: of the request, how much absolute weights may add up to.
        warmup_rows: rows of the panel that are seen only: none of them is acted upon.

    Raises:
        StrategyFaulty: the strategy raised, or answered something else than weights of the panel's shape that
            the direction and the leverage allow.
    """
    answer = _answer_of(strategy, params, panel, seed)
    if not isinstance(answer, Weights):
        raise StrategyFaulty(strategy.name, f"weights() must return Weights, not {type(answer).__name__}")
    weights = _checked_weights(strategy.name, answer.weights, panel)
    _check_sides(strategy.name, weights, panel, direction)
    _check_sums(strategy.name, weights, panel, leverage)
    rebalance = _checked_rebalance(strategy.name, answer.rebalance)
    drift_frac = _checked_drift(strategy.name, answer.drift_frac)
    return CheckedWeights(weights, _acted_rows(weights, panel, rebalance, warmup_rows), drift_frac)


def _answer_of(strategy: PortfolioStrategy, params: StrategyParams, panel: Panel, seed: int) -> object:
    try:
        if takes_rng(type(strategy), "weights"):
            return strategy.weights(panel, params, rng=generator_of(seed, ""))  # type: ignore[call-arg]  # it declares it
        return strategy.weights(panel, params)
    except BacktestError:
        raise
    except OWN_FAULTS as error:
        raise raised_fault(strategy, "weights", error) from error


def _checked_weights(strategy: str, answer: object, panel: Panel) -> Floats:
    if problem := label_problem("weights", answer, panel.symbols):
        raise StrategyFaulty(strategy, problem)
    values: NDArray[Any] = np.asarray(answer)
    shape = (len(panel), len(panel.symbols))
    if values.shape != shape:
        problem = f"weights must have shape {shape}, a row a moment and a column a symbol, not {values.shape}"
        raise StrategyFaulty(strategy, problem)
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise StrategyFaulty(strategy, f"weights must hold float, not {values.dtype}")
    weights = np.ascontiguousarray(values, dtype=np.float64)
    if (infinite := np.isinf(weights)).any():
        row, column = _first(infinite)
        problem = f"the weight of {panel.symbols[column]} {_at(panel, row)} is {weights[row, column]}"
        raise StrategyFaulty(strategy, f"{problem}; weights must be finite, or NaN to leave alone")
    return weights


def _check_sides(strategy: str, weights: Floats, panel: Panel, direction: Direction) -> None:
    """Refuse weights of a side that the request's direction does not open."""
    if direction == "both":
        return
    wrong = weights < 0 if direction == "long" else weights > 0
    if wrong.any():
        row, column = _first(wrong)
        needed = "short" if direction == "long" else "long"
        problem = f"the weight of {panel.symbols[column]} {_at(panel, row)} is {weights[row, column]:.6g}"
        advice = f"direction {direction} does not allow; ask for direction {needed} or both"
        raise StrategyFaulty(strategy, f"{problem}, which the request's {advice}")


def _check_sums(strategy: str, weights: Floats, panel: Panel, leverage: float) -> None:
    """Refuse rows that ask for more than the account may hold."""
    for start in range(0, len(weights), ROWS_AT_ONCE):
        total = np.nansum(np.abs(weights[start : start + ROWS_AT_ONCE]), axis=1)
        too_much = total > leverage + SUM_TOLERANCE
        if too_much.any():
            at = int(np.argmax(too_much))
            most = "1 without leverage" if leverage == 1 else f"the leverage, {leverage:.6g}"
            problem = f"the absolute weights {_at(panel, start + at)} add up to {total[at]:.6g}"
            advice = f"give less, or ask for leverage of {total[at]:.6g} or more"
            raise StrategyFaulty(strategy, f"{problem}, and the most is {most}; {advice}")


def _checked_rebalance(strategy: str, rebalance: object) -> Rebalance:
    names: tuple[Rebalance, ...] = get_args(Rebalance)
    for name in names:
        if rebalance == name:
            return name
    raise StrategyFaulty(strategy, f"rebalance must be one of {', '.join(names)}, not {rebalance!r}")


def _checked_drift(strategy: str, drift_frac: object) -> float:
    is_number = isinstance(drift_frac, int | float | np.floating) and not isinstance(drift_frac, bool)
    if not is_number or not 0 <= float(drift_frac) < 1:  # type: ignore[arg-type]  # it is a number here
        raise StrategyFaulty(strategy, f"drift_frac must be a number from 0 to below 1, not {drift_frac!r}")
    return float(drift_frac)  # type: ignore[arg-type]  # it is a number


def _acted_rows(weights: Floats, panel: Panel, rebalance: Rebalance, warmup_rows: int) -> Flags:
    """The first row with any weight, and then those after which another period of the grid begins."""
    acted = np.zeros(len(weights), dtype=np.bool_)
    has_any = ~np.isnan(weights[warmup_rows:]).all(axis=1)
    if not has_any.any():
        return acted
    first = warmup_rows + int(np.argmax(has_any))
    if rebalance == "bar":
        acted[first:] = True
        return acted
    periods = _periods(panel.day, rebalance)
    acted[first:-1] = periods[first + 1 :] != periods[first:-1]
    acted[first] = True
    return acted


def _periods(day: NDArray[np.datetime64], rebalance: Rebalance) -> NDArray[np.int64]:
    """Numbers that days of one period share; weeks begin on Monday."""
    days: NDArray[np.int64] = day.astype(np.int64)
    if rebalance == "weekly":
        return (days + 3) // 7  # 1970-01-01 was a Thursday
    return day.astype("datetime64[M]").astype(np.int64) if rebalance == "monthly" else days


def _first(wrong: Flags) -> tuple[int, int]:
    row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return int(row), int(column)


def _at(panel: Panel, row: int) -> str:
    return f"at {panel.timestamp[row]}Z (row {row})"
