"""A strategy that is edited is loaded by workers one generation after another, and no run is lost for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline_tests.acceptance.machines import ROOT, Machines, running_machines
from backtest_pipeline_tests.acceptance.redis_server import redis_server
from backtest_pipeline_tests.polling import PATIENCE_S, until

pytestmark = pytest.mark.machines

SOURCE = """
import time
import numpy as np
from pathlib import Path
from backtest_pipeline import Signals, Strategy, StrategyParams

class Edited(Strategy):
    "Buys at one bar, when it may."
    name = "edited"

    class Params(StrategyParams):
        may: str = ""

    def signals(self, candles, params):
        while params.may and not Path(params.may).exists():
            time.sleep(0.05)
        return Signals(entry=np.arange(len(candles)) == {bar})
"""


@pytest.fixture(scope="module")
def machines(
    tmp_path_factory: pytest.TempPathFactory, demo_candles: Path, own_postgres: dict[str, str]
) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("reload")
    (folder / "edited_on_machines.py").write_text(SOURCE.format(bar=10))
    with (
        redis_server() as redis,
        running_machines(
            folder,
            demo_candles,
            redis,
            own_postgres,
            strategies="edited_on_machines",
            further={"PYTHONPATH": f"{folder}:{ROOT}"},
        ) as machines,
    ):
        machines.add()
        yield machines


def bar_of(machines: Machines, task_id: str) -> int:
    ended = machines.client.wait(task_id, timeout_s=PATIENCE_S)
    assert (ended.state, ended.attempt) == ("completed", 1), ended
    result = machines.client.result(task_id)
    [bar] = result.equity.index[result.equity["timestamp"] == result.signals["timestamp"].iloc[0]]
    return int(bar)


def submit(machines: Machines, strategy: str = "edited", **params: str) -> str:
    request = BacktestRequest(strategy=strategy, params=params, symbols=["IBM"])
    return machines.client.submit(request, reuse=False, server_code=True).task_id


def test_what_runs_ends_with_the_old_code_and_what_comes_has_the_new(
    machines: Machines, tmp_path: Path
) -> None:
    source, may = machines.folder / "edited_on_machines.py", tmp_path / "may"
    old = submit(machines, may=str(may))
    until(lambda: machines.client.status(old).stage == "signals", "the old code to be at work")
    source.write_text(SOURCE.format(bar=25))
    assert [bar_of(machines, submit(machines)) for _ in range(3)] == [25] * 3
    assert not machines.client.status(old).final
    may.touch()
    assert bar_of(machines, old) == 10


def test_code_that_does_not_load_stops_nobody_else(machines: Machines) -> None:
    source = machines.folder / "edited_on_machines.py"
    good = source.read_text()
    source.write_text("this is no Python")
    log = machines.machines[0].log
    until(lambda: "does not load, so what was loaded stays" in log.read_text(), "the refusal")
    ended = machines.client.wait(submit(machines, "buy_and_hold"), timeout_s=PATIENCE_S)
    assert ended.state == "completed"
    source.write_text(good.replace("== 25", "== 40"))
    assert bar_of(machines, submit(machines)) == 40
