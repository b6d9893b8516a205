"""A walk-forward is single backtests, chained by hand, and knows nothing of what comes later."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    FloatRange,
    IntRange,
    Signals,
    Strategy,
    StrategyParams,
    SweepRequest,
    WalkForwardRequest,
    WalkForwardResult,
    run_backtest,
    run_sweep,
    run_walk_forward,
)
from backtest_pipeline.model.errors import CandlesMissing, RequestInvalid, TrialsFailed
from backtest_pipeline.research.fold_plan import fold_plan
from backtest_pipeline.research.splits import walk_forward_splits
from backtest_pipeline.strategies import registry
from backtest_pipeline.strategies.registry import register
from backtest_pipeline_tests.research.made_candles import walk

CANDLES = {"A": walk("A", 700, seed=5), "B": walk("B", 700, seed=6, skip=0.1)}
SPACE = {"params.fast": IntRange(2, 10, step=4), "params.slow": [15, 40]}


@pytest.fixture(autouse=True)
def _none_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_by_hand", {})


def _request(
    symbols: tuple[str, ...] = ("A",), space: Any = None, backtest: Any = None, **fields: Any
) -> WalkForwardRequest:
    sweep_fields = {
        name: fields.pop(name) for name in ("where", "objective", "search", "trials") if name in fields
    }
    plain = {"strategy": "sma_cross", "symbols": symbols, "direction": "both", **(backtest or {})}
    sweep = SweepRequest(backtest=BacktestRequest(**plain), space=space or SPACE, **sweep_fields)
    if "cross_validation" not in fields:
        fields = {"train": 200, "test": 60, **fields}
    return WalkForwardRequest(sweep=sweep, **fields)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, none where a value is missing."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _by_hand(candles: dict[str, Candles], result: WalkForwardResult) -> tuple[list[float], list[float], int]:
    """Equity of single backtests, one after another, and pnl of their trades: nothing but public functions.

    What is open at the end of a test is sold for `quantity * price * fee_bps / 10 000 + fee_fixed`.
    """
    backtest = result.request.sweep.backtest
    cash, equity, pnl, closed = backtest.initial_cash, [], [], 0
    for row in _rows(result.folds):
        varied = {key: row[key] for key in result.request.sweep.space}
        params = {
            key.removeprefix("params."): value for key, value in varied.items() if key.startswith("params.")
        }
        fields = {key: value for key, value in varied.items() if not key.startswith("params.")}
        own = BacktestRequest(
            **{
                **{name: getattr(backtest, name) for name in BacktestRequest.model_fields},
                **fields,
                "params": {**backtest.params, **params},
                "start": row["test_start"].to_pydatetime(),
                "end": row["test_end"].to_pydatetime(),
                "initial_cash": cash,
            }
        )
        alone = run_backtest(candles, own)
        trades, curve = alone.trades, alone.equity.equity.tolist()
        profits = trades.pnl.tolist()
        for place, trade in enumerate(_rows(trades)):
            if trade["exit_reason"] == "end_of_data":
                fee = trade["quantity"] * trade["exit_price"] * (own.fee_bps / 10_000) + own.fee_fixed
                curve[-1] -= fee
                profits[place] -= fee
                closed += 1
        equity += curve
        pnl += profits
        cash = curve[-1]
        assert row["out_of_sample_sharpe"] == alone.metrics["sharpe"]
    return equity, pnl, closed


@pytest.mark.slow
@pytest.mark.parametrize("symbols", [("A",), ("A", "B")])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"anchored": True, "purge_bars": 7},
        {"train": "8mo", "test": "3mo", "backtest": {"fee_fixed": 1.5, "start": "2015-06-01"}},
        {"space": {**SPACE, "stop_loss_frac": [None, 0.03], "quantity_step": [0, 1]}},
        {"backtest": {"account": "shared", "position_frac": 0.6, "borrow_apr": 0.1}},
        {
            "space": {"params.rebalance": ["weekly", "monthly"]},
            "backtest": {"strategy": "equal_weight", "account": "shared"},
        },
    ],
)
def test_the_account_out_of_sample_is_single_backtests_chained_by_hand(
    symbols: tuple[str, ...], fields: dict[str, Any]
) -> None:
    result = run_walk_forward(CANDLES, _request(symbols, **fields))
    equity, pnl, closed = _by_hand(CANDLES, result)
    assert result.equity.equity.tolist() == equity
    assert result.trades.pnl.tolist() == pnl
    assert closed > 0
    assert result.metrics["final_equity"] == equity[-1]
    assert result.metrics["trades"] == len(pnl)
    assert result.metrics["total_return"] == pytest.approx(equity[-1] / 10_000 - 1, rel=1e-12)
    assert sum(pnl) == pytest.approx(equity[-1] - 10_000, rel=1e-9)
    assert list(result.folds.equity_before[1:]) == list(result.folds.equity_after[:-1])


def test_each_fold_chooses_the_best_trial_of_a_sweep_of_its_training_alone() -> None:
    request = _request(anchored=True)
    result = run_walk_forward(CANDLES, request)
    splits = walk_forward_splits(CANDLES["A"].timestamp, 200, 60, anchored=True)
    assert len(result.folds) == len(splits) == 9
    for split, row in zip(splits, _rows(result.folds), strict=True):
        [train], [test] = split.train, split.test
        stamps = CANDLES["A"].timestamp
        assert row["train_start"].to_numpy() == stamps[train.first]
        assert row["test_start"].to_numpy() == stamps[test.first]
        assert (row["train_bars"], row["test_bars"]) == (len(train), len(test))
        cut = {"A": CANDLES["A"].slice(train.first, train.stop)}
        alone = run_sweep(cut, request.sweep)
        own = result.trials[result.trials.fold == row["fold"]]
        assert own.drop(columns="fold").reset_index(drop=True).equals(alone.trials)
        assert alone.best is not None
        assert row["trial"] == alone.trials.set_index("rank").loc[1, "trial"]
        assert {name: row[f"in_sample_{name}"] for name in ("sharpe", "trades")} == {
            name: alone.best.metrics[name] for name in ("sharpe", "trades")
        }


def test_a_training_sees_candles_before_it_for_its_warm_up_and_none_after_it() -> None:
    """With a start of the request's own: the first training is warm too."""
    request = _request(backtest={"start": str(CANDLES["A"].timestamp[100])[:10]})
    result = run_walk_forward(CANDLES, request)
    for row in _rows(result.folds):
        own = request.sweep.backtest.model_copy(
            update={"start": row["train_start"].to_pydatetime(), "end": row["train_end"].to_pydatetime()}
        )
        alone = run_sweep(CANDLES, request.sweep.model_copy(update={"backtest": own}))
        mine = result.trials[result.trials.fold == row["fold"]]
        assert mine.drop(columns="fold").reset_index(drop=True).equals(alone.trials)


@pytest.mark.parametrize("fold", [0, 3, 8])
def test_candles_after_a_test_change_nothing_before_its_end(fold: int) -> None:
    before = run_walk_forward(CANDLES, _request(("A", "B")))
    last = np.datetime64(_rows(before.folds)[fold]["test_end"].to_datetime64(), "us")
    noise = np.random.default_rng(fold)

    def moved(own: Candles) -> Candles:
        factor = np.where(own.timestamp > last, noise.uniform(0.5, 2.0, len(own)), 1.0)
        columns = {name: getattr(own, name) * factor for name in ("open", "high", "low", "close")}
        return replace(own, **columns)

    after = run_walk_forward({name: moved(own) for name, own in CANDLES.items()}, _request(("A", "B")))
    done = int((before.equity.timestamp <= pd.Timestamp(last, tz="UTC")).sum())
    assert before.equity.equity[:done].equals(after.equity.equity[:done])
    assert before.folds[: fold + 1].equals(after.folds[: fold + 1])
    ended = before.trades.exit_time <= pd.Timestamp(last, tz="UTC")
    assert before.trades[ended].equals(after.trades[: int(ended.sum())])
    assert fold == 8 or not before.equity.equity.equals(after.equity.equity)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_change_no_byte(processes: int) -> None:
    alone, together = (run_walk_forward(CANDLES, _request(), processes=count) for count in (1, processes))
    for name in ("folds", "trials", "equity", "trades"):
        pd.testing.assert_frame_equal(getattr(alone, name), getattr(together, name), check_exact=True)
    assert alone.metrics == together.metrics


def test_a_fold_in_which_nothing_ranks_is_flat() -> None:
    """Trades of a training with 200 bars: a condition that some trainings meet and others do not."""
    free = run_walk_forward(CANDLES, _request())
    most = free.trials.groupby("fold").trades.max().astype(int).sort_values().tolist()
    assert most[0] < most[-1]
    result = run_walk_forward(CANDLES, _request(where=[f"trades >= {most[-1]}"]))
    flat = result.folds[result.folds.trial.isna()]
    assert 0 < len(flat) < len(result.folds)
    for row in _rows(flat):
        stamps = result.equity.timestamp
        during = (stamps >= row["test_start"]) & (stamps <= row["test_end"])
        assert result.equity.equity[during].eq(row["equity_before"]).all()
        assert row["equity_after"] == row["equity_before"]
    assert any("no trial of the training ranks" in text for text in result.out_of_sample.diagnostics)


def test_where_nothing_ranks_anywhere_the_cash_is_kept() -> None:
    result = run_walk_forward(CANDLES, _request(("A", "B"), where=["trades >= 10000"]))
    assert result.equity.equity.eq(10_000).all()
    assert len(result.trades) == len(result.out_of_sample.signals) == 0
    assert result.robustness is not None
    assert result.robustness.walk_forward is not None
    assert result.robustness.walk_forward.traded_folds == 0


def test_a_strategy_that_looks_ahead_is_caught() -> None:
    class Clairvoyant(Strategy):
        """Buys before a rise."""

        name = "clairvoyant_walker"

        class Params(StrategyParams):
            """How large a rise."""

            rise_frac: float = 0.01

        def signals(self, candles: Candles, params: Params) -> Signals:
            rises = np.append(candles.close[1:] > candles.close[:-1] * (1 + params.rise_frac), False)
            return Signals(entry=rises, exit=~rises)

    register(Clairvoyant)
    result = run_walk_forward(
        CANDLES,
        _request(space={"params.rise_frac": [0.005, 0.01]}, backtest={"strategy": Clairvoyant.name}),
    )
    assert result.out_of_sample.checks["look_ahead"]["passed"] is False
    assert result.robustness is not None
    assert "looks ahead" in result.robustness.verdict
    assert run_walk_forward(CANDLES, _request()).out_of_sample.checks["look_ahead"]["passed"] is True


def test_progress_rises_to_one_and_what_it_raises_stops_the_walk() -> None:
    told: list[tuple[float, str]] = []
    run_walk_forward(CANDLES, _request(), lambda fraction, words: told.append((fraction, words)))
    assert told[-1] == (1.0, "54 of 54 trials")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)

    def stop(_: float, __: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_walk_forward(CANDLES, _request(), stop)


def test_too_few_candles_and_a_symbol_without_candles_in_a_fold_are_refused() -> None:
    with pytest.raises(RequestInvalid, match="700 bars, and 699 of training and 1 purged leave none to test"):
        run_walk_forward(CANDLES, _request(train=699, test=1, purge_bars=1))
    late = {**CANDLES, "B": CANDLES["B"].slice(400, len(CANDLES["B"]))}
    with pytest.raises(CandlesMissing, match="B"):
        run_walk_forward(late, _request(("A", "B")))


@pytest.mark.parametrize("fields", [{}, {"cross_validation": "purged", "folds": 4}])
def test_the_account_is_measured_against_the_benchmark_that_the_request_names(fields: dict[str, Any]) -> None:
    """C has the bars of A: at each it is worth its close, and it is bought at the first one tested."""
    candles = {**CANDLES, "C": walk("C", 700, seed=7)}
    result = run_walk_forward(candles, _request(backtest={"benchmark": "C"}, **fields))
    held = candles["C"].close[-len(result.equity) :]
    assert result.metrics["buy_hold_return"] == pytest.approx(held[-1] / held[0] - 1)
    changes = np.append(0.0, held[1:] / held[:-1] - 1)
    equity = np.append(10_000.0, result.equity.equity)
    own = equity[1:] / equity[:-1] - 1
    beta = np.cov(own, changes)[0, 1] / changes.var(ddof=1)
    assert result.metrics["beta"] == pytest.approx(beta)
    assert result.metrics["alpha"] == pytest.approx((1 + own.mean() - beta * changes.mean()) ** 365 - 1)


def test_a_benchmark_without_candles_in_a_test_is_refused_before_anything_is_searched() -> None:
    early = {**CANDLES, "C": walk("C", 630, seed=7)}
    with pytest.raises(CandlesMissing, match="no C 1d candles"):
        fold_plan(early, _request(backtest={"benchmark": "C"}))
    assert fold_plan(early, _request(backtest={"benchmark": "C"}, test=250)).folds


def test_a_strategy_that_fails_in_every_trial_of_a_training_fails_the_walk() -> None:
    class Broken(Strategy):
        """Never answers."""

        name = "broken_walker"

        def signals(self, candles: Candles, params: StrategyParams) -> Signals:
            raise RuntimeError("no answer")

    register(Broken)
    with pytest.raises(TrialsFailed, match="no answer"):
        run_walk_forward(CANDLES, _request(space={"fee_bps": [0, 10]}, backtest={"strategy": Broken.name}))


def test_tpe_searches_each_training_as_it_would_alone() -> None:
    request = _request(search="tpe", trials=40)
    result = run_walk_forward(CANDLES, request)
    first = _rows(result.folds)[0]
    own = request.sweep.backtest.model_copy(
        update={"start": first["train_start"].to_pydatetime(), "end": first["train_end"].to_pydatetime()}
    )
    alone = run_sweep(CANDLES, request.sweep.model_copy(update={"backtest": own}))
    mine = result.trials[result.trials.fold == 0].drop(columns="fold").reset_index(drop=True)
    assert mine.equals(alone.trials)


# Cross-validation


def _crossed(**fields: Any) -> WalkForwardResult:
    asked = {"cross_validation": "purged", "folds": 5, "test_folds": 2, "purge_bars": 3, "embargo_bars": 4}
    return run_walk_forward(CANDLES, _request(**{**asked, **fields}))


def test_paths_go_through_all_candles_each_with_the_winner_of_a_training_that_has_not_seen_them() -> None:
    """5 folds, 2 tested: 10 splits of 2 tests make 4 paths of 5 tests, over all 700 bars."""
    result = _crossed()
    assert result.paths is not None
    assert list(result.paths.columns) == ["timestamp", "path_0", "path_1", "path_2", "path_3"]
    assert len(result.paths) == len(result.equity) == 700
    assert len(result.folds) == 20
    assert result.folds.groupby("path").test_start.nunique().eq(5).all()
    for row in _rows(result.folds):
        trained = result.trials[result.trials.fold.isin([int(one) for one in row["trainings"].split(",")])]
        assert set(trained.trial) == set(range(6))
    sharpes = [
        np.diff(curve, prepend=10_000) / np.concatenate([[10_000], curve[:-1]])
        for curve in (result.paths[f"path_{at}"].to_numpy() for at in range(4))
    ]
    ordered = sorted(own.mean() / own.std(ddof=1) for own in sharpes)
    assert result.metrics["sharpe"] == pytest.approx(ordered[1] * np.sqrt(365), rel=1e-9)
    assert result.robustness is not None
    record = result.robustness.walk_forward
    assert record is not None
    assert record.paths is not None
    found = sorted(one for one in record.paths.sharpe if one is not None)
    assert found == pytest.approx([one * np.sqrt(365) for one in ordered], rel=1e-9)


def test_a_path_is_single_backtests_chained_by_hand_too() -> None:
    result = _crossed()
    assert result.paths is not None
    for path in range(4):
        own = result.folds[result.folds.path == path].sort_values("test_start")
        equity, _, _ = _by_hand(CANDLES, replace(result, folds=own))
        assert result.paths[f"path_{path}"].tolist() == equity


def test_a_training_of_several_stretches_weighs_them_by_their_bars() -> None:
    """Each stretch is a sweep of its own; the winner has the highest mean objective, a bar a vote."""
    result = _crossed(where=["trades >= 2"])
    lengths = [stretch.bars for stretch in fold_plan(CANDLES, result.request).trainings]
    several = 0
    for row in _rows(result.folds):
        numbers = [int(one) for one in row["trainings"].split(",")]
        several += len(numbers) > 1
        stretches = [result.trials[result.trials.fold == one].set_index("trial") for one in numbers]
        bars = [lengths[one] for one in numbers]
        sharpe = np.stack([own.sharpe.to_numpy(np.float64, na_value=np.nan) for own in stretches])
        trades = np.stack([own.trades.to_numpy(np.float64) for own in stretches]).sum(axis=0)
        mean = np.average(sharpe, axis=0, weights=bars)
        allowed = np.where(trades >= 2, mean, -np.inf)
        assert row["trial"] == int(np.argmax(allowed))
        assert row["in_sample_objective"] == pytest.approx(allowed.max(), rel=1e-12)
        assert row["in_sample_trades"] == trades[row["trial"]]
        assert row["train_bars"] == sum(bars)
    assert several > 5


# Statistics


def test_statistics_of_a_walk_forward_are_those_of_its_account() -> None:
    result = run_walk_forward(CANDLES, _request())
    found = result.robustness
    assert found is not None
    assert found.walk_forward is not None
    equity = np.concatenate([[10_000], result.equity.equity.to_numpy()])
    returns = equity[1:] / equity[:-1] - 1
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-9)
    assert found.trials == 1
    folds = result.folds
    assert found.walk_forward.folds == found.walk_forward.traded_folds == 9
    assert found.walk_forward.profitable_frac == pytest.approx((folds.out_of_sample_total_return > 0).mean())
    in_sample = folds.in_sample_cagr.astype(float).mean()
    assert found.walk_forward.in_sample_cagr == pytest.approx(in_sample)
    cagr = result.metrics["cagr"]
    assert cagr is not None
    assert found.walk_forward.efficiency == (pytest.approx(cagr / in_sample) if in_sample > 0 else None)
    ranks = folds[["in_sample_objective", "out_of_sample_objective"]].astype(float).dropna().rank()
    assert found.walk_forward.rank_correlation == pytest.approx(ranks.corr().iloc[0, 1])
    usual = folds["params.slow"].value_counts()
    assert found.walk_forward.chosen["params.slow"].usual_frac == usual.max() / 9
    assert found.verdict.startswith("Out of sample")


def test_what_was_chosen_is_said_as_the_request_has_it() -> None:
    space: dict[str, Any] = {
        "take_profit_steps": [[[0, 0.02], [5, 0.01]]],
        "stop_loss_frac": [None],
        "direction": ["both"],
        "params.fast": [5],
        "fee_bps": FloatRange(0.3, 0.3, step=0.1),
    }
    found = run_walk_forward(CANDLES, _request(space=space)).robustness
    assert found is not None
    assert found.walk_forward is not None
    usual = {key: json.loads(one.usual) for key, one in found.walk_forward.chosen.items()}
    assert usual == {
        "take_profit_steps": [[0, 0.02], [5, 0.01]],
        "stop_loss_frac": None,
        "direction": "both",
        "params.fast": 5,
        "fee_bps": 0.3,
    }


def test_metrics_of_the_account_are_those_of_a_backtest_with_the_same_curve() -> None:
    """One fold whose test is traded by buying and holding, without fees: the engine's own result.

    But for the last of 400 bars, at whose close what is open has been sold.
    """
    request = _request(
        space={"position_frac": [0.5]},
        backtest={"strategy": "buy_and_hold", "fee_bps": 0, "direction": "long"},
        train=300,
        test=400,
    )
    result = run_walk_forward(CANDLES, request)
    fields = {"start": str(CANDLES["A"].timestamp[300])[:10], "position_frac": 0.5}
    alone = run_backtest(CANDLES, BacktestRequest(**{**request.sweep.backtest.to_dict(), **fields}))
    exposure = alone.metrics["exposure"]
    assert exposure is not None
    assert result.metrics == {**alone.metrics, "exposure": pytest.approx(exposure - 1 / 400)}
    pd.testing.assert_frame_equal(result.trades, alone.trades, check_exact=True)
    assert result.equity.equity.equals(alone.equity.equity)
