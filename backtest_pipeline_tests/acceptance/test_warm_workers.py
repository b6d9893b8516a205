"""Workers are forked warm, start cold where that is not safe, and never run old code after a reload."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import fork_servers, free_port
from backtest_pipeline_tests.acceptance.running_workers import worker_pid
from backtest_pipeline_tests.polling import PATIENCE_S
from backtest_pipeline_tests.processes import parent_of

ROOT = Path(__file__).parents[2]

RELOAD = """
mutation { reloadRepositoryLocation(repositoryLocationName: "backtest_pipeline") {
  __typename ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename } } } }
"""
ENTERS_AT = """
import numpy as np
from backtest_pipeline import Signals, Strategy

class Edited(Strategy):
    "Buys at one bar."
    name = "edited"

    def signals(self, candles, params):
        return Signals(entry=np.arange(len(candles)) == {bar})
"""


def _worker_of(url: str, task_id: str) -> int:
    with closing(GraphQL(url)) as graphql:
        return worker_pid(graphql, task_id)


@pytest.mark.parametrize(
    ("module", "strategy", "warm"),
    [("trouble_strategies", "slow", True), ("threaded_strategies", "threaded", False)],
)
def test_workers_are_forked_warm_unless_a_thread_makes_that_unsafe(
    module: str,
    strategy: str,
    warm: bool,
    demo_candles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BACKTEST_STRATEGIES", f"backtest_pipeline_tests.acceptance.{module}")
    params = {"seconds": 0.7} if warm else {}
    service = LocalService(
        Settings(data_root=demo_candles, dagster_home=tmp_path, reports_ahead=False), port=free_port()
    )
    with service.running(), BacktestClient(service.url, data_root=demo_candles) as client:
        task = client.submit(BacktestRequest(strategy=strategy, params=params, symbols=["IBM"]), reuse=False)
        parent = parent_of(_worker_of(service.url, task.task_id))
        code_server = service.processes["code"].pid
        assert code_server is not None
        forked_from = fork_servers(code_server)
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S)
        log = service.processes["code"].log.read_text()
    assert ended.state == "completed"
    assert (parent in forked_from) == warm
    assert log.count("workers start cold") == (0 if warm else 1)


def test_after_a_reload_the_edited_strategy_runs(
    demo_candles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "edited_strategies.py"
    source.write_text(ENTERS_AT.format(bar=10))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("BACKTEST_STRATEGIES", "edited_strategies")
    service = LocalService(
        Settings(data_root=demo_candles, dagster_home=tmp_path / "home", reports_ahead=False),
        port=free_port(),
    )
    request = BacktestRequest(strategy="edited", symbols=["IBM"])
    with service.running(), BacktestClient(service.url, data_root=demo_candles) as client:

        def bar_of_signal() -> int:
            task_id = client.wait(client.submit(request, reuse=False).task_id, timeout_s=PATIENCE_S).task_id
            result = client.result(task_id)
            [bar] = result.equity.index[result.equity["timestamp"] == result.signals["timestamp"].iloc[0]]
            return int(bar)

        assert bar_of_signal() == 10
        source.write_text(ENTERS_AT.format(bar=25))
        with closing(GraphQL(service.url)) as graphql:
            reloaded = graphql.ask(RELOAD, {})["reloadRepositoryLocation"]
            assert reloaded["loadStatus"] == "LOADED"
            assert bar_of_signal() == 25
            source.write_text("this is no Python")
            broken = graphql.ask(RELOAD, {})["reloadRepositoryLocation"]
            assert broken["locationOrLoadError"]["__typename"] == "PythonError"
            source.write_text(ENTERS_AT.format(bar=40))
            graphql.ask(RELOAD, {})
        assert bar_of_signal() == 40
