"""The same request and candles yield the same bytes, however the work is cut and shared."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from backtest_pipeline import BacktestRequest, FloatRange, IntRange, SweepRequest, run_sweep
from backtest_pipeline.research.search.kinds import batch_end, search_of
from backtest_pipeline.workflows import trial_pool as workflow
from backtest_pipeline.workflows.run_sweep import trial_runner
from backtest_pipeline_tests.research.made_candles import walk

pytestmark = pytest.mark.slow

CANDLES = {"A": walk("A", 260), "B": walk("B", 200, skip=0.2)}
SPACE: dict[str, Any] = {
    "params.fast": IntRange(2, 22, step=4),
    "params.slow": [10, 20, 40],
    "stop_loss_frac": [None, 0.05],
    "symbols": [["A"], ["A", "B"]],
}


def _request(search: str, trials: int | None = None) -> SweepRequest:
    space = SPACE | ({} if search == "grid" else {"fee_bps": FloatRange(0, 20)})
    backtest = BacktestRequest(strategy="sma_cross", symbols=["A"])
    return SweepRequest(backtest=backtest, space=space, search=search, trials=trials, where=["trades >= 2"])


def _digest(request: SweepRequest, size: int) -> str:
    """Digest of all tables when trials are run `size` at a time."""
    runner, search = trial_runner(CANDLES, request), search_of(request)
    chunks: list[Any] = []
    start = 0
    while start < search.trials:
        stop = batch_end(search, start)
        earlier = [chunk.trials for chunk in chunks]
        spans = [(first, min(first + size, stop)) for first in range(start, stop, size)]
        chunks += [runner.run(search.points(*span, earlier)) for span in spans]
        start = stop
    digest = hashlib.sha256()
    for tables in (
        [chunk.trials for chunk in chunks],
        [chunk.by_symbol for chunk in chunks],
        [chunk.blocks for chunk in chunks],
    ):
        digest.update(_bytes(pa.concat_tables(tables)))
    return digest.hexdigest()


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("search", "trials"), [("grid", None), ("random", 110), ("sobol", 110), ("tpe", 110)]
)
def test_the_size_of_chunks_changes_no_byte(search: str, trials: int | None) -> None:
    request = _request(search, trials)
    assert len({_digest(request, size) for size in (1, 7, 50, 10_000)}) == 1


@pytest.mark.parametrize(("search", "trials"), [("grid", None), ("random", 90), ("tpe", 90)])
def test_the_number_of_processes_changes_no_byte(
    search: str, trials: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(search, trials)
    alone = run_sweep(CANDLES, request)
    monkeypatch.setattr(workflow, "MOST_CHUNK_TRIALS", 13)
    for processes in (2, 5):
        shared = run_sweep(CANDLES, request, processes=processes)
        assert shared.trials.equals(alone.trials)
        assert shared.by_symbol is not None
        assert alone.by_symbol is not None
        assert shared.by_symbol.equals(alone.by_symbol)
        assert [list(row) for row in shared.blocks["sum"]] == [list(row) for row in alone.blocks["sum"]]


def test_a_runner_may_be_asked_for_trials_in_any_order() -> None:
    request = _request("grid")
    search = search_of(request)
    forwards, backwards = trial_runner(CANDLES, request), trial_runner(CANDLES, request)
    spans = [(start, start + 9) for start in range(0, 72, 9)]
    there = [forwards.run(search.points(*span)) for span in spans]
    back = [backwards.run(search.points(*span)) for span in reversed(spans)][::-1]
    for one, other in zip(there, back, strict=True):
        assert one.trials.equals(other.trials)
        assert one.blocks.equals(other.blocks)
