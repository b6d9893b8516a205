"""Every name that a command takes is answered, misspelt, with the one that may have been meant.

Each parameter of each command stands in one of three tables: it takes a task's id, it takes a name of
something that there is, or neither. One that stands in none fails the first test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backtest_pipeline import BacktestClient
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli import connection, stored_tasks
from backtest_pipeline.cli.command_group import PLACES, imported_command
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import TaskAmbiguous
from backtest_pipeline.settings import get_settings
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, wandering
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run

TWIN = TASK[:-1] + ("0" if TASK[-1] != "0" else "1")
"""An id that begins as `TASK` does."""

Parameter = tuple[str, str]

IDS: dict[Parameter, list[str]] = {
    ("best", "task"): ["best", "TASK"],
    ("status", "task"): ["status", "TASK"],
    ("wait", "task"): ["wait", "TASK"],
    ("cancel", "task"): ["cancel", "TASK"],
    ("result", "task"): ["result", "TASK"],
    ("report", "task"): ["report", "TASK", "--no-open", "--force"],
    ("compare", "task"): ["compare", "TASK", OTHER, "--no-open", "--out", "compared.html"],
    ("pin", "task"): ["pin", "TASK"],
    ("unpin", "task"): ["unpin", "TASK"],
    ("verify", "task"): ["verify", "TASK"],
    ("export", "task"): ["export", "TASK", "--to", "one.tar.zst", "--force"],
    ("run", "from_task"): ["run", "--from", "TASK"],
    ("scenarios", "task"): ["scenarios", "TASK", "--runs", "2"],
}
"""How each command is called with a task in the place of `TASK`."""

REQUEST = ["sma_cross", "--symbols", "AAPL"]
_OF_A_REQUEST: dict[str, tuple[list[str], str]] = {
    "strategy": (["sma_crs", "--symbols", "AAPL"], "sma_cross"),
    "param": ([*REQUEST, "-p", "fats=3"], "fast"),
    "timeframe": ([*REQUEST, "--timeframe", "1D"], "1d"),
    "fill": ([*REQUEST, "--fill", "nextopen"], "next_open"),
    "direction": ([*REQUEST, "--direction", "shrt"], "short"),
    "calendar": ([*REQUEST, "--calendar", "XKRC"], "XKRX"),
    "account": ([*REQUEST, "--account", "shred"], "shared"),
    "sizing": ([*REQUEST, "--sizing", "slot"], "slots"),
    "on_conflict": ([*REQUEST, "--on-conflict", "ignor"], "ignore"),
    "same_bar_trail": ([*REQUEST, "--same-bar-trail", "pesimistic"], "pessimistic"),
    "detail_timeframe": ([*REQUEST, "--detail-timeframe", "1H"], "1h"),
    "symbols": (["sma_cross", "--symbols", "aapl"], "AAPL"),
    "benchmark": ([*REQUEST, "--benchmark", "spy"], "SPY"),
}
"""Misspelt symbols that could be some are answered by the server, as the next."""
ANSWERED_BY_OTHERS = {
    ("sweep", "strategy"),
    ("walk-forward", "strategy"),
    ("candles download", "symbols"),
    ("candles update", "symbols"),
}
"""Names that the server knows (`orchestration/test_submissions.py`), or an exchange (`exchanges/`)."""
_VARIED = ["--vary", "fast=3,5"]
_SEARCHES = ("sweep", "walk-forward")
_OF_A_SEARCH: dict[str, tuple[list[str], str]] = {
    "vary": (["--vary", "fee_bsp=1,2"], "fee_bps"),
    "search": ([*_VARIED, "--search", "sobl", "--trials", "3"], "sobol"),
    "objective": ([*_VARIED, "--objective", "sharp"], "sharpe"),
    "where": ([*_VARIED, "--where", "trads>=3"], "trades"),
}

_DOWNLOAD = ["candles", "download", "--symbols", "KRW-BTC"]

NAMES: dict[Parameter, tuple[list[str], str]] = {
    **{
        (command, name): ([command, *arguments, *(_VARIED if command in _SEARCHES else [])], meant)
        for command in ("run", "submit", *_SEARCHES)
        for name, (arguments, meant) in _OF_A_REQUEST.items()
        if (command, name) not in ANSWERED_BY_OTHERS
    },
    **{
        (command, name): ([command, *REQUEST, *arguments], meant)
        for command in _SEARCHES
        for name, (arguments, meant) in _OF_A_SEARCH.items()
    },
    ("result", "table"): (["result", TASK, "--table", "trads"], "trades"),
    ("ledger", "strategy"): (["ledger", "sma_crs"], "sma_cross"),
    ("list", "state"): (["list", "--state", "complete"], "completed"),
    ("list", "strategy"): (["list", "--strategy", "sma_crs"], "sma_cross"),
    ("list", "symbol"): (["list", "--symbol", "APPL"], "AAPL"),
    ("list", "label"): (["list", "--label", "ide=trend"], "idea"),
    ("list", "sort"): (["list", "--sort", "sharp"], "sharpe"),
    ("strategies", "name"): (["strategies", "sma_crs"], "sma_cross"),
    ("check", "strategy"): (["check", "sma_crs", "--symbols", "AAPL"], "sma_cross"),
    ("check", "symbols"): (["check", "sma_cross", "--symbols", "APPL"], "AAPL"),
    ("check", "param"): (["check", *REQUEST, "-p", "fats=3"], "fast"),
    ("check", "timeframe"): (["check", *REQUEST, "--timeframe", "1D"], "1d"),
    ("candles import", "timeframe"): (
        ["candles", "import", "a.csv", "--symbol", "A", "--timeframe", "1D"],
        "1d",
    ),
    ("candles import", "calendar"): (
        ["candles", "import", "a.csv", "--symbol", "A", "--timeframe", "1d", "--calendar", "XKRC"],
        "XKRX",
    ),
    ("candles check", "symbols"): (["candles", "check", "APPL"], "AAPL"),
    ("candles download", "exchange"): ([*_DOWNLOAD, "--exchange", "upbt", "--timeframe", "1d"], "upbit"),
    ("candles download", "timeframe"): ([*_DOWNLOAD, "--exchange", "upbit", "--timeframe", "1D"], "1d"),
    ("worker", "queues"): (["worker", "--queues", "runs,chunk"], "chunks"),
    ("candles resample", "symbols"): (["candles", "resample", "APPL", "--from", "1d", "--to", "1w"], "AAPL"),
    ("candles resample", "fine"): (["candles", "resample", "AAPL", "--from", "1D", "--to", "1w"], "1d"),
    ("candles resample", "coarse"): (["candles", "resample", "AAPL", "--from", "1d", "--to", "1W"], "1w"),
}

# Numbers, moments, files, flags, and what is given a name here.
NEITHER = {
    "adjust", "again", "anchored", "as_json", "block_bars", "borrow_apr", "columns", "concurrency", "csv",
    "cuts", "data_root", "date_format", "decimal", "detach", "dry_run", "embargo_bars", "encoding", "end",
    "every_s", "everything", "fee_bps", "fee_fixed", "file", "folder", "folds", "force", "foreign", "fresh",
    "funding", "good_for_bars", "help", "host", "idempotency_key", "initial_cash", "json", "keep_best",
    "leverage", "limit", "limit_fills_on_touch", "maintenance_margin_frac", "max_entries", "max_hold_bars",
    "max_positions", "max_retries", "no_open", "no_volume", "offline", "older_than_days", "only", "out",
    "parallel", "parquet", "pin", "pinned", "port", "position_frac", "priority", "purge_bars", "purged",
    "quantity_step", "refresh", "renamed", "replace", "risk_frac", "runs", "search_seed", "seed",
    "server_code", "since", "slippage_bps", "start", "starts", "stop_loss_frac", "stretch_cuts",
    "take_profit_frac", "take_profit_steps", "target_volatility", "test", "test_folds", "timeout_s", "to",
    "top", "trailing_activation_frac", "trailing_stop_frac", "train", "trial", "trials", "until", "warm",
    "warmup_bars", "watch",
}  # fmt: skip
NAMED_HERE = {
    ("candles import", "symbol"),
    *((command, "label") for command in ("run", "submit", *_SEARCHES)),
}


def _parameters() -> Iterator[Parameter]:
    for name in PLACES:
        command = imported_command(name)
        for own in getattr(command, "commands", {"": command}).values():
            title = name if own is command else f"{name} {own.name}"
            yield from ((title, str(parameter.name)) for parameter in own.params)


def test_every_parameter_is_known_to_take_an_id_a_name_or_neither() -> None:
    known = list(_parameters())
    assert len(known) > 150
    tables = (IDS.keys(), NAMES.keys(), NAMED_HERE, ANSWERED_BY_OTHERS)
    for command, name in known:
        found = sum((command, name) in table for table in tables) + (name in NEITHER)
        assert found == 1, f"{command} {name}: put it into one of the tables of this file"
    assert {one for table in tables for one in table} <= set(known)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two backtests, a folder whose name begins as that of the first, and the demo's candles."""
    data_root = tmp_path_factory.mktemp("named")
    for task_id in (TASK, OTHER):
        publish(data_root, wandering(bars=60), task_id=task_id, request={"labels": {"idea": "trend"}})
    import_demo(CandleStore(data_root))
    return data_root


@pytest.fixture(autouse=True)
def server(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """Knows both tasks, of which the second is the newest."""
    server = FakeServer(*(run(one, status="SUCCESS", created=at) for at, one in enumerate((TASK, OTHER), 1)))

    def connected(**options: Any) -> BacktestClient:
        return server.client(StillClock(), data_root=filled, **options)

    monkeypatch.setenv("DATA_ROOT", str(filled))
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    for module in (connection, stored_tasks):
        monkeypatch.setattr(module, "BacktestClient", connected)
    yield server
    get_settings.cache_clear()


def _answer(arguments: list[str]) -> str:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "400", **os.environ})
    said = "" if isinstance(done.exception, SystemExit) else str(done.exception or "")
    return " ".join(f"{done.output} {done.stderr} {said}".split())


@pytest.mark.parametrize(("parameter"), NAMES, ids=" ".join)
def test_a_misspelt_name_is_answered_with_the_one_that_is_like_it(parameter: Parameter) -> None:
    arguments, meant = NAMES[parameter]
    assert f"did you mean {meant}" in _answer(arguments)


@pytest.mark.parametrize("parameter", IDS, ids=" ".join)
def test_a_command_takes_the_beginning_of_an_id(parameter: Parameter) -> None:
    for written in (TASK[:8], TASK[:13].upper()):
        answer = _answer([written if one == "TASK" else one for one in IDS[parameter]])
        assert "there is no task" not in answer
        found = (TASK, "Sharpe", "compared.html", "its candles have changed since")
        assert any(one in answer for one in found), answer


@pytest.mark.parametrize("parameter", IDS, ids=" ".join)
def test_a_command_takes_last_and_says_which_that_is(parameter: Parameter) -> None:
    arguments = ["last" if one == "TASK" else TASK if one == OTHER else one for one in IDS[parameter]]
    assert f"last: task {OTHER}" in _answer(arguments)


@pytest.mark.parametrize("parameter", IDS, ids=" ".join)
def test_a_command_says_which_tasks_an_ambiguous_beginning_may_mean(
    parameter: Parameter, filled: Path, server: FakeServer
) -> None:
    server.runs.insert(0, run(TWIN, status="SUCCESS", created=0.0))
    twin = filled / "tasks" / TWIN
    twin.mkdir()
    try:
        arguments = [TASK[:8] if one == "TASK" else one for one in IDS[parameter]]
        answer = _answer(arguments)
        assert str(TaskAmbiguous(TASK[:8], sorted([TASK, TWIN]))) in answer
    finally:
        twin.rmdir()


@pytest.mark.parametrize("parameter", IDS, ids=" ".join)
def test_a_command_answers_what_is_no_id_with_last(parameter: Parameter) -> None:
    assert "did you mean last?" in _answer(["lst" if one == "TASK" else one for one in IDS[parameter]])


@pytest.mark.parametrize("name", [*PLACES, "candles import", "candles list", "candles check", "candles demo"])
def test_a_misspelt_option_is_answered_with_the_one_that_is_like_it(name: str) -> None:
    assert "--help" in _answer([*name.split(), "--hlep"])


@pytest.mark.parametrize(("written", "meant"), [("staus", "status"), ("candles lst", "list")])
def test_a_misspelt_command_is_answered_with_the_one_that_is_like_it(written: str, meant: str) -> None:
    assert meant in _answer(written.split())
