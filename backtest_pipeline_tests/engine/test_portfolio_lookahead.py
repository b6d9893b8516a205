"""Portfolio strategies that know the future are found out; honest ones pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest_pipeline.engine.continuation import OTHER_BARS, Manner, continued
from backtest_pipeline.engine.indicators import before, carried
from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.engine.lookahead_probe import LookAhead, Probe
from backtest_pipeline.engine.panel_building import VALUE_COLUMNS, SeenPanel, seen_panel
from backtest_pipeline.engine.panel_continuation import continued_panel, panel_rows
from backtest_pipeline.engine.portfolio_answers import weights_of
from backtest_pipeline.engine.portfolio_lookahead import (
    check_portfolio_look_ahead,
    light_portfolio_check,
    look_ahead_of_portfolio_run,
    measure_portfolio_warm_up,
)
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import StrategyFaulty
from backtest_pipeline.model.panel import Panel
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy, Rebalance, Weights
from backtest_pipeline.model.strategy import StrategyParams

Floats = NDArray[np.float64]
Formula = Callable[[Panel], Floats]
NOTHING = StrategyParams()


class Written(PortfolioStrategy):
    """Runs a formula."""

    name = "written"

    def __init__(self, formula: Formula, rebalance: Rebalance = "bar", warmup_bars: int = 0) -> None:
        self.formula = formula
        self.rebalance = rebalance
        self.needs = warmup_bars

    def warmup_bars(self, params: Any) -> int:
        return self.needs

    def weights(self, panel: Panel, params: StrategyParams) -> Weights:
        return Weights(self.formula(panel), self.rebalance)


def best_of(score: Floats) -> Floats:
    """All into the symbol with the highest score."""
    best = np.argmax(np.where(np.isnan(score), -np.inf, score), axis=1)
    return np.asarray(np.eye(score.shape[1])[best])


def tomorrows_winner(panel: Panel) -> Floats:
    close = carried(panel.close)
    return best_of(np.vstack([close[1:], close[-1:]]) / close)


def winner_of_the_month(panel: Panel) -> Floats:
    """The one that will have risen most from now to the month's last row."""
    close, month = carried(panel.close), panel.day.astype("datetime64[M]")
    last = np.searchsorted(month, month, side="right") - 1
    return best_of(close[last] / close)


def calmest_of_all_time(panel: Panel) -> Floats:
    close = carried(panel.close)
    spread = np.nanstd(np.diff(np.log(close), axis=0), axis=0)
    parts = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0)
    return np.tile(parts / max(parts.sum(), 1e-9), (len(panel), 1))


def yet_to_be_listed(panel: Panel) -> Floats:
    """Leaves room for symbols that will come."""
    return np.where(np.isnan(panel.close), 0.0, 1 / max((~np.isnan(panel.close)).any(axis=0).sum(), 1))


def unless_it_falls_tomorrow(panel: Panel) -> Floats:
    close = carried(panel.close)
    falls = np.zeros(close.shape, dtype=np.bool_)
    falls[:-1] = close[1:] < close[:-1] * 0.99
    return np.where(falls | np.isnan(close), 0.0, 1 / close.shape[1])


def yesterdays_winner(panel: Panel) -> Floats:
    close = carried(panel.close)
    return best_of(close / before(close))


def risen_since_a_year(panel: Panel) -> Floats:
    close = carried(panel.close)
    return best_of(close / before(close, 365))


def ranked_by_turnover(panel: Panel) -> Floats:
    return best_of(np.log(panel.close) + np.log(np.maximum(panel.volume, 1)))


CHEATS: list[Formula] = [
    tomorrows_winner,
    winner_of_the_month,
    calmest_of_all_time,
    yet_to_be_listed,
    unless_it_falls_tomorrow,
]
HONEST: list[tuple[Formula, int]] = [
    (yesterdays_winner, 1),
    (risen_since_a_year, 365),
    (ranked_by_turnover, 0),
]


def market(seed: int = 0, rows: int = 900, symbols: int = 4) -> list[Candles]:
    """Days of a random walk each, one in ten missing; each symbol begins 60 days after the one before."""
    rng = np.random.default_rng([9, seed])
    found = []
    for number in range(symbols):
        kept = np.flatnonzero((rng.random(rows) < 0.9) & (np.arange(rows) >= 60 * number))
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01 * (1 + number), rows)))[kept]
        opened = np.concatenate([close[:1], close[:-1]])
        columns: dict[str, Any] = {
            "timestamp": np.datetime64("2020-01-01", "us") + kept * np.timedelta64(1, "D"),
            "open": opened,
            "high": np.maximum(opened, close) * 1.002,
            "low": np.minimum(opened, close) * 0.998,
            "close": close,
            "volume": rng.lognormal(6, 1, len(kept)),
        }
        found.append(Candles.from_arrays(f"S{number}", "1d", columns))
    return found


def seen(candles: list[Candles]) -> SeenPanel:
    return seen_panel([SeenCandles(own) for own in candles])


def checked(formula: Formula, seed: int) -> LookAhead:
    candles = market(seed)
    return check_portfolio_look_ahead(
        Written(formula), NOTHING, candles, seen(candles), cuts=30, seed=seed, stretch_cuts=300
    )


def lightly(formula: Formula, seed: int, rebalance: Rebalance = "weekly", warmup_bars: int = 0) -> LookAhead:
    candles = market(seed)
    strategy, panel = Written(formula, rebalance, warmup_bars), seen(candles)
    weights = weights_of(strategy, NOTHING, panel.panel)
    return light_portfolio_check(strategy, NOTHING, candles, panel, weights, seed)


@pytest.mark.parametrize("formula", CHEATS)
@pytest.mark.parametrize("seed", range(3))
def test_weights_that_know_the_future_are_found_out(formula: Formula, seed: int) -> None:
    verdict = checked(formula, seed)
    assert not verdict.passed
    assert verdict.difference is not None
    assert verdict.difference.signal == "weight"
    assert verdict.difference.timestamp <= verdict.difference.cut_after
    assert verdict.symbol in {"S0", "S1", "S2", "S3"}


@pytest.mark.parametrize(("formula", "needs"), HONEST)
def test_honest_weights_pass_both_checks(formula: Formula, needs: int) -> None:
    for seed in range(3):
        verdict = checked(formula, seed)
        assert verdict.passed, verdict.difference
        assert (verdict.cuts, verdict.stretch_cuts, verdict.refused) == (30, 300, 0)
    for seed in range(10):
        for stated in {0, needs}:
            assert lightly(formula, seed, warmup_bars=stated).passed
            assert lightly(formula, seed, "monthly", warmup_bars=stated).passed


@pytest.mark.parametrize("formula", CHEATS)
@pytest.mark.parametrize("rebalance", ["bar", "weekly", "monthly"])
def test_the_light_check_of_every_run_finds_most_that_know_the_future(
    formula: Formula, rebalance: Rebalance
) -> None:
    found = sum(not lightly(formula, seed, rebalance).passed for seed in range(10))
    assert found >= (6 if formula is unless_it_falls_tomorrow else 8)


def test_the_light_check_asks_as_often_as_a_run_can_afford() -> None:
    verdict = lightly(yesterdays_winner, 0)
    assert (verdict.cuts, verdict.bars, verdict.refused) == (3, 3 * 250, 0)
    assert verdict.signals > 0
    assert lightly(risen_since_a_year, 0, warmup_bars=365).bars == 3 * (365 + 100 + 8)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_panel_of_few_rows_is_no_error(rows: int) -> None:
    candles = market(rows=rows, symbols=1)
    strategy, panel = Written(lambda panel: np.ones(panel.close.shape)), seen(candles)
    weights = weights_of(strategy, NOTHING, panel.panel)
    assert light_portfolio_check(strategy, NOTHING, candles, panel, weights, 0).passed
    assert check_portfolio_look_ahead(strategy, NOTHING, candles, panel, cuts=5, seed=0).passed


def test_a_run_records_the_verdict_and_says_what_it_found() -> None:
    candles = market()
    panel = seen(candles)
    for formula, finds in ((tomorrows_winner, 1), (yesterdays_winner, 0)):
        strategy = Written(formula)
        weights = weights_of(strategy, NOTHING, panel.panel)
        record, remarks = look_ahead_of_portfolio_run(strategy, NOTHING, candles, panel, weights, 0)
        assert (record["passed"], len(remarks)) == (not finds, finds)
        assert set(record) == set(LookAhead.__slots__)
        if finds:
            assert remarks[0].startswith("The strategy looks ahead: its weight at 20")


def test_a_strategy_that_needs_all_its_rows_is_not_accused() -> None:
    def demanding(own: Panel) -> Floats:
        if len(own) < 880:
            raise ValueError("a whole panel, please")
        return np.full(own.close.shape, 0.25)

    candles = market()
    panel, strategy = seen(candles), Written(demanding)
    weights = weights_of(strategy, NOTHING, panel.panel)
    record, [remark] = look_ahead_of_portfolio_run(strategy, NOTHING, candles, panel, weights, 0)
    assert record["passed"] is None
    assert "a whole panel, please" in remark


def smoothest(own: Panel) -> Floats:
    """Of averages by Fourier transform, which differ in their last digits with every bar that follows."""
    close = own.close / own.close[0]
    kernel = np.zeros(close.shape)
    kernel[: min(5, len(close))] = 0.2
    average = np.fft.irfft(np.fft.rfft(close, axis=0) * np.fft.rfft(kernel, axis=0), n=len(close), axis=0)
    average[:5] = 1.0
    return best_of(average)


def test_symbols_that_tie_show_differences_by_rounding_which_are_not_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []
    confirmed = Probe.confirmed

    def noted(self: Probe[Any], *arguments: Any) -> bool:
        asked.append(confirmed(self, *arguments))
        return asked[-1]

    monkeypatch.setattr(Probe, "confirmed", noted)
    one = market(symbols=1, rows=300)[0]
    third = {name: getattr(one, name) / 3 for name in VALUE_COLUMNS}
    pair = [one, Candles.from_arrays("S1", "1d", {"timestamp": one.timestamp, **third})]
    verdict = check_portfolio_look_ahead(
        Written(smoothest), NOTHING, pair, seen(pair), cuts=20, seed=0, stretch_cuts=100
    )
    assert verdict.passed, verdict.difference
    assert asked
    assert not any(asked)


def test_a_strategy_that_draws_by_itself_is_told_to_take_the_generator() -> None:
    def drawn(own: Panel) -> Floats:
        return best_of(np.random.default_rng().random(own.close.shape))

    with pytest.raises(StrategyFaulty, match=r"weights\(\) gives two answers to the same candles"):
        checked(drawn, 0)


def test_the_warm_up_is_the_rows_until_a_later_start_is_forgotten() -> None:
    candles = market(symbols=1)
    found = measure_portfolio_warm_up(
        Written(lambda own: best_of(before(own.close, 30))),
        NOTHING,
        candles,
        seen(candles),
        starts=10,
        seed=0,
    )
    assert (found.bars_to_settle, found.settled) == (0, True)  # one symbol: nothing to choose
    pair = market(symbols=2)
    again = measure_portfolio_warm_up(
        Written(lambda own: best_of(before(carried(own.close), 30))),
        NOTHING,
        pair,
        seen(pair),
        starts=20,
        seed=0,
    )
    assert again.settled
    assert 20 <= again.bars_to_settle <= 40
    forever = measure_portfolio_warm_up(
        Written(lambda own: best_of(np.cumsum(np.nan_to_num(own.volume), axis=0))),
        NOTHING,
        pair,
        seen(pair),
        starts=20,
        seed=0,
    )
    assert forever.bars_to_settle > 100


@pytest.mark.parametrize("manner", list(Manner))
@pytest.mark.parametrize(("start", "row"), [(0, 20), (100, 300), (650, 895), (0, 899)])
def test_a_panel_goes_on_as_each_of_its_symbols_does(manner: Manner, start: int, row: int) -> None:
    candles = market()
    whole = seen(candles)
    row = min(row, len(whole.panel) - 1)
    found = continued_panel(whole.panel, start, row, manner)
    stop = row + 1 + (0 if manner is Manner.CUT else min(OTHER_BARS, len(whole.panel) - 1 - row))
    assert np.array_equal(found.timestamp, whole.panel.timestamp[start:stop])
    assert np.array_equal(found.day, whole.panel.day[start:stop])
    for name in VALUE_COLUMNS:
        true, made = getattr(whole.panel, name)[start:stop], getattr(found, name)
        assert np.array_equal(made[: row + 1 - start], true[: row + 1 - start], equal_nan=True)
        assert not made.flags.writeable
        for column, own in enumerate(candles):
            rows = whole.rows[column]
            kept = rows[(rows >= start) & (rows <= row)]
            later = made[row + 1 - start :, column]
            if not len(kept):
                assert np.isnan(later).all()
                continue
            first, latest = (int(np.flatnonzero(rows == at)[0]) for at in (kept[0], kept[-1]))
            other = getattr(continued(own, first, latest, manner), name)[len(kept) :]
            there = ~np.isnan(true[row + 1 - start :, column])
            assert np.array_equal(~np.isnan(later), there)
            assert np.array_equal(later[there], other[: there.sum()])


def test_rows_of_a_panel_share_its_memory() -> None:
    panel = seen(market()).panel
    cut = panel_rows(panel, 10, 20)
    assert len(cut) == 10
    assert cut.symbols == panel.symbols
    for name in CANDLE_COLUMNS:
        assert np.shares_memory(getattr(cut, name), getattr(panel, name))
