"""Finding strategies and checking their parameters."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from pydantic import BaseModel, Field, model_validator

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    Panel,
    PortfolioStrategy,
    Signals,
    Strategy,
    StrategyParams,
    Weights,
    register,
)
from backtest_pipeline.model.errors import ParamsInvalid, RequestInvalid, StrategyFaulty, StrategyUnknown
from backtest_pipeline.model.request_values import AccountKind
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies import registry
from backtest_pipeline.strategies.registry import origins, resolve, signal_strategies, strategies
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep


@pytest.fixture(autouse=True)
def _clean_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_by_hand", {})
    for cached in (get_settings, registry._installed):
        cached.cache_clear()
    yield
    for cached in (get_settings, registry._installed):
        cached.cache_clear()


class Never(Strategy):
    """Never trades."""

    name = "never"

    class Params(StrategyParams):
        patience: int = Field(3, ge=1, le=9, description="bars")

    def signals(self, candles: Candles, params: Params) -> Signals:
        return Signals(entry=np.zeros(len(candles), dtype=np.bool_))


def test_the_built_in_strategies_are_found_by_their_entry_points() -> None:
    assert {"sma_cross", "buy_and_hold", "volume_long_candle", "volume_zone_breakout"} <= set(strategies())


def test_every_strategy_explains_itself_and_every_parameter() -> None:
    for name, strategy in strategies().items():
        assert strategy.name == name
        assert strategy.summary() != name
        for field in strategy.Params.model_fields.values():
            assert field.description


def test_every_strategy_can_be_run_with_its_defaults() -> None:
    for name, strategy in strategies().items():
        account: AccountKind = "shared" if issubclass(strategy, PortfolioStrategy) else "split"
        resolved = resolve(BacktestRequest(strategy=name, symbols=["AAPL"], account=account))
        assert dict(resolved.request.params) == resolved.params.model_dump()


def test_an_unknown_strategy_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        StrategyUnknown,
        match=r"no 'sma_crossing' \(did you mean sma_cross\?\); choose one of .*buy_and_hold.*sma_cross",
    ):
        resolve(BacktestRequest(strategy="sma_crossing", symbols=["AAPL"]))


def test_an_unknown_parameter_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        ParamsInvalid,
        match=r"sma_cross cannot use these parameters \(it takes fast, slow\): quick: there is no such",
    ):
        resolve(BacktestRequest(strategy="sma_cross", symbols=["AAPL"], params={"quick": 3}))


def test_a_parameter_out_of_range_is_refused_with_its_value() -> None:
    with pytest.raises(ParamsInvalid, match=r"body_pct: .*less than or equal to 0.5, not 0.9"):
        resolve(BacktestRequest(strategy="volume_long_candle", symbols=["AAPL"], params={"body_pct": 0.9}))


def test_a_strategy_registered_by_hand_is_known_in_this_process() -> None:
    register(Never)
    resolved = resolve(BacktestRequest(strategy="never", symbols=["AAPL"]))
    assert dict(resolved.request.params) == {"patience": 3}


class PlainParams(Never):
    """Its parameters are of pydantic's own kind, which ignores what it does not know."""

    name = "plain_params"

    class Params(BaseModel):
        patience: int = Field(3, alias="Patience")


def test_a_plain_model_of_parameters_does_not_ignore_unknown_ones() -> None:
    register(PlainParams)
    request = BacktestRequest(strategy="plain_params", symbols=["AAPL"], params={"Patience": 4})
    assert resolve(request).params.model_dump() == {"patience": 4}
    wrong = request.model_copy(update={"params": {"patients": 4}})
    with pytest.raises(ParamsInvalid, match=r"patients: there is no such parameter .did you mean patience"):
        resolve(wrong)


def test_parameters_that_are_no_model_are_refused_as_the_strategy_is_registered() -> None:
    class NoModel(Never):
        name = "no_model"

        class Params:
            patience = 3

    with pytest.raises(StrategyFaulty, match="no_model: its `Params` should be a subclass of StrategyParams"):
        register(NoModel)


def test_what_parameters_and_constructors_raise_is_a_fault_of_the_strategy() -> None:
    class Dividing(Never):
        """ """

        name = "dividing"

        class Params(StrategyParams):
            patience: int = Field(0, description="bars")

            @model_validator(mode="after")
            def _divides(self) -> Self:
                assert 1 / self.patience > 0
                return self

    class Asking(Never):
        name = "asking"

        def __init__(self, path: str) -> None:
            self.path = path

    register(Dividing)
    register(Asking)
    assert Dividing.summary() == "dividing"
    with pytest.raises(
        StrategyFaulty, match=r"dividing: its Params raised ZeroDivisionError.*test_registry\.py"
    ):
        resolve(BacktestRequest(strategy="dividing", symbols=["AAPL"], params={"patience": 0}))
    with pytest.raises(StrategyFaulty, match="asking: it cannot be made without arguments: TypeError"):
        resolve(BacktestRequest(strategy="asking", symbols=["AAPL"]))


class Halves(PortfolioStrategy):
    """Half of everything."""

    name = "halves"

    def weights(self, panel: Panel, params: StrategyParams) -> Weights:
        return Weights(np.full(panel.close.shape, 0.5))


def test_a_portfolio_strategy_is_known_as_others_are_and_asks_for_one_account() -> None:
    register(Halves)
    asked = {"strategy": "halves", "symbols": ["AAPL", "IBM"]}
    assert isinstance(resolve(BacktestRequest(**asked, account="shared")).strategy, Halves)
    assert "halves" not in signal_strategies()
    with pytest.raises(RequestInvalid, match=r"account: a portfolio strategy .* write shared"):
        resolve(BacktestRequest(**asked))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max_positions": 3}, "max_positions: weights say which positions there are; leave out 3"),
        (
            {"sizing": "slots", "max_positions": 3},
            "sizing: weights say how large positions are; leave out 'slots'",
        ),
        ({"position_frac": 0.5}, "position_frac: weights say how large"),
        ({"max_entries": 2}, "max_entries: weights say how large"),
        ({"good_for_bars": 2}, "good_for_bars: weights place no pending orders"),
        ({"limit_fills_on_touch": True}, "limit_fills_on_touch: weights place no pending orders"),
        ({"on_conflict": "ignore"}, "on_conflict: there are no signals"),
    ],
)
def test_what_a_portfolio_strategy_would_not_heed_is_refused(fields: dict[str, Any], says: str) -> None:
    register(Halves)
    request = BacktestRequest(strategy="halves", symbols=["AAPL"], account="shared", **fields)
    with pytest.raises(RequestInvalid, match=says):
        resolve(request)


def test_stops_costs_and_leverage_are_for_portfolios_as_well() -> None:
    register(Halves)
    fields: dict[str, Any] = {
        "direction": "both",
        "stop_loss_frac": 0.1,
        "max_hold_bars": 20,
        "fill": "close",
        "quantity_step": 1,
        "leverage": 2,
        "maintenance_margin_frac": 0.2,
        "borrow_apr": 0.05,
    }
    resolve(BacktestRequest(strategy="halves", symbols=["AAPL"], account="shared", **fields))


def test_a_search_of_a_portfolio_strategy_needs_a_shared_account_in_its_backtest_or_in_its_space() -> None:
    register(Halves)
    split = BacktestRequest(strategy="halves", symbols=["AAPL"])
    with pytest.raises(RequestInvalid, match=r"backtest.account: a portfolio strategy trades one account"):
        resolve_sweep(SweepRequest(backtest=split, space={"fee_bps": [1, 2]}))
    resolve_sweep(SweepRequest(backtest=split, space={"account": ["split", "shared"]}))
    resolve_sweep(
        SweepRequest(backtest=split.model_copy(update={"account": "shared"}), space={"fee_bps": [1, 2]})
    )


def test_an_operators_module_adds_its_strategies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        import numpy as np
        from backtest_pipeline import Signals, Strategy

        class Always(Strategy):
            "Always in."
            name = "always"

            def signals(self, candles, params):
                return Signals(entry=np.ones(len(candles), dtype=bool))
    """
    (tmp_path / "desk_strategies.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BACKTEST_STRATEGIES", "desk_strategies")
    assert "always" in strategies()
    del sys.modules["desk_strategies"]


CLASS = "from backtest_pipeline import Strategy\nclass A(Strategy):\n"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1", "defines no strategy"),
        ("raise RuntimeError('half a file')", "cannot be imported: RuntimeError.'half a file'"),
        ("import sys; sys.exit('no licence')", "cannot be imported: SystemExit.'no licence'"),
        (
            f"{CLASS}    name = 'sma_cross'\n    def signals(self, candles, params): ...",
            "uses a name that backtest_pipeline.strategies.builtin.sma_cross has taken",
        ),
        (
            f"{CLASS}    def signals(self, candles, params): ...",
            "needs a `name`",
        ),
    ],
)
def test_a_broken_operators_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, says: str
) -> None:
    (tmp_path / "broken_strategies.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BACKTEST_STRATEGIES", "broken_strategies")
    with pytest.raises(StrategyFaulty, match=says):
        strategies()
    sys.modules.pop("broken_strategies", None)


@pytest.mark.parametrize(
    ("name", "is_its_own_name"),
    [("nowhere_at_all", True), ("own_strategies.py", True), ("lacking_strategies", False)],
)
def test_a_module_that_is_not_found_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_its_own_name: bool
) -> None:
    (tmp_path / "own_strategies.py").write_text("x = 1")
    (tmp_path / "lacking_strategies.py").write_text("import a_library_that_is_not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BACKTEST_STRATEGIES", name)
    with pytest.raises(StrategyFaulty, match="cannot be imported: ModuleNotFoundError") as refused:
        strategies()
    cure = "write its name without .py, and let PYTHONPATH have its folder"
    assert (cure in str(refused.value)) is is_its_own_name
    sys.modules.pop("own_strategies", None)


def test_each_strategy_says_where_it_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        import numpy as np
        from backtest_pipeline import Signals, Strategy

        class Elsewhere(Strategy):
            name = "elsewhere"

            def signals(self, candles, params):
                return Signals(entry=np.zeros(len(candles), dtype=bool))
    """
    (tmp_path / "found_elsewhere.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("BACKTEST_STRATEGIES", "found_elsewhere")
    register(Never)
    found = origins()
    assert found["elsewhere"] == "BACKTEST_STRATEGIES (found_elsewhere)"
    assert found["never"] == "registered by hand"
    assert found["sma_cross"] == "built in"
    assert set(found) == set(strategies())
