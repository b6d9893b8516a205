"""`backtest verify` on files alone, and with a second run."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline import Candles
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.request_model import digest_of
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, store_candles, wandering


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """DATA_ROOT with candles and a task of them; no server is there to be asked."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("BACKTEST_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    store_candles(tmp_path, wandering())
    publish(tmp_path, wandering())
    yield tmp_path
    get_settings.cache_clear()


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["verify", *arguments])


def _again() -> dict[str, Any]:
    """What a second run says, and that the exit status agrees."""
    done = _run(TASK, "--rerun", "--json")
    [told] = json.loads(done.stdout)
    assert done.exit_code == (0 if told["ok"] else 1)
    found: dict[str, Any] = told["rerun"]
    return found


def _closes_moved_at(bar: int) -> Candles:
    candles = wandering()
    close = np.where(np.arange(len(candles)) == bar, candles.low, candles.close)
    return replace(candles, close=close)


def test_a_sound_task_is_a_line_and_status_0(data_root: Path) -> None:
    done = _run(TASK)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [f"ok\t{TASK}\tcompleted"]
    assert "1 task, 0 with problems" in done.stderr


def test_problems_stand_below_their_task_and_make_the_status_1(data_root: Path) -> None:
    publish(data_root, wandering(), task_id=OTHER)
    (Layout(data_root).task(OTHER) / "trades.parquet").unlink()
    done = _run("--all")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"ok\t{TASK}\tcompleted",
        f"BAD\t{OTHER}\tcompleted",
        "    trades.parquet: the file is gone",
    ]
    told = json.loads(_run("--all", "--json").stdout)
    assert [(one["task_id"], one["ok"], len(one["problems"])) for one in told] == [
        (TASK, True, 0), (OTHER, False, 1),
    ]  # fmt: skip


def test_all_goes_on_past_what_is_no_task_at_all(data_root: Path) -> None:
    odd = data_root / "tasks" / "my notes"
    odd.mkdir()
    (odd / "manifest.json").write_text("{}")
    done = _run("--all")
    assert done.exit_code == 1
    assert f"ok\t{TASK}\tcompleted" in done.stdout.splitlines()
    assert "BAD\tmy notes\tunknown" in done.stdout.splitlines()


@pytest.mark.parametrize("arguments", [[], [TASK, "--all"]])
def test_tasks_are_named_or_all_are_meant(data_root: Path, arguments: list[str]) -> None:
    assert isinstance(_run(*arguments).exception, RequestInvalid)


def test_a_rerun_on_the_same_candles_is_identical(data_root: Path) -> None:
    assert _again() == {"verdict": "identical", "details": []}
    assert _run(TASK, "--rerun").stdout.splitlines() == [f"ok\t{TASK}\tcompleted\tidentical"]


def test_candles_that_only_grew_are_cut_to_those_of_then(data_root: Path) -> None:
    store_candles(data_root, wandering(bars=230))
    again = _again()
    assert again["verdict"] == "candles changed since"  # the price path of 230 bars is another one
    longer = wandering()
    more = wandering(bars=30, start="2020-07-19")
    joined = Candles.from_frame(_frames(longer, more), symbol="ACME", timeframe="1d")
    store_candles(data_root, joined)
    assert _again() == {
        "verdict": "identical",
        "details": ["ACME: 30 rows have been added around those of then"],
    }


def _frames(*parts: Candles) -> Any:
    return pd.concat([part.to_frame() for part in parts])


def test_rows_that_are_missing_now_are_counted(data_root: Path) -> None:
    whole = wandering()
    kept = np.r_[0:50, 53:200]
    columns = {
        name: getattr(whole, name)[kept] for name in ("timestamp", "open", "high", "low", "close", "volume")
    }
    store_candles(data_root, Candles.from_arrays("ACME", "1d", columns))
    again = _again()
    assert again["verdict"] == "candles changed since"
    [detail] = again["details"]
    assert detail.startswith("ACME: had 200 rows from 2020-01-01")
    assert "has 197 from 2020-01-01" in detail
    assert detail.endswith("3 fewer rows within that range")


def test_a_corrected_candle_is_told_from_other_rows(data_root: Path) -> None:
    store_candles(data_root, _closes_moved_at(100))
    again = _again()
    assert again["verdict"] == "candles changed since"
    assert again["details"][0].endswith(
        "as many rows within that range, with other values or at other moments"
    )


def test_candles_that_are_gone_are_told(data_root: Path) -> None:
    (data_root / "ACME").rename(data_root / "gone")
    again = _again()
    assert again["verdict"] == "candles changed since"
    assert again["details"][0].startswith("ACME: the store has no 1d candles of ACME")


def _claimed(data_root: Path, candles: Candles, **environment: str) -> None:
    """A task whose numbers come of other candles than the stored ones that its manifest claims."""
    honest = publish(data_root, wandering())
    publish(data_root, candles)

    def claim(manifest: dict[str, Any]) -> None:
        manifest["candles"][0]["sha256"] = honest.candles[0].sha256
        manifest["environment"] |= environment

    rewrite(data_root, claim)


def test_other_code_is_named_with_the_first_cell_that_differs(data_root: Path) -> None:
    _claimed(data_root, wandering(seed=2), backtest_pipeline="0.0.9", code_sha256="0" * 64)
    again = _again()
    assert again["verdict"] == "code changed"
    versions, difference = again["details"]
    assert "backtest_pipeline 0.0.9 → " in versions
    assert "code_sha256 000000000000 → " in versions
    assert difference.startswith("signals.parquet, row 0, timestamp: was 2020-")
    assert ", is 2020-" in difference


def test_other_numbers_by_the_same_code_from_the_same_candles_are_an_alarm(data_root: Path) -> None:
    _claimed(data_root, _closes_moved_at(100), **_environment_now())
    again = _again()
    assert again["verdict"] == "not reproducible"
    assert again["details"][0].startswith("same candles, same code: ")


def _environment_now() -> dict[str, str]:
    libraries = {name: version(name) for name in ("numpy", "pandas", "pyarrow", "numba")}
    return {**libraries, "python": platform.python_version()}


def test_a_strategy_that_is_not_installed_here_cannot_be_run_again(data_root: Path) -> None:
    def rename(manifest: dict[str, Any]) -> None:
        manifest["strategy_id"] = manifest["request"]["strategy"] = "somebody_elses"
        manifest["request_digest"] = digest_of(manifest["request"])

    rewrite(data_root, rename)
    again = _again()
    assert again["verdict"] is None
    assert "cannot be run again: " in again["details"][0]
    assert "there is no 'somebody_elses'" in again["details"][0]


def test_a_damaged_task_is_not_run_again(data_root: Path) -> None:
    (Layout(data_root).task(TASK) / "trades.parquet").unlink()
    [told] = json.loads(_run(TASK, "--rerun", "--json").stdout)
    assert "rerun" not in told


def test_a_second_run_goes_by_the_calendar_of_then(data_root: Path) -> None:
    record = data_root / "ACME" / "symbol.json"
    record.write_text(SymbolRecord.of("XKRX").model_dump_json())
    assert _again() == {
        "verdict": "identical",
        "details": ["ACME: its recorded calendar was none, is XKRX; run by that of then"],
    }
    candles = replace(wandering(), record=SymbolRecord.of("XKRX"))
    manifest = publish(data_root, candles)
    assert manifest.metrics["periods_per_year"] == 252
    assert _again() == {"verdict": "identical", "details": []}
    record.unlink()
    assert _again()["details"] == ["ACME: its recorded calendar was XKRX, is none; run by that of then"]


STARTED = {"start": "2020-04-01", "params": {"fast": 3, "slow": 8}}
FIRST = 91
"""The place of the first bar of April."""


def test_a_second_run_sees_the_warm_up_of_the_first(data_root: Path) -> None:
    manifest = publish(data_root, wandering().slice(FIRST - 8, 200), request=STARTED)
    [seen] = manifest.candles
    assert (seen.rows, seen.warmup_rows) == (200 - FIRST, 8)
    assert _run(TASK).exit_code == 0
    assert _again()["verdict"] == "identical"


def test_a_warm_up_that_was_shorter_then_is_as_short_again(data_root: Path) -> None:
    store_candles(data_root, wandering().slice(FIRST - 5, 200))
    publish(data_root, wandering().slice(FIRST - 5, 200), request=STARTED)
    store_candles(data_root, wandering())  # which has more before
    assert _again()["verdict"] == "identical"


def test_candles_of_the_warm_up_that_have_changed_are_told(data_root: Path) -> None:
    publish(data_root, wandering().slice(FIRST - 8, 200), request=STARTED)
    store_candles(data_root, _closes_moved_at(FIRST - 9))  # before it
    assert _again()["verdict"] == "identical"
    store_candles(data_root, _closes_moved_at(FIRST - 8))
    again = _again()
    assert again["verdict"] == "candles changed since"
    assert "the 8 rows before it, which warm the strategy up, are others" in again["details"][0]


def test_a_task_from_before_there_was_a_warm_up_comes_out_the_same(data_root: Path) -> None:
    publish(data_root, wandering().slice(FIRST, 200), request={**STARTED, "warmup_bars": 0})

    def as_then(manifest: dict[str, Any]) -> None:
        del manifest["request"]["warmup_bars"]
        manifest["request_digest"] = digest_of(manifest["request"])
        for seen in manifest["candles"]:
            del seen["warmup_rows"], seen["warmup_sha256"]

    rewrite(data_root, as_then)
    assert _run(TASK).exit_code == 0
    assert _again()["verdict"] == "identical"
