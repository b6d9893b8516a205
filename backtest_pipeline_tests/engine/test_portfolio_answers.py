"""What a portfolio strategy may answer, and after which rows it is acted upon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.engine.panel_building import panel_of
from backtest_pipeline.engine.portfolio_answers import CheckedWeights, weights_of
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import RequestInvalid, StrategyFaulty
from backtest_pipeline.model.panel import Panel
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy, Weights
from backtest_pipeline.model.strategy import StrategyParams
from backtest_pipeline.model.timeframe import Timeframe


class Answers(PortfolioStrategy):
    """Answers what it is told."""

    name = "answers"

    def __init__(self, answer: Callable[[Panel], Any]) -> None:
        self.answer = answer

    def weights(self, panel: Panel, params: StrategyParams) -> Weights:
        return self.answer(panel)  # type: ignore[no-any-return]  # whatever it is


class Draws(PortfolioStrategy):
    """Draws its weights."""

    name = "draws"

    def weights(  # type: ignore[override]  # it asks for a generator
        self, panel: Panel, params: StrategyParams, rng: np.random.Generator
    ) -> Weights:
        return Weights(rng.random(panel.close.shape) / len(panel.symbols))


def panel(
    days: int = 40, start: str = "2024-01-25", timeframe: Timeframe = "1d", symbols: str = "AB"
) -> Panel:
    step = np.timedelta64({"1d": 86_400, "1h": 3_600, "1w": 604_800}[timeframe], "s")
    timestamp = (np.datetime64(start, "us") + np.arange(days) * step).astype("datetime64[us]")
    columns: dict[str, Any] = dict.fromkeys(CANDLE_COLUMNS, np.full(days, 10.0)) | {"timestamp": timestamp}
    return panel_of([Candles.from_arrays(name, timeframe, columns) for name in symbols])


def checked(
    weights: Any, own: Panel, *, rebalance: Any = "bar", drift: Any = 0.0, **asked: Any
) -> CheckedWeights:
    return weights_of(
        Answers(lambda _: Weights(weights, rebalance, drift)), StrategyParams(), own, 0, **asked
    )


def halves(own: Panel) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.full(own.close.shape, 0.5)


def acted_days(found: CheckedWeights, own: Panel) -> list[str]:
    return own.day[found.acted_rows].astype(str).tolist()  # type: ignore[no-any-return]  # texts


def test_weights_whose_columns_are_not_the_panels_symbols_in_order_are_refused() -> None:
    own = panel(3, symbols="BA")
    sorted_by_name = pd.DataFrame(0.5, index=range(3), columns=["A", "B"])  # as pivot and unstack leave it
    with pytest.raises(StrategyFaulty, match=r"the columns A, B, .* give weights\[list\(panel.symbols\)\]"):
        checked(sorted_by_name, own)
    in_order = checked(sorted_by_name.assign(A=0.2)[list(own.symbols)], own)
    assert in_order.weights.tolist() == [[0.5, 0.2]] * 3
    assert checked(pd.DataFrame(halves(own)), own).weights.tolist() == [[0.5, 0.5]] * 3


def test_weights_without_the_bars_order_or_with_a_mask_are_refused() -> None:
    own = panel(3)
    with pytest.raises(StrategyFaulty, match="weights has an index that is not in the order"):
        checked(pd.DataFrame(halves(own)).sort_index(ascending=False), own)
    with pytest.raises(StrategyFaulty, match="weights has masked values"):
        checked(np.ma.masked_equal(halves(own), 0.5), own)


def test_weights_come_back_as_contiguous_floats() -> None:
    own = panel(3)
    found = checked(np.asfortranarray(np.array([[1, 0], [0, 1], [0, 0]])), own, drift=0.05)
    assert found.weights.dtype == np.float64
    assert found.weights.flags.c_contiguous
    assert found.weights.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert found.drift_frac == 0.05


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (halves, r"must return Weights, not ndarray"),
        (lambda own: Weights(halves(own)[:-1]), r"shape \(40, 2\), a row a moment .* not \(39, 2\)"),
        (lambda own: Weights(halves(own)[:, 0]), r"not \(40,\)"),
        (lambda own: Weights(halves(own).astype(str)), r"must hold float, not <U"),
        (lambda own: Weights(halves(own) * np.inf), r"A at 2024-01-25.* is inf; .*NaN to leave alone"),
        (lambda own: Weights(halves(own), "yearly"), r"one of bar, daily, weekly, monthly, not 'yearly'"),  # type: ignore[arg-type]  # the fault
        (lambda own: Weights(halves(own), "bar", 1.0), r"from 0 to below 1, not 1\.0"),
        (lambda own: Weights(halves(own), "bar", np.nan), r"from 0 to below 1, not nan"),
        (lambda own: Weights(halves(own), "bar", "5 %"), r"from 0 to below 1, not '5 %'"),  # type: ignore[arg-type]  # the fault
        (lambda own: own.missing, r"weights\(\) raised AttributeError"),
    ],
)
def test_what_is_no_answer_is_named(answer: Callable[[Panel], Any], says: str) -> None:
    with pytest.raises(StrategyFaulty, match=says):
        weights_of(Answers(answer), StrategyParams(), panel())


def test_errors_of_ours_pass_through() -> None:
    def refuses(_: Panel) -> Weights:
        raise RequestInvalid([("symbols", "two are needed")])

    with pytest.raises(RequestInvalid, match="two are needed"):
        weights_of(Answers(refuses), StrategyParams(), panel())


def test_a_side_that_the_direction_does_not_open_is_refused_with_row_and_symbol() -> None:
    own = panel()
    weights = halves(own)
    weights[3, 1] = -0.25
    with pytest.raises(
        StrategyFaulty, match=r"weight of B at 2024-01-28.*row 3\) is -0\.25.*ask for direction short or both"
    ):
        checked(weights, own, direction="long")
    with pytest.raises(StrategyFaulty, match=r"weight of A at .*row 0\) is 0\.5.*direction long or both"):
        checked(weights, own, direction="short")
    assert checked(weights, own, direction="both").weights[3, 1] == -0.25


def test_weights_beyond_the_leverage_are_refused_with_their_sum() -> None:
    own = panel()
    weights = halves(own)
    weights[5] = [0.75, -0.5]
    with pytest.raises(
        StrategyFaulty, match=r"2024-01-30.*row 5\) add up to 1\.25, .*1 without leverage; give less"
    ):
        checked(weights, own)
    with pytest.raises(StrategyFaulty, match=r"the most is the leverage, 1\.2; .*leverage of 1\.25 or more"):
        checked(weights, own, leverage=1.2)
    assert checked(weights, own, leverage=1.25).weights[5].tolist() == [0.75, -0.5]


def test_shares_that_were_rounded_up_are_no_overdraft() -> None:
    own = panel(symbols="ABCDEFGHIJ")
    tenths = np.full(own.close.shape, 0.1)  # ten of them make 1.0000000000000002 or less, depending on order
    tenths[:, 0] += 5e-10
    checked(tenths, own)
    tenths[2, 0] += 1e-9
    with pytest.raises(StrategyFaulty, match="row 2"):
        checked(tenths, own)


def test_nan_counts_for_nothing() -> None:
    own = panel()
    weights = np.full(own.close.shape, np.nan)
    weights[:, 0] = 1.0
    assert np.isnan(checked(weights, own, direction="long").weights[:, 1]).all()


def test_weights_are_acted_upon_from_the_first_row_that_has_any() -> None:
    own = panel(5)
    weights = halves(own)
    weights[:2] = np.nan
    assert checked(weights, own).acted_rows.tolist() == [False, False, True, True, True]
    assert not checked(np.full(own.close.shape, np.nan), own, rebalance="daily").acted_rows.any()


def test_monthly_weights_are_acted_upon_at_first_and_before_each_new_month() -> None:
    own = panel(40)  # 25 January to 4 March 2024
    assert acted_days(checked(halves(own), own, rebalance="monthly"), own) == [
        "2024-01-25",
        "2024-01-31",
        "2024-02-29",
    ]


def test_weekly_weights_are_acted_upon_before_each_monday() -> None:
    own = panel(14)  # from Thursday, 25 January 2024
    assert acted_days(checked(halves(own), own, rebalance="weekly"), own) == [
        "2024-01-25",
        "2024-01-28",
        "2024-02-04",
    ]


def test_daily_weights_of_hourly_bars_are_acted_upon_before_midnight_in_utc() -> None:
    own = panel(50, "2024-01-01T22:00", "1h")
    rows = np.flatnonzero(checked(halves(own), own, rebalance="daily").acted_rows).tolist()
    assert rows == [0, 1, 25]  # 22:00, then 23:00 of each day; what follows the last row is not known yet


def test_a_week_is_of_the_month_in_which_its_monday_lies() -> None:
    own = panel(8, "2024-01-01", "1w")  # Mondays: 1, 8, 15, 22, 29 January, 5, 12, 19 February
    assert np.flatnonzero(checked(halves(own), own, rebalance="monthly").acted_rows).tolist() == [0, 4]


def test_no_row_of_the_warm_up_is_acted_upon() -> None:
    own = panel(40)
    found = checked(halves(own), own, rebalance="monthly", warmup_rows=7)  # the account begins on 1 February
    assert acted_days(found, own) == ["2024-02-01", "2024-02-29"]
    assert checked(halves(own), own, warmup_rows=7).acted_rows.tolist() == [False] * 7 + [True] * 33


def test_weights_from_a_row_on_share_memory() -> None:
    own = panel(5)
    found = checked(halves(own), own)
    assert found.since(0) is found
    later = found.since(2)
    assert len(later.weights) == len(later.acted_rows) == 3
    assert np.shares_memory(later.weights, found.weights)


def test_chance_comes_from_the_requests_seed() -> None:
    own = panel(30)
    first, again, other = (weights_of(Draws(), StrategyParams(), own, seed).weights for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
