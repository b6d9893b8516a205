"""Results are facts: the same request, candles and code give the same bytes, wherever they are computed."""

from __future__ import annotations

from pathlib import Path

from backtest_pipeline import BacktestRequest, CandleStore, run_backtest
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline_tests.acceptance.live import Pipeline

REQUEST = BacktestRequest(
    strategy="volume_zone_breakout", symbols=["AAPL", "IBM", "MSFT"], direction="both", slippage_bps=3
)
TABLES = ("signals", "trades", "equity")


def test_two_runs_of_a_warm_worker_and_one_of_this_process_give_the_same_bytes(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with pipeline.client() as client:
        tasks = [client.submit(REQUEST, idempotency_key=f"{tmp_path}-{number}") for number in range(2)]
        assert tasks[0].task_id != tasks[1].task_id
        ended = client.wait_many([task.task_id for task in tasks], timeout_s=60)
    candles = CandleStore(pipeline.data_root).load(REQUEST.symbols, "1d", None, None)
    TaskStore(tmp_path).write_tables(tmp_path, run_backtest(candles, REQUEST))
    for name in TABLES:
        here = (tmp_path / f"{name}.parquet").read_bytes()
        for task in ended:
            assert task.result_path is not None
            assert (Path(task.result_path) / f"{name}.parquet").read_bytes() == here, name
