"""Starting and stopping the pipeline's processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.local_service.home import prepare
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.model.errors import ServiceNotReady
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import backtest_up, free_port, run_backtest_command
from backtest_pipeline_tests.polling import PATIENCE_S, until
from backtest_pipeline_tests.processes import descendants_of, is_alive

ROOT = Path(__file__).parents[2]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:  # noqa: S310  http
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_tells_when_it_is_ready_bears_no_second_and_stops_everything_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    env = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home"), "DATA_ROOT": str(tmp_path / "data")}
    with backtest_up(port, env) as up:
        assert _answers(f"http://127.0.0.1:{port}")
        started = descendants_of(up.pid)
        assert len(started) >= 3
        second = run_backtest_command(["up", "--port", str(free_port())], env)
        assert (second.returncode, "is running already in" in second.stderr) == (1, True)
        up.send_signal(number)
        assert up.wait(PATIENCE_S) == 0
    until(lambda: not any(is_alive(pid) for pid in started), "all processes to end")
    assert not _answers(f"http://127.0.0.1:{port}")


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = LocalService(
            Settings(data_root=tmp_path, dagster_home=tmp_path / "home", reports_ahead=False), port=port
        )
        with pytest.raises(ServiceNotReady, match=f"cannot listen on 127.0.0.1:{port}"), service.running():
            pass
    assert service.processes == {}


def test_a_code_location_that_does_not_load_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKTEST_STRATEGIES", "no_such_strategies")
    service = LocalService(
        Settings(data_root=tmp_path, dagster_home=tmp_path / "home", reports_ahead=False), port=free_port()
    )
    with (
        pytest.raises(
            ServiceNotReady, match=r"code ended with status 1(.|\n)*No module named 'no_such_strategies'"
        ),
        service.running(),
    ):
        pass


def test_an_operators_own_dagster_yaml_is_left_alone(tmp_path: Path) -> None:
    prepare(tmp_path)
    ours = (tmp_path / "dagster.yaml").read_text()
    assert (ROOT / "dagster.yaml").read_text() in ours
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prepare(tmp_path)
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_a_home_on_postgres_is_never_turned_to_an_empty_sqlite_by_a_forgotten_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    monkeypatch.setenv("DAGSTER_PG_HOST", "db.example")
    prepare(tmp_path)
    on_postgres = (tmp_path / "dagster.yaml").read_text()
    assert "DAGSTER_PG_HOST" in on_postgres
    monkeypatch.delenv("DAGSTER_PG_HOST")
    for command in ("cleanup", "up"):
        done = run_backtest_command([command], {**os.environ, "DAGSTER_HOME": str(tmp_path)})
        assert done.returncode == 1
        assert "set the five DAGSTER_PG_… variables" in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "dagster.yaml").read_text() == on_postgres
    assert not (tmp_path / "history").exists()


def test_a_command_never_turns_a_home_on_sqlite_to_the_postgres_of_its_shell(tmp_path: Path) -> None:
    prepare(tmp_path)
    before = (tmp_path / "dagster.yaml").read_text()
    env = {**os.environ, "DAGSTER_HOME": str(tmp_path), "DAGSTER_PG_HOST": "db.example"}
    done = run_backtest_command(["cleanup", "--dry-run"], env)
    assert (done.returncode, "keeps its runs in SQLite" in done.stderr) == (1, True)
    assert (tmp_path / "dagster.yaml").read_text() == before


@pytest.mark.parametrize("name", ["a # b", "a: b, {c}", "한글"])
def test_a_home_may_have_any_name(name: str, tmp_path: Path) -> None:
    prepare(tmp_path / name)
    config = yaml.safe_load((tmp_path / name / "dagster.yaml").read_text())
    assert config["event_log_storage"]["config"]["base_dir"] == str(tmp_path / name / "history")


def test_after_a_crash_of_the_service_the_old_code_server_makes_way_for_the_new(
    tmp_path: Path, demo_candles: Path
) -> None:
    """It would finish its backtest, and then remove the socket of the new one."""
    port = free_port()
    env = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path / "home"),
        "DATA_ROOT": str(demo_candles),
        "PYTHONPATH": str(ROOT),
        "BACKTEST_STRATEGIES": "backtest_pipeline_tests.acceptance.trouble_strategies",
    }
    url = f"http://127.0.0.1:{port}"
    at_work = tmp_path / "at work"
    params = {"seconds": 600, "mark": str(at_work)}
    request = BacktestRequest(strategy="slow_once", params=params, symbols=["IBM"])
    with BacktestClient(url, data_root=demo_candles, patience_s=PATIENCE_S) as client:
        with backtest_up(port, env) as first:
            task_id = client.submit(request).task_id
            until(at_work.exists, "the strategy to be at work")
            first.kill()
            first.wait()
            until(lambda: _is_free(port), "the old web server to end")
        with backtest_up(port, env) as second:
            ended = client.wait(task_id, timeout_s=PATIENCE_S)
            assert (ended.state, ended.attempt) == ("completed", 2)
            another = client.submit(request.model_copy(update={"symbols": ("AAPL",)}))
            assert client.wait(another.task_id, timeout_s=PATIENCE_S).state == "completed"
            assert (tmp_path / "home" / "code.sock").exists()
            second.send_signal(signal.SIGHUP)  # as when the terminal is closed
            assert second.wait(PATIENCE_S) == 0


def test_dagster_dev_works_in_the_repository(tmp_path: Path) -> None:
    port = free_port()
    env = {**os.environ, "DATA_ROOT": str(tmp_path / "data"), "DAGSTER_HOME": str(tmp_path)}
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "--port",
        str(port),
        "--workspace",
        str(ROOT / "workspace.yaml"),
    ]
    log = tmp_path / "dev.log"
    with log.open("w") as sink:
        dev = subprocess.Popen(command, env=env, cwd=ROOT, stdout=sink, stderr=sink, start_new_session=True)
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}"), "dagster dev to answer")
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }"
        with closing(GraphQL(f"http://127.0.0.1:{port}")) as graphql:
            answer = graphql.ask(query, {})
        jobs = {job["name"] for job in answer["repositoriesOrError"]["nodes"][0]["jobs"]}
        assert jobs >= {"backtest", "cleanup_task_results"}
    finally:
        os.killpg(dev.pid, signal.SIGINT)
        try:
            dev.wait(PATIENCE_S)
        finally:
            if dev.poll() is None:
                os.killpg(dev.pid, signal.SIGKILL)
