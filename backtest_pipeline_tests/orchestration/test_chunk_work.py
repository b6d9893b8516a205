"""A machine makes a chunk only where it would make the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest
from backtest_pipeline.model.errors import WorkerUnfit
from backtest_pipeline.model.sweep_config import to_sweep_config
from backtest_pipeline.orchestration.tasks.chunk_places import SearchRecord
from backtest_pipeline.orchestration.tasks.chunk_work import read_record, write_record
from backtest_pipeline.orchestration.tasks.sweep_context import SweepContext
from backtest_pipeline.research.search.kinds import search_of
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.chunk_messages import ChunkForm, failed, made
from backtest_pipeline.workflows.sweep_chunks import run_chunk
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import store_candles

REQUEST = SweepRequest(
    backtest=BacktestRequest(strategy="sma_cross", symbols=["A"]),
    space={"params.fast": IntRange(2, 9), "params.slow": [20, 50]},
)
CONFIG: dict[str, Any] = to_sweep_config(REQUEST)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    store_candles(tmp_path, walk("A", 300))
    return Settings(data_root=tmp_path)


@pytest.fixture
def record(settings: Settings) -> SearchRecord:
    return SweepContext(settings)._record(CONFIG, "code")


@pytest.fixture
def context(settings: Settings) -> Iterator[SweepContext]:
    context = SweepContext(settings)
    yield context
    context.release()


def test_a_record_is_read_as_it_was_written(settings: Settings, record: SearchRecord) -> None:
    write_record(Layout(settings.data_root), record)
    again = read_record(Layout(settings.data_root), record.key)
    assert (again.key, again.code, dict(again.config)) == (record.key, "code", CONFIG)


def test_a_chunk_by_message_has_the_rows_of_a_chunk_by_call(
    context: SweepContext, record: SearchRecord
) -> None:
    context.work_of(record).begin()
    points = search_of(context.request(CONFIG)).points(0, 16)
    form = ChunkForm({"run": "r", "key": record.key})
    facts, took_s = form.outcome(made(form.message(run_chunk, (points, 0))))
    assert facts.equals(run_chunk(points)[0])
    assert took_s > 0


def test_a_machine_with_other_candles_or_code_refuses_and_says_what_differs(
    context: SweepContext, record: SearchRecord
) -> None:
    changed = [{**record.facts["candles"][0], "sha256": "0" * 64}]
    other = replace(record, facts={**record.facts, "candles": changed, "code": "other"})
    with pytest.raises(WorkerUnfit, match="would not compute the same, as the candles differ and the str"):
        context.work_of(other)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), MemoryError("none"), WorkerUnfit("h", "x differs")]
)
def test_an_error_comes_back_as_what_it_was(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        ChunkForm({}).outcome(failed(error))
    assert str(caught.value) == str(error)
