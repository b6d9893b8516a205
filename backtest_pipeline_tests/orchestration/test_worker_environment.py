"""What a worker finds in its environment, however it was started."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

import pytest

from backtest_pipeline.orchestration.dagster_internals.warm_workers import ColdContext


def _told(answer: Connection) -> None:
    answer.send({name: value for name, value in os.environ.items() if "SECRET" in name or "ALERT" in name})


@pytest.mark.slow
def test_a_cold_worker_knows_no_secret_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_URLS", "json://secret.example")
    monkeypatch.setenv("BACKTEST_PROXY_SECRET", "secret")
    cold = ColdContext()
    ours, theirs = cold.Pipe(duplex=False)
    worker = cold.Process(target=_told, args=(theirs,))
    worker.start()
    theirs.close()
    assert ours.recv() == {}
    worker.join(30)
    assert worker.exitcode == 0
