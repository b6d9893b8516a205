"""A sweep in chunks yields the same bytes whatever happens to its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from backtest_pipeline import (
    BacktestRequest,
    Candles,
    IntRange,
    Signals,
    Strategy,
    StrategyParams,
    SweepRequest,
    run_backtest,
    run_sweep,
)
from backtest_pipeline.compute.local_processes import MOST_TRIES, LocalProcesses
from backtest_pipeline.model.errors import TrialsFailed
from backtest_pipeline.results.sweep_parts import PartDamaged, SweepParts
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.strategies import registry
from backtest_pipeline.workflows.sweep_chunks import chunks_of, missing_spans
from backtest_pipeline.workflows.sweep_progress import SweepProgress
from backtest_pipeline_tests.workflows.chunked_sweeps import (
    CANDLES,
    digests,
    digests_of,
    run_chunks,
    sweep_request,
    sweep_work,
    written,
)

pytestmark = pytest.mark.slow

KILLED = [*(("grid", None, seed) for seed in range(8)), ("tpe", 120, 8), ("tpe", 120, 9)]
SEARCHES = [("grid", None), ("random", 90), ("sobol", 90), ("tpe", 120)]


@pytest.mark.parametrize(("search", "trials"), SEARCHES)
def test_neither_processes_nor_chunks_change_a_byte(search: str, trials: int | None, tmp_path: Path) -> None:
    request = sweep_request(search, trials)
    ways = [(1, 10_000), (2, 7), (5, 7), (2, 1)]
    found = [digests_of(request, tmp_path / str(way), *way) for way in ways]
    assert sorted(found[0]) == [
        "best/equity.parquet",
        "best/signals.parquet",
        "best/trades.parquet",
        "best_equity.parquet",
        "blocks.parquet",
        "trials.parquet",
        "trials_by_symbol.parquet",
    ]
    assert found == [found[0]] * len(ways)


def test_rows_are_those_of_a_sweep_in_memory(tmp_path: Path) -> None:
    request = sweep_request()
    work = sweep_work(request, tmp_path)
    tally = run_chunks(work)
    files = written(work, tally, tmp_path / "out")
    alone = run_sweep(CANDLES, request)
    stored = pq.read_table(tmp_path / "out" / "trials.parquet")
    assert stored.column("rank").to_pylist() == [
        None if pd.isna(one) else one for one in alone.trials["rank"]
    ]
    assert stored.column("sharpe").to_pylist() == [
        None if pd.isna(one) else one for one in alone.trials["sharpe"]
    ]
    assert tally.states.total() == 72
    assert tally.states["invalid"] == sum(alone.trials["state"] == "invalid") > 0
    assert tally.ranked == alone.trials["rank"].max()
    assert files.best is not None
    assert alone.best is not None
    assert files.best.metrics == alone.best.metrics
    assert [file.rows for file in files.files if file.name == "trials"] == [72]


def test_best_is_what_its_own_backtest_writes(tmp_path: Path) -> None:
    work = sweep_work(sweep_request(), tmp_path)
    files = written(work, run_chunks(work), tmp_path / "out")
    assert files.best is not None
    single = run_backtest(CANDLES, files.best.request)
    (tmp_path / "single").mkdir()
    TaskStore(tmp_path).write_tables(tmp_path / "single", single)
    assert digests(tmp_path / "single") == digests(tmp_path / "out" / "best")
    equity = pq.read_table(tmp_path / "out" / "best_equity.parquet").to_pandas()
    assert list(equity.columns)[:2] == ["timestamp", f"trial_{files.best_trial}"]
    assert len(equity.columns) == 4  # the moments, and three that are kept
    own = equity[["timestamp", f"trial_{files.best_trial}"]].dropna()
    assert own[f"trial_{files.best_trial}"].tolist() == single.equity["equity"].tolist()
    assert own["timestamp"].tolist() == single.equity["timestamp"].tolist()


@pytest.mark.parametrize(("search", "trials", "seed"), KILLED)
def test_killed_workers_change_no_byte(
    search: str, trials: int | None, seed: int, tmp_path: Path, whole: dict[str, Any]
) -> None:
    rng = np.random.default_rng(seed)
    work = sweep_work(sweep_request(search, trials), tmp_path)

    def kill_one(_: SweepProgress, executor: LocalProcesses) -> None:
        if rng.random() < 0.3 and (pids := _replaceable(executor)):
            os.kill(int(rng.choice(pids)), signal.SIGKILL)

    tally = run_chunks(work, progress=kill_one)
    written(work, tally, tmp_path / "out")
    assert digests(tmp_path / "out") == whole[search]


def _replaceable(executor: LocalProcesses) -> list[int]:
    """Workers at calls that are made again without them; after the third worker a call is given up.

    A new worker is forked for longer than the others need for their chunks, so chance does find one three
    times.
    """
    at_work = list(executor._workers.items())
    return [worker.pid for worker, call in at_work if call is not None and call.tries < MOST_TRIES - 1]


@pytest.mark.parametrize(("search", "trials", "seed"), KILLED)
def test_a_killed_parent_is_continued(
    search: str, trials: int | None, seed: int, tmp_path: Path, whole: dict[str, Any]
) -> None:
    total = trials or 72
    kill_at = int(np.random.default_rng(seed).integers(1, total))
    done = _run_until_killed(tmp_path, search, trials, kill_at)
    work = sweep_work(sweep_request(search, trials), tmp_path)
    seen: list[SweepProgress] = []
    tally = run_chunks(work, processes=3, most_chunk_trials=5, progress=lambda one, _: seen.append(one))
    assert seen[0].done == seen[0].resumed >= done > 0  # no chunk that was told of is run again
    written(work, tally, tmp_path / "out")
    assert digests(tmp_path / "out") == whole[search]


def _run_until_killed(folder: Path, search: str, trials: int | None, kill_at: int) -> int:
    """Runs a sweep in a process of its own and kills that once so many trials are done; returns how many."""
    command = [sys.executable, "-m", "backtest_pipeline_tests.workflows.chunked_sweeps"]
    asked = json.dumps({"search": search, "trials": trials})
    process = subprocess.Popen([*command, str(folder), asked], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= kill_at:
                return int(line)
        raise AssertionError(f"it ended by itself: {process.wait()}")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Digests of undisturbed sweeps in one process, by search."""
    return {
        search: digests_of(sweep_request(search, trials), tmp_path_factory.mktemp(search), 1, 10_000)
        for search, trials in [("grid", None), ("tpe", 120)]
    }


def test_an_exception_stops_it_and_what_is_done_stays(tmp_path: Path, whole: dict[str, Any]) -> None:
    work = sweep_work(sweep_request(), tmp_path)

    def cancel(progressed: SweepProgress, _: LocalProcesses) -> None:
        if progressed.done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_chunks(work, progress=cancel)
    done = 72 - sum(stop - first for first, stop in missing_spans(work.parts, 0, 72))
    assert 20 <= done < 72
    assert digests_of(sweep_request(), tmp_path) == whole["grid"]


@pytest.mark.parametrize("harm", ["cut", "other", "gone", "record"])
def test_damaged_parts_are_made_again(harm: str, tmp_path: Path, whole: dict[str, Any]) -> None:
    work = sweep_work(sweep_request(), tmp_path)
    run_chunks(work)
    name = chunks_of(work.parts)[3]
    table, record = (work.parts.folder / f"{name}{end}" for end in (".trials.parquet", ".json"))
    if harm == "cut":
        table.write_bytes(table.read_bytes()[:-9])
    elif harm == "other":
        table.write_bytes((work.parts.folder / f"{chunks_of(work.parts)[4]}.trials.parquet").read_bytes())
    elif harm == "gone":
        table.unlink()
    else:
        record.write_text("[")
    assert digests_of(sweep_request(), tmp_path) == whole["grid"]


def test_parts_that_go_before_files_are_written_are_missed(tmp_path: Path, whole: dict[str, Any]) -> None:
    work = sweep_work(sweep_request(), tmp_path)
    tally = run_chunks(work)
    for path in work.parts.folder.glob("*.json"):
        path.unlink()
    with pytest.raises(PartDamaged):
        written(work, tally, tmp_path / "first")
    assert digests_of(sweep_request(), tmp_path) == whole["grid"]


def test_a_chunk_that_cannot_be_written_fails_the_sweep_and_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = sweep_work(sweep_request(), tmp_path)
    monkeypatch.setattr(SweepParts, "_write", _no_space)
    with pytest.raises(OSError, match="No space left"):
        run_chunks(work)
    assert work.parts.names() == []


def _no_space(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_sweep_of_which_no_trial_ranks_has_no_best(tmp_path: Path) -> None:
    work = sweep_work(sweep_request(where=["trades >= 1000000"]), tmp_path)
    files = written(work, run_chunks(work), tmp_path / "out")
    assert files.best is None
    assert sorted(file.name for file in files.files) == ["blocks", "trials", "trials_by_symbol"]


class Broken(Strategy):
    """Raises where it is told to."""

    name = "broken"

    class Params(StrategyParams):
        """From which number on."""

        number: int = 0

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        if params.number > 2:
            raise ValueError(f"it broke at {params.number}")
        return Signals(entry=np.ones(len(candles), dtype=bool), exit=np.zeros(len(candles), dtype=bool))


@pytest.mark.parametrize("first", [0, 3])
def test_a_sweep_fails_where_every_trial_does(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_by_hand", {"broken": Broken})
    backtest = BacktestRequest(strategy="broken", symbols=["A"])
    request = SweepRequest(backtest=backtest, space={"params.number": IntRange(first, 9)})
    work = sweep_work(request, tmp_path)
    if first == 0:  # some do not
        assert run_chunks(work, most_chunk_trials=2).states == {"completed": 3, "failed": 7, "invalid": 0}
        return
    with pytest.raises(TrialsFailed, match=r"all 7 .* the first of them trial 0: .*it broke at 3"):
        run_chunks(work, most_chunk_trials=2)
