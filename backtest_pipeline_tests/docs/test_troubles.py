"""Each symptom in docs/operations.md is a message that the pipeline really gives."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from backtest_pipeline import (
    BacktestClient,
    BacktestError,
    BacktestRequest,
    Candles,
    CandleStore,
    Signals,
    Strategy,
    StrategyParams,
    run_backtest,
)
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.local_service.home import logs_of
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline.strategies import registry
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port
from backtest_pipeline_tests.docs.pages import ROOT
from backtest_pipeline_tests.polling import PATIENCE_S

PAGE = ROOT / "docs" / "operations.md"
FULL, VIEWER = "full-token-0123456789abcdef", "view-token-0123456789abcdef"
GOOD = ["--symbols", "AAPL", "-p", "fast=10", "-p", "slow=20"]

# Where a reproduction needs a small disk, a broken preload or much time: the test that has one, and what that
# test looks for.
ELSEWHERE = {
    "detail_timeframe: the store has no … candles of … in the time of this request": (
        "workflows/test_execution_data.py",
        "detail_timeframe: the store has no 4h candles of B",
    ),
    "funding: the store has no funding rates of … in the time of this request": (
        "workflows/test_execution_data.py",
        "funding: the store has no funding rates of B",
    ),
    "… takes connections and answers nothing, not even /server_info within … s": (
        "sdk/test_first_contact.py",
        "answers nothing, not even /server_info within",
    ),
    "Dagster's database does not answer (…); what is unfinished is known there only, so start the database "
    "and clean up again": ("acceptance/test_cleanup.py", "start the database"),
    "code ended with status 1; its log …": ("acceptance/test_service.py", "code ended with status 1"),
    "the server's code (…) is not the code that this was submitted with (…)": (
        "acceptance/test_changed_code.py",
        "is not the code that this was submitted with",
    ),
    "is not what the server has loaded (…)": (
        "acceptance/test_changed_code.py",
        "is not what the server has loaded",
    ),
    "which cannot be read here; set DATA_ROOT to the folder that is … there": (
        "sdk/test_task_naming.py",
        "which cannot be read here",
    ),
    "refuses this address until … because it was asked too often": (
        "exchanges/test_exchange_limits.py",
        "refuses this address until",
    ),
    "gave no usable answer in … tries: …": (
        "exchanges/test_exchange_downloads.py",
        "no usable answer in 7 tries",
    ),
    "comes from … of …, not from … of …": (
        "exchanges/test_corrected_candles.py",
        "comes from KRW-OLD of upbit, not from KRW-NEW of upbit",
    ),
    "kept, though the exchange now gives …": (
        "exchanges/test_download_command.py",
        "kept, though the exchange now gives",
    ),
    "No space left on device": ("acceptance/test_full_disk.py", "No space left on device"),
    "MB free and the result may take …": ("acceptance/test_full_disk.py", "the result may take"),
    "no sign of life for … s (process …); it hangs or has ended: start it again, see its log": (
        "orchestration/test_daemon_health.py",
        "no sign of life for 11 s",
    ),
    "gives no sign of life (process …); it is killed and started again after 60 s": (
        "local_service/test_supervision.py",
        "it is killed and started again after 60 s",
    ),
    "has stood still for … s in …": ("web/test_liveness.py", "loop-x has stood still for 1 s in"),
    "errors in …; see the daemon's log": ("orchestration/test_daemon_health.py", "see the daemon's log"),
    "is gone again (…); find what deletes or replaces folders below DATA_ROOT/tasks, then run the task "
    "again": ("orchestration/test_publication.py", "find what deletes or replaces folders"),
    "its result is gone, though it completed, no cleanup has deleted it and it has not expired": (
        "acceptance/test_health.py",
        "its result is gone",
    ),
    "a worker on … would not compute the same, as …": (
        "orchestration/test_chunk_work.py",
        "would not compute the same",
    ),
    "results would not be safe in …: …": ("orchestration/test_worker_keeper.py", "would not be safe in"),
    "…, so tasks wait; start it, see BACKTEST_BROKER_URL": (
        "orchestration/test_cluster_figures.py",
        "so tasks wait; start it, see BACKTEST_BROKER_URL",
    ),
    "…, so tasks wait; start `backtest worker` on a machine": (
        "orchestration/test_cluster_figures.py",
        "so tasks wait; start `backtest worker` on a machine",
    ),
    "workers start cold, some seconds later each: …": (
        "acceptance/test_warm_workers.py",
        "workers start cold",
    ),
}


def _symptoms() -> list[str]:
    table = PAGE.read_text().partition("| symptom |")[2]
    cells = re.findall(r"^\| (`+)( ?)(.+?)\2\1 \| .+ \| .+ \|$", table, re.MULTILINE)
    return [cell for _, _, cell in cells]


SYMPTOMS = _symptoms()


@dataclass(frozen=True)
class Shell:
    """Runs `backtest …` with an empty data root and nobody at the server's address."""

    programs: Path
    folder: Path

    def __call__(self, *arguments: str, **env: str) -> str:
        wanted = {
            **os.environ,
            "DATA_ROOT": str(self.folder / "data"),
            "DAGSTER_HOME": str(self.folder / "home"),
            "BACKTEST_URL": "http://127.0.0.1:9",
            **env,
        }
        done = subprocess.run(
            [str(self.programs / "backtest"), *arguments],
            cwd=self.folder,
            env=wanted,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.stdout + done.stderr

    def with_demo(self) -> Shell:
        import_demo(CandleStore(self.folder / "data"))
        return self


@dataclass(frozen=True)
class Guarded:
    """A service that asks for tokens, and whose strategies make trouble."""

    service: LocalService
    client: BacktestClient
    home: Path

    def answer(self, *, token: str = FULL, **headers: str) -> str:
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
        query = '{"query": "mutation { terminateRun(runId: \\"x\\") { __typename } }"}'
        return httpx.post(f"{self.service.url}/graphql", content=query, headers=sent, timeout=30).text

    def error_of(self, strategy: str, **changes: Any) -> str:
        asked = BacktestRequest(strategy=strategy, symbols=["IBM"], max_retries=0, **changes)
        task_id = self.client.submit(asked).task_id
        return str(self.client.wait(task_id, timeout_s=PATIENCE_S).error)

    def log(self, name: str) -> str:
        return (logs_of(self.home) / f"{name}.log").read_text()


@pytest.fixture
def shell(programs: Path, tmp_path: Path) -> Shell:
    return Shell(programs, tmp_path)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    import_demo(CandleStore(folder / "data"))
    tokens = f"ann:full:{FULL},vic:viewer:{VIEWER}"
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(ROOT))
            patch.setenv("BACKTEST_STRATEGIES", "backtest_pipeline_tests.acceptance.trouble_strategies")
            patch.setenv("ALERT_URLS", "no-address")
            settings = Settings(
                data_root=folder / "data", dagster_home=folder / "home", backtest_tokens=tokens
            )
            service = LocalService(settings, port=free_port())
            stack.enter_context(service.running())
        client = BacktestClient(service.url, token=FULL, data_root=settings.data_root, patience_s=0)
        yield Guarded(service, stack.enter_context(client), settings.dagster_home)


# Makes one trouble and returns what is said about it; fixtures as the arguments' names.
Reproduction = Callable[..., str]
REPRODUCED: dict[str, Reproduction] = {}


def says(beginning: str) -> Callable[[Reproduction], Reproduction]:
    """Registers a reproduction for the symptom that begins so."""

    def register(reproduction: Reproduction) -> Reproduction:
        [symptom] = [symptom for symptom in SYMPTOMS if symptom.startswith(beginning)]
        REPRODUCED[symptom] = reproduction
        return reproduction

    return register


def _refusal(act: Callable[[], object]) -> str:
    with pytest.raises(BacktestError) as refused:
        act()
    return str(refused.value)


@says("no answer from")
def _(shell: Shell) -> str:
    with BacktestClient("http://127.0.0.1:9", patience_s=0) as client:
        return _refusal(client.list_tasks)


@says("cannot listen on")
def _(shell: Shell) -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return shell("up", "--port", str(taken.getsockname()[1]))


@says("`backtest up` is running already")
def _(shell: Shell, live: Pipeline) -> str:
    return shell("up", "--port", str(free_port()), DAGSTER_HOME=str(live.dagster_home))


@says("this module of BACKTEST_STRATEGIES")
def _(shell: Shell) -> str:
    return shell("strategies", BACKTEST_STRATEGIES="no_such_module")


@says("set these environment variables right")
def _(shell: Shell) -> str:
    return shell("candles", "list", CANDLE_TIMEZONE="Asia/Seul")


@says("listening on")
def _(shell: Shell) -> str:
    return shell("up", "--host", "0.0.0.0")  # noqa: S104  it is refused


@says("refused: status 401")
def _(guarded: Guarded) -> str:
    with BacktestClient(guarded.service.url, token="old", patience_s=0) as client:  # noqa: S106  no secret
        return _refusal(client.list_tasks)


@says("viewers only read")
def _(guarded: Guarded) -> str:
    return guarded.answer(token=VIEWER)


@says("this server does not answer for")
def _(guarded: Guarded) -> str:
    return guarded.answer(Host="backtest.example.com")


@says("a page of another origin")
def _(guarded: Guarded) -> str:
    return guarded.answer(Origin="http://elsewhere.example")


@says("send JSON with")
def _(guarded: Guarded) -> str:
    return guarded.answer(**{"Content-Type": "text/plain"})


@says("the store has no")
def _(shell: Shell) -> str:
    return shell.with_demo()("check", "sma_cross", "--symbols", "TSLA")


@says("it is empty")
def _(shell: Shell) -> str:
    return shell("check", "sma_cross", "--symbols", "TSLA")


@says("no … candles from")
def _(live: Pipeline) -> str:
    store = CandleStore(live.data_root)
    return _refusal(lambda: store.load(["AAPL"], "1d", date(1990, 1, 1), date(1991, 1, 1)))


@says("cannot read …; restore")
def _(shell: Shell) -> str:
    shell.with_demo()
    (shell.folder / "data" / "IBM" / "1D" / "2005.parquet").write_bytes(b"PAR1 and then nothing")
    return shell("candles", "check", "IBM")


def _imported(shell: Shell, row: str) -> str:
    (shell.folder / "prices.csv").write_text(f"Date,Open,High,Low,Close,Volume\n{row}\n")
    return shell("candles", "import", "prices.csv", "--symbol", "ACME", "--timeframe", "1d")


@says("high is below open")
def _(shell: Shell) -> str:
    return _imported(shell, "2024-05-01,20,19,18,19,5")


@says("may be month first")
def _(shell: Shell) -> str:
    return _imported(shell, "05/04/2024,20,24,18,19,5")


@says("there is no …; choose")
def _(shell: Shell) -> str:
    return shell("run", "smacross", "--symbols", "AAPL")


@says("the server has no …; name its module")
def _(live: Pipeline) -> str:
    with live.client() as client:
        return _refusal(lambda: client.submit(BacktestRequest(strategy="not_installed", symbols=["AAPL"])))


@says("cannot use these parameters")
def _(shell: Shell) -> str:
    return shell("run", "sma_cross", "--symbols", "AAPL", "-p", "fast=0")


def _done(live: Pipeline) -> tuple[str, dict[str, str]]:
    env = {"BACKTEST_URL": live.url, "DATA_ROOT": str(live.data_root)}
    with live.client() as client:
        asked = BacktestRequest(strategy="sma_cross", params={"fast": 10, "slow": 20}, symbols=["AAPL"])
        return client.wait(client.submit(asked).task_id, timeout_s=PATIENCE_S).task_id, env


@says("has this result already")
def _(shell: Shell, live: Pipeline) -> str:
    _, env = _done(live)
    return shell("submit", "sma_cross", *GOOD, **env)


@says("there is no task")
def _(shell: Shell) -> str:
    return shell("result", "no-task")


@says("has no result in")
def _(shell: Shell) -> str:
    return shell("result", str(uuid.uuid4()))


@says("the file differs from")
def _(guarded: Guarded) -> str:
    asked = BacktestRequest(strategy="buy_and_hold", symbols=["IBM"])
    task_id = guarded.client.wait(guarded.client.submit(asked).task_id, timeout_s=PATIENCE_S).task_id
    [trades] = guarded.home.parent.glob(f"data/tasks/{task_id}/trades.parquet")
    trades.write_bytes(trades.read_bytes()[:-1] + b"!")
    return _refusal(lambda: guarded.client.result(task_id))


@says("is still running after")
def _(guarded: Guarded) -> str:
    task_id = guarded.client.submit(BacktestRequest(strategy="slow", symbols=["IBM"])).task_id
    while guarded.client.status(task_id).state == "queued":
        pass
    try:
        return _refusal(lambda: guarded.client.wait(task_id, timeout_s=0.1))
    finally:
        guarded.client.cancel(task_id)


@says("took longer than its timeout_s")
def _(guarded: Guarded) -> str:
    return guarded.error_of("slow", timeout_s=1)


@says("the worker ended without a message")
def _(guarded: Guarded) -> str:
    return guarded.error_of("dies_always")


@says("it does not answer, so no task can start")
def _(guarded: Guarded) -> str:
    guarded.service.processes["code"].kill()
    headers = {"Authorization": f"Bearer {FULL}"}
    return httpx.get(f"{guarded.service.url}/healthz", headers=headers, timeout=30).text


@says("its code server does not answer")
def _(guarded: Guarded) -> str:
    guarded.service.processes["code"].kill()
    asked = BacktestRequest(strategy="buy_and_hold", symbols=["IBM"])
    return _refusal(lambda: guarded.client.submit(asked, reuse=False))


@says("entry … of ALERT_URLS")
def _(guarded: Guarded) -> str:
    guarded.error_of("dies_always", seed=1)  # the sensor looks at a failure
    for _ in range(100):
        if "ALERT_URLS" in (told := guarded.log("code")):
            break
        guarded.client.list_tasks()
    return told


@says("BACKTEST_BROKER_URL is not set")
def _(shell: Shell) -> str:
    return shell("worker")


@says("is there already; choose")
def _(shell: Shell, live: Pipeline) -> str:
    task_id, env = _done(live)
    (shell.folder / "trades.csv").touch()
    return shell("result", task_id, "--table", "trades", "--csv", "trades.csv", **env)


@says("The strategy looks ahead")
def _(live: Pipeline, monkeypatch: pytest.MonkeyPatch) -> str:
    class Peeks(Strategy):
        """Buys before a rise."""

        name = "peeks"

        def signals(self, candles: Candles, params: StrategyParams) -> Signals:
            rises = np.append(candles.close[1:] > candles.close[:-1], [False])
            return Signals(entry=rises)

    monkeypatch.setattr(registry, "_by_hand", {"peeks": Peeks})
    candles = CandleStore(live.data_root).load(["IBM"], "1d")
    return "\n".join(run_backtest(candles, BacktestRequest(strategy="peeks", symbols=["IBM"])).diagnostics)


def test_every_symptom_is_reproduced_or_names_the_test_that_does() -> None:
    assert len(SYMPTOMS) >= 20
    assert sorted(SYMPTOMS) == sorted({*REPRODUCED, *ELSEWHERE})


@pytest.mark.parametrize("symptom", [symptom for symptom in SYMPTOMS if symptom in REPRODUCED])
def test_a_symptom_is_what_is_really_said(symptom: str, request: pytest.FixtureRequest) -> None:
    reproduction = REPRODUCED[symptom]
    needed = reproduction.__code__.co_varnames[: reproduction.__code__.co_argcount]
    said = reproduction(*(request.getfixturevalue(name) for name in needed))
    pattern = ".+".join(re.escape(part) for part in symptom.split("…"))
    assert re.search(pattern, " ".join(said.split())), said


@pytest.mark.parametrize(("module", "looks_for"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_test_that_is_named_looks_for_the_symptom(module: str, looks_for: str) -> None:
    assert looks_for in (ROOT / "backtest_pipeline_tests" / module).read_text()
