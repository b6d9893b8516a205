"""A walk-forward in chunks yields the same bytes whatever happens to its processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest, WalkForwardRequest, run_walk_forward
from backtest_pipeline.compute.local_processes import LocalProcesses
from backtest_pipeline.research.fold_plan import fold_plan
from backtest_pipeline.results.sweep_parts import PartDamaged, SweepParts
from backtest_pipeline.results.sweep_tables import frame_of
from backtest_pipeline.strategies.sweep_resolution import resolve_walk_forward
from backtest_pipeline.workflows.sweep_progress import SweepProgress
from backtest_pipeline.workflows.walk_forward_chunks import TrainingTally, WalkForwardWork, run_trainings
from backtest_pipeline.workflows.walk_forward_files import WalkForwardFiles, write_walk_forward
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.workflows.chunked_sweeps import digests

pytestmark = pytest.mark.slow

CANDLES = {"A": walk("A", 420, seed=2)}
WAYS: dict[str, dict[str, Any]] = {
    "walking": {"train": 150, "test": 60},
    "tpe": {"train": 200, "test": 110, "search": "tpe", "trials": 40},
    "crossing": {"cross_validation": "purged", "folds": 4, "test_folds": 2, "purge_bars": 2},
}


def _request(way: str) -> WalkForwardRequest:
    fields = dict(WAYS[way])
    search = {name: fields.pop(name) for name in ("search", "trials") if name in fields}
    sweep = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["A"], direction="both"),
        space={"params.fast": IntRange(2, 22, step=4), "params.slow": [10, 20, 40]},
        **search,
    )
    return resolve_walk_forward(WalkForwardRequest(sweep=sweep, **fields))


def _work(way: str, folder: Path) -> WalkForwardWork:
    return WalkForwardWork(fold_plan(CANDLES, _request(way)), CANDLES, SweepParts(folder / "parts"))


def _run(work: WalkForwardWork, processes: int = 2, progress: Any = lambda _: None) -> TrainingTally:
    with LocalProcesses(processes, initializer=work.begin) as executor:
        return run_trainings(work, executor, processes, progress, most_chunk_trials=5)


def _written(work: WalkForwardWork, tally: TrainingTally, folder: Path) -> WalkForwardFiles:
    folder.mkdir(parents=True)
    return write_walk_forward(folder, work, tally)


@pytest.mark.parametrize("way", WAYS)
def test_files_are_what_a_walk_in_memory_yields_whatever_the_processes(way: str, tmp_path: Path) -> None:
    found = []
    for processes in (1, 3):
        work = _work(way, tmp_path / str(processes))
        _written(work, _run(work, processes), tmp_path / str(processes) / "out")
        found.append(digests(tmp_path / str(processes) / "out"))
    assert found[0] == found[1]
    names = ["equity", "folds", "signals", "trades", "trials", *(["paths"] if way == "crossing" else [])]
    assert sorted(found[0]) == sorted(f"{name}.parquet" for name in names)
    alone = run_walk_forward(CANDLES, _request(way))
    out = tmp_path / "1" / "out"
    for name in ("folds", "trials"):
        stored = frame_of(_table(out, name))
        pd.testing.assert_frame_equal(stored, getattr(alone, name), check_exact=True, check_dtype=False)
    for name in ("equity", "trades"):
        stored = _table(out, name).to_pandas()
        pd.testing.assert_frame_equal(stored, getattr(alone, name), check_exact=True, check_dtype=False)
    if alone.paths is not None:
        pd.testing.assert_frame_equal(_table(out, "paths").to_pandas(), alone.paths, check_exact=True)


def _table(folder: Path, name: str) -> Any:
    return pq.read_table(folder / f"{name}.parquet")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stopped_at", [1, 6])
def test_what_was_interrupted_goes_on_where_it_was(way: str, stopped_at: int, tmp_path: Path) -> None:
    whole = _work(way, tmp_path / "whole")
    _written(whole, _run(whole), tmp_path / "whole" / "out")
    calls = 0

    def stop(now: SweepProgress) -> None:
        nonlocal calls
        calls += now.done > now.resumed
        if calls == stopped_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(_work(way, tmp_path / "again"), progress=stop)
    told: list[SweepProgress] = []
    work = _work(way, tmp_path / "again")
    _written(work, _run(work, progress=told.append), tmp_path / "again" / "out")
    assert told[0].resumed == told[-1].resumed > 0, "what is held of later trainings is told from the first"
    assert told[-1].done == told[-1].trials == _request(way).sweep.planned_trials * len(work.trainings)
    assert [now.done for now in told] == sorted(now.done for now in told)
    assert digests(tmp_path / "again" / "out") == digests(tmp_path / "whole" / "out")


def test_a_part_that_is_damaged_is_told_and_made_again(tmp_path: Path) -> None:
    work = _work("walking", tmp_path)
    tally = _run(work)
    _written(work, tally, tmp_path / "out")
    torn = min((tmp_path / "parts" / "0002").glob("*.trials.parquet"))
    torn.write_bytes(torn.read_bytes()[:-9])
    with pytest.raises(PartDamaged):
        _written(work, tally, tmp_path / "torn")
    again = _work("walking", tmp_path)
    _written(again, _run(again), tmp_path / "again")
    assert digests(tmp_path / "again") == digests(tmp_path / "out")
