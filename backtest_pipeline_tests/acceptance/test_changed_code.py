"""A strategy's file that is edited while the service runs yields no result of the old code in silence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from backtest_pipeline import BacktestClient, BacktestError, BacktestRequest
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import fork_servers, free_port, run_backtest_command
from backtest_pipeline_tests.polling import PATIENCE_S, until

STRATEGY = """
import numpy as np

from backtest_pipeline import Signals, Strategy
from where_to_enter import BAR


class Edited(Strategy):
    \"\"\"Enters once.\"\"\"

    name = "edited"

    def signals(self, candles, params):
        entry = np.zeros(len(candles), dtype=bool)
        entry[BAR + {later}] = True
        return Signals(entry=entry)
"""


@dataclass(frozen=True)
class Edited:
    """A running service whose strategy lies in a folder, and commands in whose environment it lies too."""

    folder: Path
    service: LocalService
    data_root: Path
    env: dict[str, str]

    def write(self, *, later: int = 0, bar: int = 10, folder: Path | None = None) -> None:
        folder = folder or self.folder
        (folder / "edited_strategies.py").write_text(STRATEGY.format(later=later))
        (folder / "where_to_enter.py").write_text(f"BAR = {bar}\n")

    def submit(self, *options: str, folder: Path | None = None) -> dict[str, Any]:
        """Submits by the command line, from a folder that has the strategy, and waits; returns the status."""
        env = {**self.env, "PYTHONPATH": str(folder or self.folder)}
        asked = ["submit", "edited", "--symbols", "IBM", "--fresh", "--json", *options]
        done = run_backtest_command(asked, env)
        assert done.returncode == 0, done.stderr
        task_id = json.loads(done.stdout)["task_id"]
        ended = run_backtest_command(["wait", task_id, "--json"], env)
        status: dict[str, Any] = json.loads(ended.stdout)
        return status

    def bar_of(self, status: dict[str, Any]) -> int:
        """At which bar the task's strategy entered."""
        assert status["state"] == "completed", status["error"]
        with self.client() as client:
            result = client.result(status["task_id"])
        assert result.manifest is not None
        assert result.manifest.environment.code_sha256 == status["code_sha256"]
        [bar] = result.equity.index[result.equity["timestamp"] == result.signals["timestamp"].iloc[0]]
        return int(bar)

    def client(self) -> BacktestClient:
        """A client of a process that has not the strategy."""
        return BacktestClient(self.service.url, data_root=self.data_root)

    def fork_servers(self) -> int:
        """How many processes of the code server are fork servers, retired ones included."""
        server = self.service.processes["code"].pid
        assert server is not None
        return len(fork_servers(server))


@pytest.fixture(scope="module")
def edited(demo_candles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    folder, home = tmp_path_factory.mktemp("strategies"), tmp_path_factory.mktemp("home")
    service = LocalService(
        Settings(data_root=demo_candles, dagster_home=home, reports_ahead=False), port=free_port()
    )
    own = {"PYTHONPATH": str(folder), "BACKTEST_STRATEGIES": "edited_strategies"}
    places = {"BACKTEST_URL": service.url, "DATA_ROOT": str(demo_candles), "DAGSTER_HOME": str(home)}
    made = Edited(folder, service, demo_candles, {**os.environ, **own, **places})
    made.write()
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # for the start only: this process has not the strategy
            for name, value in own.items():
                patch.setenv(name, value)
            stack.enter_context(service.running())
        yield made


def test_an_edited_strategy_or_its_helper_runs_as_it_is_on_disk(edited: Edited) -> None:
    edited.write(bar=10)
    digests = set()
    for later, bar in [(0, 10), (5, 10), (5, 30)]:
        edited.write(later=later, bar=bar)
        status = edited.submit()
        assert edited.bar_of(status) == bar + later
        assert status["submitted_code_sha256"] == status["code_sha256"]
        digests.add(status["code_sha256"])
    assert len(digests) == 3
    until(lambda: edited.fork_servers() == 1, "the fork servers of former code to end")


def test_an_edited_strategy_runs_as_it_is_for_who_tells_no_code_too(edited: Edited) -> None:
    edited.write(bar=13)
    until(lambda: _runs_at(edited, 13), "the edited code to be loaded")


def _runs_at(edited: Edited, bar: int) -> bool:
    """Submits without the strategy: each result is of the code on disk, or there is none."""
    with edited.client() as client:
        task = client.submit(BacktestRequest(strategy="edited", symbols=["IBM"]), reuse=False)
        ended = client.wait(task.task_id, timeout_s=PATIENCE_S)
    assert ended.submitted_code_sha256 is None
    if ended.state == "failed":
        assert ended.error is not None
        assert "is not what the server has loaded" in ended.error
        return False
    return edited.bar_of(ended.model_dump()) == bar


def test_no_result_of_former_code_is_handed_out_from_the_moment_that_a_file_is_written(
    edited: Edited,
) -> None:
    request = BacktestRequest(strategy="edited", symbols=["IBM"], labels={"study": "reuse"})
    edited.write(bar=20)
    with edited.client() as client:
        until(lambda: _submitted_bar(edited, client, request) == 20, "the edited code to be loaded")
        first = client.submit(request)
        assert (first.state, first.task_id) == ("completed", client.submit(request).task_id)
        edited.write(bar=21)
        assert client.submit(request).task_id != first.task_id, "asked for at once"
        until(lambda: _submitted_bar(edited, client, request) == 21, "the edited code to be loaded")
        assert client.submit(request).state == "completed"
        edited.write(bar=20)
        assert _submitted_bar(edited, client, request) in {20, None}, "never 21"


def _submitted_bar(edited: Edited, client: BacktestClient, request: BacktestRequest) -> int | None:
    """At which bar the result enters that a client gets; none where the code is being loaded."""
    ended = client.wait(client.submit(request).task_id, timeout_s=PATIENCE_S)
    return edited.bar_of(ended.model_dump()) if ended.state == "completed" else None


def test_code_that_does_not_load_is_refused_and_keeps_no_other_strategy_from_running(edited: Edited) -> None:
    (edited.folder / "edited_strategies.py").write_text("this is no Python")
    with edited.client() as client:
        mine = client.submit(BacktestRequest(strategy="edited", symbols=["IBM"]), reuse=False)
        other = client.submit(BacktestRequest(strategy="buy_and_hold", symbols=["IBM"]), reuse=False)
        refused, completed = client.wait_many([mine.task_id, other.task_id], timeout_s=PATIENCE_S)
    assert completed.state == "completed"
    assert (refused.state, refused.attempt) == ("failed", 1)
    assert refused.error is not None
    assert "Reload" in refused.error
    edited.write(bar=15)
    assert edited.bar_of(edited.submit()) == 15


def test_a_saved_file_is_loaded_while_nobody_asks_for_anything(edited: Edited) -> None:
    edited.write(bar=18)
    with edited.client() as client:
        before = client.server_strategies()["edited"]
        edited.write(bar=19)
        until(lambda: client.server_strategies().get("edited") not in {before, None}, "the file to be loaded")


def test_code_that_left_nothing_loaded_is_loaded_once_the_file_is_mended(edited: Edited) -> None:
    edited.write(bar=22)
    assert edited.bar_of(edited.submit()) == 22
    (edited.folder / "edited_strategies.py").write_text("entry = = 3")
    reload = (
        'mutation { reloadRepositoryLocation(repositoryLocationName: "backtest_pipeline") { __typename } }'
    )
    answer = httpx.post(f"{edited.service.url}/graphql", json={"query": reload}, timeout=PATIENCE_S)
    assert answer.json()["data"]["reloadRepositoryLocation"]["__typename"] == "WorkspaceLocationEntry"
    with edited.client() as client, pytest.raises(BacktestError):
        client.server_strategies()
    edited.write(bar=23)
    until(lambda: _loaded(edited), "the mended file to be loaded")
    assert edited.bar_of(edited.submit()) == 23


def _loaded(edited: Edited) -> bool:
    with edited.client() as client:
        try:
            return "edited" in client.server_strategies()
        except BacktestError:
            return False


def test_code_of_another_machine_is_refused_unless_the_servers_is_asked_for(
    edited: Edited, tmp_path: Path
) -> None:
    edited.write(bar=16)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(edited.folder, elsewhere)
    assert edited.bar_of(edited.submit(folder=elsewhere)) == 16, "the same code lies elsewhere"
    edited.write(bar=17, folder=elsewhere)
    refused = edited.submit(folder=elsewhere)
    assert (refused["state"], refused["attempt"]) == ("failed", 1)
    assert "is not the code that this was submitted with" in refused["error"]
    assert "--server-code" in refused["error"]
    assert refused["code_sha256"] is None
    asked = edited.submit("--server-code", folder=elsewhere)
    assert edited.bar_of(asked) == 16
    assert asked["submitted_code_sha256"] not in {None, asked["code_sha256"]}
    with edited.client() as client:
        result = client.result(asked["task_id"])
    assert result.manifest is not None
    assert result.manifest.environment.submitted_code_sha256 == asked["submitted_code_sha256"]
    [remark] = [line for line in result.diagnostics if "server's code" in line]
    assert asked["code_sha256"][:12] in remark
    assert asked["submitted_code_sha256"][:12] in remark
