"""Results of shared accounts, kept by hand: stored, read back, and verified number against number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import BacktestResult, Candles
from backtest_pipeline.results.archive import export_task, import_archive
from backtest_pipeline.results.position_reconciliation import replay_problems
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.bookkeeping import Fill, kept_by_hand
from backtest_pipeline_tests.results.published import TASK, forge, manifest_of, rewrite, wandering

OPENS: dict[str, Sequence[float]] = {"A": (100, 100, 110, 120, 120, 120), "B": (50, 50, 50, 40, 30, 30)}
"""Every bar of these closes where the next one opens, the last at its own open."""


def _candles() -> dict[str, Candles]:
    found = {}
    for symbol, opens in OPENS.items():
        closes = [*opens[1:], opens[-1]]
        prices = {
            "open": opens,
            "high": np.maximum(opens, closes),
            "low": np.minimum(opens, closes),
            "close": closes,
        }
        times = pd.date_range("2024-01-01", periods=len(opens), tz="UTC", unit="us")
        frame = pd.DataFrame({"timestamp": times, **prices, "volume": 1.0}).astype(
            dict.fromkeys(prices, float)
        )
        found[symbol] = Candles.from_frame(frame, symbol=symbol, timeframe="1d")
    return found


def _published(data_root: Path, result: BacktestResult, candles: dict[str, Candles]) -> list[str]:
    """Publishes a result and returns what is found to be wrong with it."""
    store = TaskStore(data_root)
    with store.staging(TASK) as staged:
        files = store.write_tables(staged, result)
        store.publish(manifest_of(result, [*candles.values()], result_files=files), staged)
    return verify_task(Layout(data_root), TASK).problems


TWO_POSITIONS = [Fill(1, "A", 5.0), Fill(1, "B", 10.0), Fill(3, "B", -10.0), Fill(4, "A", -5.0)]
"""500 and 500 of 1 000; B is sold at 40 for 400, A at 120 for 600: 1 000 again."""
BUILT_UP = [Fill(1, "A", 2.0), Fill(2, "A", 2.0), Fill(3, "A", -1.0), Fill(4, "A", -3.0)]
"""2 at 100 and 2 at 110 make 4 at 105; 1 leaves at 120 with 15, and 3 leave at 120 with 45."""
BORROWED = [
    Fill(1, "A", 15.0),
    Fill(1, "B", -10.0),
    Fill(3, "B", 10.0, paid=2.0),
    Fill(4, "A", -15.0, paid=-3.0),
]
"""1 500 of A and 500 of B short, of 1 000: 2 000 of gross exposure at an equity of 1 000."""
OPTIONS: dict[str, tuple[list[Fill], dict[str, Any]]] = {
    "two positions": (TWO_POSITIONS, {}),
    "with fees": ([Fill(1, "A", 4.0), Fill(3, "A", -4.0)], {"fee_bps": 100.0}),
    "built up and closed in part": (BUILT_UP, {}),
    "built up with fees": (BUILT_UP, {"fee_bps": 50.0, "max_entries": 3}),
    "borrowed, with funding": (
        BORROWED,
        {"direction": "both", "leverage": 2.0, "maintenance_margin_frac": 0.1, "funding": True},
    ),
    "still open": ([Fill(2, "B", 10.0)], {}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_account_kept_by_hand_adds_up(name: str, tmp_path: Path) -> None:
    fills, fields = OPTIONS[name]
    assert _published(tmp_path, kept_by_hand(_candles(), fills, **fields), _candles()) == []


def test_the_books_are_those_of_the_paper() -> None:
    """2 * 100 + 2 * 110 = 420 are spent; 1 * 120 and 3 * 120 come back: 60 of profit, 15 and 45."""
    result = kept_by_hand(_candles(), BUILT_UP)
    assert result.trades["pnl"].tolist() == [15.0, 45.0]
    assert result.trades["entry_price"].tolist() == [105.0, 105.0]
    assert result.metrics["final_equity"] == 1_060.0
    assert result.equity["cash"].tolist() == [1_000.0, 800.0, 580.0, 700.0, 1_060.0, 1_060.0]
    assert result.positions is not None
    assert result.positions["quantity"].tolist() == [2.0, 4.0, 3.0, 0.0]
    assert result.positions["value"].tolist() == [200.0, 440.0, 360.0, 0.0]
    assert result.positions["weight"].tolist() == pytest.approx([0.2, 440 / 1_020, 360 / 1_060, 0.0])


def test_positions_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    result = kept_by_hand(_candles(), TWO_POSITIONS)
    _published(tmp_path, result, _candles())
    read = TaskStore(tmp_path).result(TASK)
    assert read.positions is not None
    assert result.positions is not None
    pd.testing.assert_frame_equal(read.positions, result.positions)
    assert [file.name for file in TaskStore(tmp_path).manifest(TASK).result_files] == [
        "signals",
        "trades",
        "equity",
        "positions",
    ]


def test_positions_go_into_an_archive_and_come_out_of_it(tmp_path: Path) -> None:
    _published(tmp_path / "here", kept_by_hand(_candles(), TWO_POSITIONS), _candles())
    export_task(Layout(tmp_path / "here"), TASK, tmp_path / "task.tar.zst")
    import_archive(Layout(tmp_path / "there"), tmp_path / "task.tar.zst")
    was, now = (TaskStore(tmp_path / place).result(TASK).positions for place in ("here", "there"))
    assert was is not None
    assert now is not None
    pd.testing.assert_frame_equal(now, was)
    assert verify_task(Layout(tmp_path / "there"), TASK).problems == []


def _changed(column: str, row: int, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, column] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("positions", _changed("quantity", 0, 6.0), "A at 2024-01-02T00:00:00.000000: 6.0 are held"),
        ("positions", _changed("value", 0, -500.0), "differ in sign"),
        ("positions", _changed("weight", 0, np.nan), "no finite number"),
        ("positions", _changed("symbol", 0, "C"), "C was not asked for"),  # type: ignore[arg-type]  # any value
        ("positions", lambda frame: frame.iloc[::-1], "rows are not in order"),
        ("positions", lambda frame: frame.iloc[:-1], "has 3 rows, the manifest says 4"),
        ("equity", _changed("cash", 2, -1.0), "without leverage"),
        ("trades", _changed("quantity", 0, 4.0), "positions.parquet: A at"),
    ],
)
def test_what_was_forged_is_found(
    table: str, change: Callable[[pd.DataFrame], pd.DataFrame], said: str, tmp_path: Path
) -> None:
    assert _published(tmp_path, kept_by_hand(_candles(), TWO_POSITIONS), _candles()) == []
    forge(tmp_path, table, change)
    assert any(said in problem for problem in verify_task(Layout(tmp_path), TASK).problems)


def test_a_shared_account_without_positions_is_found(tmp_path: Path) -> None:
    without = replace(kept_by_hand(_candles(), TWO_POSITIONS), positions=None)
    assert "positions.parquet: is not listed, and a shared account has one" in _published(
        tmp_path, without, _candles()
    )


def test_positions_beside_an_account_a_symbol_are_found(tmp_path: Path) -> None:
    result = kept_by_hand({"A": _candles()["A"]}, [Fill(1, "A", 5.0)], account="split")
    assert _published(tmp_path, result, {"A": _candles()["A"]}) == [
        "positions.parquet: is of no shared account"
    ]


def test_what_symbols_contribute_adds_up_to_the_return_of_the_account(tmp_path: Path) -> None:
    """A gains 5 * 20 = 100 and B loses 10 * 10 = 100, of 1 000 each: 10 % and -10 %."""
    result = kept_by_hand(_candles(), TWO_POSITIONS)
    assert {symbol: own["total_return"] for symbol, own in result.by_symbol.items()} == {"A": 0.1, "B": -0.1}
    _published(tmp_path, result, _candles())
    rewrite(
        tmp_path, lambda manifest: manifest["by_symbol"]["A"].update(total_return=0.2, final_equity=600.0)
    )
    problems = verify_task(Layout(tmp_path), TASK).problems
    assert "manifest.json: by_symbol.A.final_equity is 600.0, the tables make it 1100.0" in problems


def test_the_cash_of_a_position_built_in_parts_is_known_before_and_after_it(tmp_path: Path) -> None:
    result = kept_by_hand(_candles(), BUILT_UP)
    _published(tmp_path, result, _candles())
    forge(tmp_path, "equity", _changed("cash", 5, 1_059.0))
    assert any("the trades make it 1060.0" in one for one in verify_task(Layout(tmp_path), TASK).problems)


@pytest.mark.parametrize("name", OPTIONS)
def test_positions_at_the_closes_and_cash_are_the_equity(name: str) -> None:
    fills, fields = OPTIONS[name]
    result = kept_by_hand(_candles(), fills, **fields)
    assert result.positions is not None
    closes = {symbol: own.close for symbol, own in _candles().items()}
    assert replay_problems(result.request, result.positions, result.equity, closes) == []
    closes = {symbol: own.close * 1.001 for symbol, own in _candles().items()}
    [equity, gross] = replay_problems(result.request, result.positions, result.equity, closes)
    assert equity.startswith("positions.parquet: equity at 2024-01-0")
    assert gross.startswith("positions.parquet: exposure_frac times equity at 2024-01-0")


def test_exits_within_finer_candles_count_to_their_bar(tmp_path: Path) -> None:
    """Sold at 40 on the third day at 15:00, as a stop there would be, and not at that day's open."""
    result = kept_by_hand(_candles(), [Fill(1, "B", 10.0), Fill(3, "B", -10.0)], detail_timeframe="1h")
    later = result.trades["exit_time"] + pd.Timedelta(hours=15)
    inside = replace(result, trades=result.trades.assign(exit_time=later))
    assert _published(tmp_path, inside, _candles()) == []


def test_many_random_fills_add_up(tmp_path: Path) -> None:
    chance = np.random.default_rng(7)
    candles = {name: wandering(name, 60, seed=place) for place, name in enumerate(("A", "B", "C"))}
    fills, held = [], dict.fromkeys(candles, 0.0)
    for bar in range(1, 60):
        for symbol in candles:
            if chance.random() < 0.3:
                quantity = (
                    -held[symbol] if held[symbol] and chance.random() < 0.5 else chance.uniform(0.1, 1.0)
                )
                held[symbol] += quantity
                held[symbol] = 0.0 if abs(held[symbol]) < 1e-12 else held[symbol]
                fills.append(Fill(bar, symbol, quantity))
    fields = {"leverage": 100.0, "maintenance_margin_frac": 0.001, "fee_bps": 20.0}
    assert _published(tmp_path, kept_by_hand(candles, fills, **fields), candles) == []
