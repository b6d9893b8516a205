"""What verification finds: bytes that changed, and numbers that do not add up though the bytes are signed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backtest_pipeline import BacktestRequest, BacktestResult, Candles
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import TaskUnknown
from backtest_pipeline.model.request_model import digest_of
from backtest_pipeline.model.result import Metrics
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import (
    OTHER,
    TASK,
    forge,
    manifest_of,
    publish,
    rewrite,
    sign,
    wandering,
)


def _problems(data_root: Path) -> list[str]:
    return verify_task(Layout(data_root), TASK).problems


def _by_hand(data_root: Path, **changes: float | None) -> None:
    """Three bars and one trade, worked out on paper, no engine involved.

    1 000 of cash buy 8 at 120 with a fee of 10 bps and 1 fixed: 960 + 0.96 + 1 = 961.96, which leaves 38.04.
    Marked at a close of 110: 38.04 + 8 * 110 = 918.04. Sold at 130: 8 * 130 = 1 040 less 1.04 + 1, which
    makes 1 076. So pnl = 8 * 10 - 1.96 - 2.04 = 76, 76 / 960 of the notional.
    """
    moments = pd.date_range("2024-01-01", periods=3, tz="UTC", unit="us")
    candles = Candles.from_frame(
        pd.DataFrame(
            {"timestamp": moments, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
        ),
        symbol="ACME",
        timeframe="1d",
    )
    trades = pd.DataFrame(
        {
            "symbol": ["ACME"],
            "side": "long",
            "quantity": 8.0,
            "entry_time": moments[1],
            "entry_price": 120.0,
            "exit_time": moments[2],
            "exit_price": 130.0,
            "fees": 4.0,
            "slippage_cost": 0.0,
            "pnl": 76.0,
            "return_frac": 76 / 960,
            "bars_held": 1,
            "exit_reason": "signal",
            "mae_frac": 0.0,
            "mfe_frac": 0.1,
        }
    )
    equity = pd.DataFrame(
        {
            "timestamp": moments,
            "equity": [1_000.0, 918.04, 1_076.0],
            "cash": [1_000.0, 38.04, 1_076.0],
            "exposure_frac": [0.0, 880 / 918.04, 0.0],
            "drawdown_frac": [0.0, 81.96 / 1_000, 0.0],
        }
    )
    signals = pd.DataFrame(
        {
            "symbol": ["ACME"],
            "timestamp": moments[0],
            "side": "long",
            "price": 100.0,
            "confidence": 1.0,
            "exit_timestamp": moments[1],
            "exit_price": 110.0,
            "return_frac": 0.1,
            "complete": True,
        }
    )
    metrics: Metrics = {
        "total_return": 0.076,
        "final_equity": 1_076.0,
        "peak_equity": 1_076.0,
        "max_drawdown": 0.08196,
        "exposure": 1 / 3,
        "trades": 1.0,
        "win_rate": 1.0,
        "fees_paid": 4.0,
        "signals": 1.0,
    }
    request = BacktestRequest(strategy="x", symbols=["ACME"], initial_cash=1_000, fee_bps=10, fee_fixed=1)
    result = BacktestResult(signals, trades, equity, metrics | changes, {"ACME": metrics}, request)
    store = TaskStore(data_root)
    with store.staging(TASK) as staged:
        files = store.write_tables(staged, result)
        store.publish(manifest_of(result, [candles], result_files=files), staged)


def test_an_account_worked_out_on_paper_adds_up(tmp_path: Path) -> None:
    _by_hand(tmp_path)
    assert _problems(tmp_path) == []


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("total_return", 0.0760001),
        ("final_equity", 1_075.0),
        ("peak_equity", 1_000.0),
        ("max_drawdown", 0.08),
        ("exposure", 0.5),
        ("trades", 2.0),
        ("win_rate", 0.0),
        ("fees_paid", 3.0),
        ("signals", 0.0),
        ("sharpe", None),
    ],
)
def test_a_metric_that_the_tables_do_not_make_is_named(tmp_path: Path, metric: str, told: float) -> None:
    _by_hand(tmp_path, **{metric: told})
    found = _problems(tmp_path)
    if metric == "sharpe":  # not computed again here
        assert found == []
    else:
        [problem] = found
        assert problem.startswith(f"manifest.json: metrics.{metric} is {told!r}, the tables make it ")


@pytest.mark.parametrize("seed", range(24))
def test_whatever_the_engine_yields_adds_up(tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)

    def one_of(*choices: Any) -> Any:
        return choices[chance.integers(len(choices))]

    candles = [
        wandering(
            f"S{number}", int(one_of(3, 60, 400)), seed=100 * seed + number, start=f"2020-01-{number + 1:02}"
        )
        for number in range(one_of(1, 1, 3))
    ]
    publish(
        tmp_path,
        *candles,
        request={
            "strategy": one_of("sma_cross", "rsi_reversion", "momentum", "volume_zone_breakout"),
            "params": {},
            "direction": one_of("long", "short", "both"),
            "fill": one_of("next_open", "close"),
            "fee_bps": one_of(0, 25),
            "fee_fixed": one_of(0, 1),
            "slippage_bps": one_of(0, 30),
            "position_frac": one_of(1, 0.5),
            "quantity_step": one_of(0, 1),
            "stop_loss_frac": one_of(None, 0.05),
            "take_profit_frac": one_of(None, 0.1),
            "max_hold_bars": one_of(None, 4),
        },
    )
    assert _problems(tmp_path) == []


Change = Callable[[pd.DataFrame], pd.DataFrame]


def _more(column: str, row: int, by: float) -> Change:
    """Adds to one cell."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].to_numpy(copy=True)
        values[row] += by
        return frame.assign(**{column: values})

    return change


def _all(column: str, value: Any) -> Change:
    return lambda frame: frame.assign(**{column: value})


@pytest.mark.parametrize(
    ("table", "change", "says"),
    [
        ("trades", _more("pnl", 0, 0.001), "row 0: pnl is "),
        ("trades", _more("return_frac", 1, 0.001), "row 1: return_frac is "),
        ("trades", _more("fees", 0, 0.001), "row 0: pnl is "),
        ("trades", _all("entry_price", -1.0), "a quantity or an entry price is not positive"),
        ("trades", _all("pnl", math.nan), "pnl holds a value that is no finite number"),
        ("trades", _all("exit_time", pd.NaT), "a trade has no exit, or one before its entry"),
        ("equity", _more("cash", 50, 0.001), "equity.parquet: cash at 2020-02-20"),
        ("equity", _more("equity", 199, 0.001), "equity.parquet: ends at "),
        (
            "equity",
            _more("equity", 50, 0.001),
            "at 2020-02-20T00:00:00.000000 equity is not cash and positions",
        ),
        ("equity", _more("drawdown_frac", 199, 0.001), "drawdown_frac at 2020-07-18"),
        ("equity", _all("exposure_frac", 0.0), "exposure_frac is not that of the open trades"),
        ("equity", _all("equity", math.inf), "equity holds a value that is no finite number"),
        ("equity", lambda frame: frame.iloc[::-1], "bars are not in order"),
        ("equity", lambda frame: frame.iloc[:-1], "has 199 rows, the manifest says 200"),
        ("signals", _all("symbol", "IBM"), "signals.parquet: IBM was not asked for"),
    ],
)
def test_a_forged_and_newly_signed_table_does_not_add_up(
    tmp_path: Path, table: str, change: Change, says: str
) -> None:
    publish(tmp_path, wandering(), request={"position_frac": 0.5})
    assert _problems(tmp_path) == []
    forge(tmp_path, table, change)
    assert any(says in problem for problem in _problems(tmp_path))


def test_a_trade_that_was_left_out_is_missed(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    forge(tmp_path, "trades", lambda frame: frame.drop(index=3))

    def recount(manifest: dict[str, Any]) -> None:
        manifest["result_files"][1]["rows"] -= 1
        manifest["summary"]["total_trades"] -= 1

    rewrite(tmp_path, recount)
    found = " ".join(_problems(tmp_path))
    assert "cash at" in found
    assert "metrics.trades is" in found
    assert "initial cash and the pnl of all trades make it" in found


@pytest.mark.parametrize("size_change", [-1, 0, 1])
def test_one_changed_lost_or_added_byte_is_found(tmp_path: Path, size_change: int) -> None:
    publish(tmp_path, wandering())
    path = Layout(tmp_path).task(TASK) / "trades.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content)[: len(content) + min(size_change, 0)] + b"x" * max(size_change, 0))
    [problem] = _problems(tmp_path)
    assert problem.startswith("trades.parquet: has " if size_change else "trades.parquet: the bytes differ")


def test_files_that_are_gone_links_or_unlisted_are_named(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    folder = Layout(tmp_path).task(TASK)
    (folder / "equity.parquet").unlink()
    (folder / "trades.parquet").rename(tmp_path / "elsewhere")
    (folder / "trades.parquet").symlink_to(tmp_path / "elsewhere")
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden").write_text("the pipeline's own")
    assert _problems(tmp_path) == [
        "trades.parquet: this is no regular file",
        "equity.parquet: the file is gone",
        "notes.txt: the manifest does not list it",
    ]


def test_other_columns_or_types_are_named(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    folder = Layout(tmp_path).task(TASK)
    equity = pq.read_table(folder / "equity.parquet")
    without_cash = [name for name in equity.column_names if name != "cash"]
    pq.write_table(equity.select(without_cash), folder / "equity.parquet")
    trades = pq.read_table(folder / "trades.parquet")
    at = trades.column_names.index("bars_held")
    as_text = trades.column("bars_held").cast(pa.string())
    pq.write_table(trades.set_column(at, "bars_held", as_text), folder / "trades.parquet")
    for table in ("equity", "trades"):
        sign(tmp_path, table)
    assert _problems(tmp_path) == [
        "trades.parquet: column bars_held is string, not int64",
        f"equity.parquet: has the columns {', '.join(without_cash)}, not {', '.join(equity.column_names)}",
    ]


def test_a_signed_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    (Layout(tmp_path).task(TASK) / "signals.parquet").write_bytes(b"PAR1 but not really PAR1")
    sign(tmp_path, "signals")
    [problem] = _problems(tmp_path)
    assert problem.startswith("signals.parquet: this is no readable Parquet file: ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda of: of.update(task_id=OTHER), f"this is the manifest of task {OTHER}"),
        (lambda of: of["request"].update(initial_cash=5.0), "request_digest is not the digest of request"),
        (lambda of: of.update(symbols=["IBM"]), "symbols differs from the request's"),
        (lambda of: of.update(strategy_id="momentum"), "strategy_id differs from the request's"),
        (lambda of: of.update(attempt=2), "run_ids are not this task's attempts"),
        (lambda of: of["result_files"].append(of["result_files"][0]), "a file is listed twice"),
        (lambda of: of["result_files"].pop(), "equity is not listed"),
        (
            lambda of: of["result_files"][0].update(path="../x"),
            "this is no name of a file in the task's folder",
        ),
        (lambda of: of.pop("metrics"), "not of schema version 1: metrics: Field required"),
        (lambda of: of.update(schema_version=2), "not of schema version 1: schema_version: "),
        (lambda of: of.update(surprise=1), "not of schema version 1: surprise: "),
        (lambda of: of["summary"].update(total_trades=0), "summary.total_trades is 0, the table has "),
        (
            lambda of: of["by_symbol"]["ACME"].update(trades=0),
            "by_symbol.ACME.trades is 0.0, the tables make it",
        ),
        (lambda of: of.update(by_symbol={}), "by_symbol has other symbols than the request"),
        (lambda of: of["candles"][0].update(rows=300), "200 bars cannot come of candles of 300 rows"),
        (lambda of: of["candles"][0].update(last="2021-01-01T00:00:00Z"), "bars from 2020-01-01"),
        (lambda of: of.update(candles=[]), "candles are not those of symbols"),
        (lambda of: of.update(status="failed"), "status is failed, error is None"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_told(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    publish(tmp_path, wandering())
    rewrite(tmp_path, change)
    assert any(says in problem for problem in _problems(tmp_path)), _problems(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", json.dumps({"schema_version": 1}).encode()]
)
def test_a_manifest_that_cannot_be_read_is_a_problem_like_any_other(tmp_path: Path, content: bytes) -> None:
    publish(tmp_path, wandering())
    Layout(tmp_path).manifest(TASK).write_bytes(content)
    found = verify_task(Layout(tmp_path), TASK)
    assert found.status is None
    assert found.problems[0].startswith("manifest.json: not of schema version 1: ")


def test_a_folder_without_a_manifest_is_not_there_yet(tmp_path: Path) -> None:
    [problem] = verify_task(Layout(tmp_path), TASK).problems
    assert "nothing has been published" in problem
    with pytest.raises(TaskUnknown):
        verify_task(Layout(tmp_path), "../etc")


def test_a_failed_task_has_a_sound_manifest_and_no_tables(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    for name in ("signals", "trades", "equity"):
        (Layout(tmp_path).task(TASK) / f"{name}.parquet").unlink()

    def fail(manifest: dict[str, Any]) -> None:
        error = {"type": "OSError", "message": "disk full", "retryable": True, "stage": "writing"}
        manifest |= {"status": "failed", "result_files": [], "metrics": {}, "by_symbol": {}, "error": error}

    rewrite(tmp_path, fail)
    found = verify_task(Layout(tmp_path), TASK)
    assert (found.ok, found.status) == (True, "failed")


def test_the_same_request_run_twice_leaves_the_same_bytes(tmp_path: Path) -> None:
    """Two tasks, two data roots, two computations: signals, trades and equity agree to the last byte."""
    request = {"direction": "both", "stop_loss_frac": 0.05, "seed": 7}
    contents = []
    for number, task_id in enumerate((TASK, OTHER)):
        root = tmp_path / str(number)
        manifest = publish(root, wandering("A"), wandering("B", seed=2), task_id=task_id, request=request)
        folder = Layout(root).task(task_id)
        contents.append({file.name: (folder / file.path).read_bytes() for file in manifest.result_files})
    assert contents[0].keys() == {"signals", "trades", "equity"}
    assert contents[0] == contents[1]


def _share_and_coin() -> tuple[Candles, Candles]:
    """A coin that opens at midnight in UTC, and a share that opens at midnight in New York on workdays."""
    coin, every_day = wandering("COIN"), wandering("SHARE", seed=2)
    days = pd.date_range("2020-01-01", periods=200, tz="America/New_York").tz_convert("UTC")
    opens = days.tz_localize(None).to_numpy().astype("datetime64[us]")
    workdays = days.tz_convert("America/New_York").day_of_week < 5
    share = {name: getattr(every_day, name)[workdays] for name in CANDLE_COLUMNS}
    return coin, Candles.from_arrays("SHARE", "1d", {**share, "timestamp": opens[workdays]})


def test_an_account_of_symbols_that_open_at_different_hours_adds_up(tmp_path: Path) -> None:
    manifest = publish(tmp_path, *_share_and_coin())
    equity = next(file for file in manifest.result_files if file.name == "equity")
    assert equity.rows == 200
    assert manifest.summary.total_trades > 20
    assert _problems(tmp_path) == []


def test_a_row_of_another_day_is_found_in_a_joint_account(tmp_path: Path) -> None:
    publish(tmp_path, *_share_and_coin())
    day = pd.Timedelta(days=1)
    forge(tmp_path, "equity", lambda table: table.assign(timestamp=table["timestamp"] + day))
    assert any("bars from" in problem for problem in _problems(tmp_path))


def test_a_cagr_that_counts_other_years_is_found(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    rewrite(tmp_path, lambda manifest: manifest["metrics"].update(cagr=manifest["metrics"]["cagr"] + 0.01))
    [problem] = _problems(tmp_path)
    assert "metrics.cagr" in problem


def test_a_manifest_from_before_calendars_were_recorded_is_read_and_verified(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    cagr = 0.123  # by bars, as it was then

    def of_then(manifest: dict[str, Any]) -> None:
        del manifest["calendars"], manifest["request"]["calendar"]
        manifest["request_digest"] = digest_of(manifest["request"])
        manifest["metrics"]["cagr"] = cagr

    rewrite(tmp_path, of_then)
    assert _problems(tmp_path) == []
    assert TaskStore(tmp_path).result(TASK).calendars is None
