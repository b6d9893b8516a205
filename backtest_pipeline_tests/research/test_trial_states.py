"""What becomes of trials that are no backtests, that fail, or that yield no numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from pydantic import Field, model_validator

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    FloatRange,
    IntRange,
    Signals,
    Strategy,
    StrategyParams,
    SweepRequest,
    run_backtest,
    run_sweep,
)
from backtest_pipeline.engine.indicators import sma
from backtest_pipeline.model.errors import (
    BacktestError,
    ParamsInvalid,
    RequestInvalid,
    StrategyUnknown,
    TrialsFailed,
)
from backtest_pipeline.research.trial_requests import trial_request
from backtest_pipeline.strategies import registry
from backtest_pipeline_tests.research.made_candles import metrics_of, walk

CANDLES = {"A": walk("A", 300)}


class Moody(Strategy):
    """Does what its parameters say, raising and answering nonsense included."""

    name = "moody"

    class Params(StrategyParams):
        """What it does."""

        window: int = Field(5, ge=1)
        mood: str = "well"
        hold: int | None = None

        @model_validator(mode="after")
        def _window_fits_mood(self) -> Self:
            if self.mood == "picky" and self.window > 5:
                raise ValueError(f"a picky one has no window of {self.window}")
            return self

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        mean = sma(candles.close, params.window)
        if params.mood == "angry":
            raise RuntimeError(f"window {params.window} made me angry on {candles.symbol}")
        if params.mood == "short":
            return Signals(entry=np.ones(3, dtype=np.bool_))
        if params.mood == "writes":
            mean[:] = np.where(np.isnan(mean), candles.close, mean)
            mean *= 1.001
        if params.mood == "sure":
            return Signals(entry=candles.close > mean, confidence=np.full(len(candles), 2.0))
        return Signals(entry=candles.close > mean, exit=candles.close < mean)

    def holding_period_bars(self, params: Params) -> int | None:
        """Bars from entry to exit."""
        return params.hold


class Chancy(Strategy):
    """Enters and leaves as the dice fall."""

    name = "chancy"

    class Params(StrategyParams):
        """How often."""

        share: float = 0.1

    def signals(self, candles: Candles, params: Params, rng: np.random.Generator) -> Signals:  # type: ignore[override]  # a generator is offered
        """See the class."""
        dice = rng.random((2, len(candles)))
        return Signals(entry=dice[0] < params.share, exit=dice[1] < params.share)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_by_hand", {"moody": Moody, "chancy": Chancy})


def _sweep(space: dict[str, Any], strategy: str = "moody", **changes: Any) -> SweepRequest:
    backtest = {"strategy": strategy, "symbols": ["A"], **changes.pop("backtest", {})}
    return SweepRequest(backtest=BacktestRequest(**backtest), space=space, **changes)


def _error_alone(request: SweepRequest, values: dict[str, Any]) -> str:
    with pytest.raises(BacktestError) as raised:
        run_backtest(CANDLES, trial_request(request, values))
    return str(raised.value)


def test_combinations_that_the_parameters_refuse_are_invalid_and_say_what_the_backtest_says() -> None:
    request = _sweep({"params.window": [3, 5, 7], "params.mood": ["picky", "well"]})
    trials = run_sweep(CANDLES, request).trials
    assert list(trials.state) == ["completed", "completed", "invalid", "completed", "completed", "completed"]
    assert trials.error[2] == _error_alone(request, {"params.window": 7, "params.mood": "picky"})
    assert "a picky one has no window of 7" in trials.error[2]
    assert trials.loc[2, ["rank", "objective", "sharpe", "trades"]].isna().all()
    assert trials.error.drop(2).isna().all()


def test_fields_that_do_not_fit_together_are_invalid_and_say_what_the_backtest_says() -> None:
    request = _sweep({"direction": ["long", "short"], "stop_loss_frac": [0.1, 1.5]})
    trials = run_sweep(CANDLES, request).trials
    assert list(trials.state) == ["completed", "invalid", "completed", "completed"]
    assert trials.error[1] == _error_alone(request, {"direction": "long", "stop_loss_frac": 1.5})


def test_a_strategy_that_raises_in_one_trial_of_many_fails_that_one() -> None:
    request = _sweep({"params.window": IntRange(1, 500), "params.mood": ["well"]})
    moods = _sweep({"params.window": [2, 3], "params.mood": ["well", "angry", "short", "sure"]})
    assert (run_sweep(CANDLES, request).trials.state == "completed").all()
    trials = run_sweep(CANDLES, moods).trials
    expected = {"well": "completed", "angry": "failed", "short": "failed", "sure": "failed"}
    for _, row in trials.iterrows():
        assert row.state == expected[row["params.mood"]]
        if row.state == "failed":
            values = {"params.window": int(row["params.window"]), "params.mood": row["params.mood"]}
            assert row.error == _error_alone(moods, values)
    assert "window 3 made me angry on A" in trials.error[3]


@pytest.mark.parametrize("hold", [-1, 2_000_000_000])
def test_a_holding_period_that_is_none_fails_its_trial(hold: int) -> None:
    request = _sweep({"params.hold": [3, None, 0, hold]})
    trials = run_sweep(CANDLES, request).trials
    assert list(trials.state) == ["completed", "completed", "completed", "failed"]
    assert trials.error[3] == _error_alone(request, {"params.hold": hold})
    for place, value in enumerate([3, None, 0]):
        alone = run_backtest(CANDLES, trial_request(request, {"params.hold": value}))
        assert metrics_of(trials.iloc[place]) == alone.metrics


def test_a_sweep_fails_only_where_every_trial_that_was_run_did() -> None:
    with pytest.raises(
        TrialsFailed, match=r"all 2 trials that were run failed, the first of them trial 0: .*angry"
    ):
        run_sweep(CANDLES, _sweep({"params.window": [2, 3], "params.mood": ["angry"]}))


def test_a_sweep_of_invalid_trials_alone_has_no_best() -> None:
    result = run_sweep(CANDLES, _sweep({"params.window": [7, 9], "params.mood": ["picky"]}))
    assert list(result.trials.state) == ["invalid", "invalid"]
    assert result.best is None
    assert len(result.blocks) == 0


def test_a_span_without_candles_fails_its_trials() -> None:
    request = _sweep({"start": [None, "2030-01-01"]})
    trials = run_sweep(CANDLES, request).trials
    assert list(trials.state) == ["completed", "failed"]
    assert trials.error[1] == _error_alone(request, {"start": request.space["start"][1]})
    assert "no A 1d candles from 2030-01-01" in trials.error[1]


def test_an_objective_that_is_null_everywhere_ranks_nothing() -> None:
    few = {"A": walk("A", 20)}  # under 30 days there is no annual figure
    result = run_sweep(few, _sweep({"params.window": [2, 3]}))
    assert (result.trials.state == "completed").all()
    assert result.trials.objective.isna().all()
    assert result.trials["rank"].isna().all()
    assert result.best is None


def test_conditions_keep_trials_and_leave_them_unranked() -> None:
    request = _sweep({"params.window": IntRange(2, 40)}, where=["trades >= 40", "max_drawdown < 0.25"])
    trials = run_sweep(CANDLES, request).trials
    allowed = (trials.trades >= 40) & (trials.max_drawdown < 0.25)
    assert 0 < allowed.sum() < len(trials)
    assert (trials["rank"].notna() == allowed).all()


def test_prices_beyond_all_measure_leave_metrics_out_and_stay_a_backtest() -> None:
    rows = walk("A", 60)
    huge = Candles.from_arrays(
        "A",
        "1d",
        {
            "timestamp": rows.timestamp,
            **{name: getattr(rows, name) * 1e290 for name in ("open", "high", "low", "close")},
            "volume": rows.volume,
        },
    )
    request = _sweep({"params.window": [2, 5]}, backtest={"initial_cash": 1e15, "direction": "both"})
    trials = run_sweep({"A": huge}, request).trials
    for place, window in enumerate([2, 5]):
        alone = run_backtest({"A": huge}, trial_request(request, {"params.window": window}))
        assert metrics_of(trials.iloc[place]) == alone.metrics


def test_a_space_with_one_value_is_one_trial() -> None:
    request = _sweep({"params.window": [4]})
    result = run_sweep(CANDLES, request)
    assert len(result.trials) == 1
    assert result.best is not None
    assert metrics_of(result.trials.iloc[0]) == result.best.metrics
    assert result.trials["rank"][0] == 1


def test_a_long_list_of_a_parameter_is_searched_to_its_end() -> None:
    """A range of which only the ends are looked at beforehand is no longer than a list of which all are."""
    listed = [*range(2_500, 1_000, -1), *range(1, 1_001)]
    trials = run_sweep(CANDLES, _sweep({"params.window": listed})).trials
    assert trials["params.window"].tolist() == listed
    assert run_sweep(CANDLES, _sweep({"params.window": IntRange(1, 1_500)})).trials.shape[0] == 1_500
    with pytest.raises(ParamsInvalid, match=r"window: .*not -7"):
        run_sweep(CANDLES, _sweep({"params.window": [*range(1, 1_200), -7, 1_200]}))


def test_a_space_of_fields_alone_shares_the_signals_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = Moody.signals

    def counted(*args: Any) -> Signals:
        asked.append(args)
        return original(*args)

    monkeypatch.setattr(Moody, "signals", counted)
    request = _sweep({"fee_bps": FloatRange(0, 50, step=1), "stop_loss_frac": [None, 0.02, 0.05]})
    trials = run_sweep(CANDLES, request, processes=1).trials
    assert len(trials) == 153
    # once for all trials; the best one is run again, and checked for looking ahead
    assert len(asked) < 20
    for place in (0, 77, 152):
        values = {key: None if pd.isna(trials[key][place]) else trials[key][place] for key in request.space}
        assert metrics_of(trials.iloc[place]) == run_backtest(CANDLES, trial_request(request, values)).metrics


def test_a_strategy_that_writes_to_its_indicators_spoils_nobody_elses() -> None:
    request = _sweep({"params.window": [3, 5], "params.mood": ["well", "writes"]})
    trials = run_sweep(CANDLES, request).trials
    for place, (_, row) in enumerate(trials.iterrows()):
        values = {key: row[key] for key in request.space}
        alone = run_backtest(CANDLES, trial_request(request, values))
        assert metrics_of(trials.iloc[place]) == alone.metrics
    assert trials.sharpe.nunique() == 4


def test_chance_hangs_on_the_seed_of_the_backtest() -> None:
    request = _sweep({"seed": [0, 1, 2], "params.share": [0.05, 0.2]}, strategy="chancy", seed=9)
    trials = run_sweep(CANDLES, request).trials
    for place, (_, row) in enumerate(trials.iterrows()):
        values = {"seed": int(row.seed), "params.share": row["params.share"]}
        assert metrics_of(trials.iloc[place]) == run_backtest(CANDLES, trial_request(request, values)).metrics
    assert trials.sharpe.nunique() == 6


def test_several_strategies_may_be_compared_and_each_has_its_own_parameters() -> None:
    request = _sweep(
        {"strategy": ["sma_cross", "ema_cross", "momentum"], "params.fast": [5]}, strategy="sma_cross"
    )
    trials = run_sweep(CANDLES, request).trials.set_index("strategy")
    assert dict(trials.state) == {"sma_cross": "completed", "ema_cross": "completed", "momentum": "invalid"}
    assert "fast: there is no such parameter" in trials.error["momentum"]


@pytest.mark.parametrize(
    ("space", "error", "says"),
    [
        ({"params.windw": [3]}, ParamsInvalid, "windw: there is no such parameter .did you mean window"),
        ({"params.window": [3, 0]}, ParamsInvalid, "window: .*greater than or equal to 1, not 0"),
        ({"params.window": FloatRange(1, 2, step=0.5)}, ParamsInvalid, "window: .*not 1.5"),
        ({"params.window": IntRange(0, 5)}, ParamsInvalid, "window: .*not 0"),
        ({"params.window": [3, 5.0, "5", 5]}, ParamsInvalid, "window: 5 listed more than once"),
        ({"strategy": ["moody", "mody"]}, StrategyUnknown, "there is no 'mody'"),
        ({"symbols": [["A"], ["A", "Z"]]}, RequestInvalid, "no 1d candles were given for Z; given: A"),
        ({"timeframe": ["1d", "1h"]}, RequestInvalid, "no 1h candles were given for A; given: none"),
    ],
)
def test_what_no_trial_could_be_is_refused_at_the_gate(space: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        run_sweep(CANDLES, _sweep(space))


def test_progress_rises_to_the_end_and_what_it_raises_stops_the_sweep() -> None:
    said: list[tuple[float, str]] = []
    request = _sweep({"params.window": IntRange(2, 101)}, search="tpe", trials=200)
    run_sweep(CANDLES, request, lambda fraction, stage: said.append((fraction, stage)))
    assert said == [
        (0.25, "50 of 200 trials"),
        (0.5, "100 of 200 trials"),
        (0.75, "150 of 200 trials"),
        (1.0, "200 of 200 trials"),
    ]

    def stop(fraction: float, stage: str) -> None:
        raise InterruptedError(f"{fraction} {stage}")

    with pytest.raises(InterruptedError, match=r"0\.125 25 of 200 trials"):
        run_sweep(CANDLES, request, stop, processes=2)


def test_blocks_are_sums_of_the_bar_returns_in_sixteenths_of_the_time() -> None:
    request = _sweep({"params.window": [3, 8]})
    result = run_sweep(CANDLES, request)
    for place, window in enumerate([3, 8]):
        equity = run_backtest(CANDLES, trial_request(request, {"params.window": window})).equity.equity
        returns = np.diff(equity.to_numpy(), prepend=10_000.0) / np.concatenate([[10_000.0], equity[:-1]])
        blocks = [returns[300 * block // 16 : 300 * (block + 1) // 16] for block in range(16)]
        row = result.blocks.iloc[place]
        assert list(row["count"]) == [len(block) for block in blocks]
        assert sum(row["count"]) == 300
        assert row["sum"] == pytest.approx([block.sum() for block in blocks], rel=1e-9, abs=1e-15)
        assert row["sum_squares"] == pytest.approx([(block**2).sum() for block in blocks], rel=1e-9)


def test_fewer_bars_than_blocks_leave_some_empty() -> None:
    few = {"A": walk("A", 5)}
    row = run_sweep(few, _sweep({"params.window": [2]})).blocks.iloc[0]
    assert list(row["count"]) == [5 * (block + 1) // 16 - 5 * block // 16 for block in range(16)]
    assert sum(row["count"]) == 5
