"""Runs the trials of a sweep in worker processes, a chunk at a time, and keeps each chunk that is done.

What is done already, by whomever, is not done again. So a sweep that was interrupted goes on where it was.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from backtest_pipeline.research.search.kinds import Search, batch_end, search_of
from backtest_pipeline.research.trial_market import CandlesByTimeframe
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.results.sweep_parts import PartDamaged, SweepParts
from backtest_pipeline.workflows.chunk_size import ChunkSize
from backtest_pipeline.workflows.execution_data import ExecutionData
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline.workflows.sweep_progress import SweepProgress
from backtest_pipeline.workflows.trial_pool import chunk_trials
from backtest_pipeline.workflows.trial_tally import TrialTally, facts_of

if TYPE_CHECKING:
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.research.space import Points
    from backtest_pipeline.research.trial_market import CandlesGiven
    from backtest_pipeline.research.trials import TrialRunner

    Span = tuple[int, int]

TRIALS, BY_SYMBOL, BLOCKS, EQUITY = "trials", "trials_by_symbol", "blocks", "equity"
_CHUNK = re.compile(r"(\d{8})-(\d{8})")
_WAITING_PER_PROCESS = 2

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, eq=False)
class SweepWork:
    """What each process that works on a sweep has to know; forked and never pickled.

    Attributes:
        runner: runs trials; its request is the sweep, resolved.
        candles: what it runs them on.
        parts: where finished chunks lie.
        timezone: what a `start` or `end` without a zone means.
        data: finer candles and funding rates.
    """

    runner: TrialRunner
    candles: CandlesGiven
    parts: SweepParts
    timezone: str = "UTC"
    data: ExecutionData = field(default_factory=ExecutionData)

    def begin(self) -> None:
        """Makes this the work of this process."""
        begin_all([self])

    def request_of(self, trial: int, chunk: str) -> BacktestRequest:
        """The backtest that a trial is.

        Raises:
            PartDamaged: the chunk that the trial is in is gone.
        """
        first, _ = span_of_chunk(chunk)
        row = self.parts.read(chunk, TRIALS).slice(trial - first, 1)
        return request_of_row(self.runner.request, row)


def run_trials(
    work: SweepWork,
    executor: Executor,
    processes: int,
    progress_callback: Callable[[SweepProgress], None] = lambda _: None,
    *,
    most_chunk_trials: int | None = None,
    which: int = 0,
    with_equity: bool = True,
) -> TrialTally:
    """Runs all trials that no part holds yet, then the equity of the best.

    Args:
        work: the sweep; each process of the executor has begun it.
        executor: what runs chunks.
        processes: how many chunks it runs at once.
        progress_callback: called after each chunk; whatever it raises stops the sweep and passes through.
        most_chunk_trials: a smaller limit to a chunk than its bars are.
        which: the place of the sweep among those that each process has begun.
        with_equity: whether the equity of the best is wanted.

    Returns:
        What is known of the trials.

    Raises:
        TrialsFailed: trials were run, and every one failed.
        PartDamaged: a part was taken away meanwhile; what is missing is made by a further call.
        WorkersDied: processes were killed again and again.
        OSError: the disk refuses.
    """
    request, parts = work.runner.request, work.parts
    search = search_of(request)
    tally = TrialTally(request)
    for name in chunks_of(parts):
        try:
            tables = {table: parts.read(name, table) for table in parts.tables(name)}
        except PartDamaged:
            parts.drop(name)
        else:
            tally.add(facts_of(request, tables[TRIALS]))
    resumed = tally.done

    def report() -> None:
        progress_callback(SweepProgress(tally.done, search.trials, resumed, tally.best_objective))

    report()
    most = min(chunk_trials(work.runner.most_bars), most_chunk_trials or search.trials)
    size = ChunkSize(min(most, -(-(search.batch_trials or search.trials) // processes)))
    known: dict[str, pa.Table] = {}
    for batch in _batches(search):
        missing = list(missing_spans(parts, *batch))
        if not missing:
            continue
        earlier = _earlier(parts, batch[0], known) if search.batch_trials is not None else ()
        calls = (
            executor.submit(run_chunk, search.points(*span, earlier), which) for span in _cut(missing, size)
        )
        for facts, took_s in _outcomes(calls, _WAITING_PER_PROCESS * processes):
            tally.add(facts)
            size.learn(len(facts), took_s)
            report()
    tally.refuse_failed()
    if with_equity:
        _run_best(work, executor, processes, tally, which)
    return tally


def run_chunk(points: Points, which: int = 0) -> tuple[pa.Table, float]:
    """Runs some trials in a worker and keeps what they yield.

    Args:
        points: the trials.
        which: as for `run_trials`.

    Returns:
        What their tally needs, and the seconds that they took.
    """
    work, began_s = _begun(which), time.monotonic()
    chunk = work.runner.run(points)
    tables = {TRIALS: chunk.trials, BLOCKS: chunk.blocks}
    if chunk.by_symbol is not None:
        tables[BY_SYMBOL] = chunk.by_symbol
    work.parts.write(chunk_name(points.first, points.first + len(points)), tables)
    return facts_of(work.runner.request, chunk.trials), time.monotonic() - began_s


def run_equity(trial: int, chunk: str, which: int = 0) -> None:
    """Runs a trial in a worker as a backtest of its own and keeps its equity; `which` as for `run_trials`."""
    work = _work[which]
    request = work.request_of(trial, chunk)
    candles = CandlesByTimeframe(work.candles).of(request.timeframe)
    equity = run_backtest(candles, request, timezone=work.timezone, **work.data.of(request)).equity
    table = pa.Table.from_pandas(equity[["timestamp", "equity"]], preserve_index=False)
    work.parts.write(equity_name(trial), {EQUITY: table})


def chunk_name(first: int, stop: int) -> str:
    """Name of the part that holds the trials `first` to `stop` (excluded)."""
    return f"{first:08d}-{stop:08d}"


def equity_name(trial: int) -> str:
    """Name of the part that holds a trial's equity."""
    return f"equity-{trial:08d}"


def span_of_chunk(name: str) -> Span:
    """The trials that a part holds: the first, and the one after the last."""
    first, stop = name.split("-")
    return int(first), int(stop)


def chunks_of(parts: SweepParts) -> list[str]:
    """Parts that hold trials, in order, of those that overlap the first."""
    found: list[str] = []
    reached = 0
    for name in parts.names():
        if _CHUNK.fullmatch(name) and span_of_chunk(name)[0] >= reached:
            found.append(name)
            reached = span_of_chunk(name)[1]
    return found


def chunk_of(chunks: Sequence[str], trial: int) -> str:
    """The part that holds a trial, of parts in order.

    Raises:
        PartDamaged: none does.
    """
    place = bisect_right(chunks, trial, key=lambda name: span_of_chunk(name)[0]) - 1
    if place < 0 or trial >= span_of_chunk(chunks[place])[1]:
        raise PartDamaged(f"of trial {trial}")
    return chunks[place]


def missing_spans(parts: SweepParts, start: int, stop: int) -> Iterator[Span]:
    """Which of the trials `start` to `stop` (excluded) no part holds."""
    held = [span for span in map(span_of_chunk, chunks_of(parts)) if span[1] > start and span[0] < stop]
    edges = [start, *(edge for span in held for edge in span), stop]
    for first, last in list(pairwise(edges))[::2]:
        if first < last:
            yield first, last


def _batches(search: Search) -> Iterator[Span]:
    start = 0
    while start < search.trials:
        stop = batch_end(search, start)
        yield start, stop
        start = stop


def _cut(spans: Iterable[Span], size: ChunkSize) -> Iterator[Span]:
    for start, stop in spans:
        first = start
        while first < stop:
            last = min(first + size.trials, stop)
            yield first, last
            first = last


def _earlier(parts: SweepParts, start: int, known: dict[str, pa.Table]) -> Sequence[pa.Table]:
    """All trials before a batch, of searches that choose by them; `known` are those that have been read."""
    names = [name for name in chunks_of(parts) if span_of_chunk(name)[1] <= start]
    known |= {name: parts.read(name, TRIALS) for name in names if name not in known}
    return [known[name] for name in names]


def _outcomes(calls: Iterator[Future[Outcome]], most: int) -> Iterator[Outcome]:
    """Outcomes as they come, of calls of which no more than `most` are made before their turn."""
    running: set[Future[Outcome]] = set()
    more = True
    while more or running:
        while more and len(running) < most:
            call = next(calls, None)
            more = call is not None
            running |= {call} if call is not None else set()
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for call in done:
            yield call.result()


def _run_best(work: SweepWork, executor: Executor, processes: int, tally: TrialTally, which: int) -> None:
    known, chunks = set(work.parts.names()), chunks_of(work.parts)
    wanted = [trial for trial in tally.best_trials if equity_name(trial) not in known]
    calls = (executor.submit(run_equity, trial, chunk_of(chunks, trial), which) for trial in wanted)
    for _ in _outcomes(calls, _WAITING_PER_PROCESS * processes):
        pass


def begin_all(works: Sequence[SweepWork]) -> None:
    """Makes some sweeps the work of this process."""
    _work[:] = works
    _latest[:] = []


def _begun(which: int) -> SweepWork:
    """One of the sweeps; what this process has kept for another one before is given back."""
    for other in _latest:
        if other != which:
            _work[other].runner.forget()
    _latest[:] = [which]
    return _work[which]


_work: list[SweepWork] = []
"""What this process works on, where it is one of several: one sweep, or one of each training."""
_latest: list[int] = []
"""Which of them it has run a chunk of last."""
