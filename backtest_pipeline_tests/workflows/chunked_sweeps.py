"""Sweeps in worker processes, as the tests of their chunks run them; a script as well, to be killed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backtest_pipeline import BacktestRequest, FloatRange, IntRange, SweepRequest
from backtest_pipeline.compute.local_processes import LocalProcesses
from backtest_pipeline.results.sweep_parts import SweepParts
from backtest_pipeline.workflows.run_sweep import trial_runner
from backtest_pipeline.workflows.sweep_chunks import SweepWork, run_trials
from backtest_pipeline.workflows.sweep_files import SweepFiles, write_sweep
from backtest_pipeline.workflows.sweep_progress import SweepProgress
from backtest_pipeline.workflows.trial_tally import TrialTally
from backtest_pipeline_tests.research.made_candles import walk

CANDLES = {"A": walk("A", 260), "B": walk("B", 200, skip=0.2)}
SPACE: dict[str, Any] = {
    "params.fast": IntRange(2, 22, step=4),
    "params.slow": [10, 20, 40],
    "stop_loss_frac": [None, 0.05],
    "symbols": [["A"], ["A", "B"]],
}


def sweep_request(search: str = "grid", trials: int | None = None, **fields: Any) -> SweepRequest:
    """72 trials of a grid, some invalid, or as many as are asked for of another search."""
    space = SPACE | ({} if search == "grid" else {"fee_bps": FloatRange(0, 20)})
    backtest = BacktestRequest(strategy="sma_cross", symbols=["A"])
    given: dict[str, Any] = {"where": ["trades >= 2"], "keep_best": 3, **fields}
    return SweepRequest(backtest=backtest, space=space, search=search, trials=trials, **given)


def sweep_work(request: SweepRequest, folder: Path) -> SweepWork:
    """The work of a request, its parts below a folder."""
    return SweepWork(trial_runner(CANDLES, request), CANDLES, SweepParts(folder / "parts"))


def run_chunks(
    work: SweepWork,
    processes: int = 2,
    most_chunk_trials: int = 7,
    progress: Callable[[SweepProgress, LocalProcesses], None] = lambda *_: None,
) -> TrialTally:
    """Runs what is missing."""
    work.parts.folder.mkdir(parents=True, exist_ok=True)
    with LocalProcesses(processes, initializer=work.begin) as executor:
        return run_trials(
            work,
            executor,
            processes,
            lambda progressed: progress(progressed, executor),
            most_chunk_trials=most_chunk_trials,
        )


def written(work: SweepWork, tally: TrialTally, folder: Path) -> SweepFiles:
    """Writes the files into a new folder."""
    folder.mkdir(parents=True)
    return write_sweep(folder, work, tally)


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def digests_of(request: SweepRequest, folder: Path, processes: int = 2, most_chunk_trials: int = 7) -> Any:
    """Digests of what a request yields, begun afresh or from what is in the folder."""
    work = sweep_work(request, folder)
    written(work, run_chunks(work, processes, most_chunk_trials), folder / "out")
    return digests(folder / "out")


if __name__ == "__main__":  # one that says how far it is, until it is killed
    at, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
    running = sweep_work(sweep_request(asked["search"], asked["trials"]), at)
    run_chunks(running, progress=lambda progressed, _: print(progressed.done, flush=True))  # noqa: T201
