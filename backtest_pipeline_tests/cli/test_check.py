"""`backtest check`, on honest and on clairvoyant strategies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backtest_pipeline import (
    Candles,
    CandleStore,
    Panel,
    PortfolioStrategy,
    Signals,
    Strategy,
    StrategyParams,
    Weights,
)
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.cli.main import app
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies import registry
from backtest_pipeline.strategies.registry import register, signal_strategies, strategies


class KnowsTomorrow(Strategy):
    """Buys before every rise of the next close."""

    name = "knows_tomorrow"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        rises = np.zeros(len(candles), dtype=np.bool_)
        rises[:-1] = candles.close[1:] > candles.close[:-1]
        return Signals(entry=rises, exit=~rises)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    import_demo(CandleStore(folder))
    return folder


@pytest.fixture(autouse=True)
def _settings(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_by_hand", {})
    monkeypatch.setenv("DATA_ROOT", str(data_root))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize("name", list(signal_strategies()))
def test_no_built_in_strategy_looks_ahead(name: str) -> None:
    limits = ["--cuts", "20", "--stretch-cuts", "400"]
    done = CliRunner().invoke(app, ["check", name, "--symbols", "IBM,FB", *limits, "--json"])
    assert done.exit_code == 0, done.output
    verdicts = json.loads(done.stdout)
    assert set(verdicts) == {"IBM", "FB"}
    assert all(verdict["look_ahead"]["passed"] for verdict in verdicts.values())
    tried = verdicts["IBM"]["look_ahead"]
    assert (tried["cuts"], tried["stretch_cuts"], tried["refused"]) == (20, 400, 0)
    assert all(verdict["look_ahead"]["difference"] is None for verdict in verdicts.values())


@pytest.mark.parametrize("name", sorted(set(strategies()) - set(signal_strategies())))
def test_no_built_in_portfolio_strategy_looks_ahead(name: str) -> None:
    limits = ["--cuts", "10", "--stretch-cuts", "60", "--starts", "4"]
    done = CliRunner().invoke(app, ["check", name, "--symbols", "IBM,FB,AAPL", *limits, "--json"])
    assert done.exit_code == 0, done.output
    [(symbols, verdict)] = json.loads(done.stdout).items()
    assert symbols == "IBM,FB,AAPL"  # weights are of all symbols together
    tried = verdict["look_ahead"]
    assert (tried["passed"], tried["difference"]) == (True, None)
    assert (tried["cuts"], tried["stretch_cuts"], tried["refused"]) == (10, 60, 0)
    assert tried["signals"] > 0
    assert verdict["warm_up"]["settled"]
    assert verdict["warm_up"]["bars_to_settle"] <= verdict["warm_up"]["asked_for_bars"] + 1


class BuysTomorrowsWinner(PortfolioStrategy):
    """All into what will rise most until the next day."""

    name = "buys_tomorrows_winner"

    def weights(self, panel: Panel, params: StrategyParams) -> Weights:
        later = np.vstack([panel.close[1:], panel.close[-1:]]) / panel.close
        best = np.argmax(np.where(np.isnan(later), 0.0, later), axis=1)
        return Weights(np.eye(len(panel.symbols))[best])


def test_a_portfolio_strategy_that_knows_tomorrow_is_found_and_ends_with_1() -> None:
    register(BuysTomorrowsWinner)
    done = CliRunner().invoke(app, ["check", "buys_tomorrows_winner", "--symbols", "IBM,AAPL"])
    assert done.exit_code == 1
    row = dict(zip(*(line.split("\t") for line in done.stdout.splitlines()), strict=True))
    assert (row["symbol"], row["look-ahead"]) == ("IBM,AAPL", "FOUND")
    assert re.match(r"weight of (IBM|AAPL) at \d{4}-.* is followed by ", row["first difference"])


def test_a_strategy_that_knows_tomorrow_is_found_and_ends_with_1() -> None:
    register(KnowsTomorrow)
    done = CliRunner().invoke(app, ["check", "knows_tomorrow", "--symbols", "IBM"])
    assert done.exit_code == 1
    row = dict(zip(*(line.split("\t") for line in done.stdout.splitlines()), strict=True))
    assert (row["symbol"], row["look-ahead"]) == ("IBM", "FOUND")
    assert row["first difference"].startswith("entry at ")
    assert " is followed by " in row["first difference"]


class DrawsByItself(Strategy):
    """Enters by a lot of its own."""

    name = "draws_by_itself"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        return Signals(entry=np.random.default_rng().random(len(candles)) < 0.5)


def test_a_strategy_that_draws_by_itself_is_told_to_take_the_generator() -> None:
    register(DrawsByItself)
    done = CliRunner().invoke(app, ["check", "draws_by_itself", "--symbols", "IBM"])
    assert done.exit_code == 1
    assert "gives two answers to the same candles" in str(done.exception)


def test_an_averages_window_is_its_warm_up() -> None:
    arguments = ["check", "sma_cross", "--symbols", "IBM", "-p", "fast=5", "-p", "slow=30", "--json"]
    settles = json.loads(CliRunner().invoke(app, arguments).stdout)["IBM"]["warm_up"]
    assert settles["settled"]
    assert settles["asked_for_bars"] == 30
    assert settles["bars_to_settle"] <= 30  # a cross needs the slow average now and one bar before
