"""scripts/backup and scripts/restore on SQLite; PostgreSQL is in acceptance/test_deployment.py."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.acceptance.live import broken_candles, free_port
from backtest_pipeline_tests.deploy.settled import wait_for_manifest, wait_for_report
from backtest_pipeline_tests.polling import PATIENCE_S

ROOT = Path(__file__).parents[2]


def _run(name: str, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs one of the scripts on the data and the home in a folder."""
    env = {**os.environ, "DATA_ROOT": str(folder / "data"), "DAGSTER_HOME": str(folder / "home")}
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def _contents(folder: Path) -> dict[str, bytes]:
    """Every file that is not hidden, with its content."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "/." not in f"/{name}"}


def _service(folder: Path) -> LocalService:
    settings = Settings(data_root=folder / "data", dagster_home=folder / "home")
    return LocalService(settings, port=free_port())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with some data and no database, as before the first start, and its backup `one.backup`."""
    folder = tmp_path_factory.mktemp("kept")
    year = folder / "data" / "IBM" / "1D" / "2020.parquet"
    year.parent.mkdir(parents=True)
    year.write_bytes(b"candles of a year")
    (year.parent / ".2021.parquet.77.tmp").write_bytes(b"half of a ye")
    made = _run("backup", folder, folder / "one.backup")
    assert made.returncode == 0, made.stderr
    return folder


def test_a_wiped_service_comes_back_with_its_tasks_their_states_and_their_results(tmp_path: Path) -> None:
    backup = tmp_path / "all.backup"
    import_demo(CandleStore(tmp_path / "data"))
    service = _service(tmp_path)
    requests = [
        BacktestRequest(strategy="sma_cross", symbols=["AAPL"], labels={"desk": "a"}),
        BacktestRequest(strategy="buy_and_hold", symbols=["BROKEN"]),  # its candles cannot be read
    ]
    with service.running(), BacktestClient(service.url, data_root=tmp_path / "data") as client:
        tasks = [client.wait(client.submit(requests[0]).task_id, timeout_s=PATIENCE_S)]
        wait_for_report(tmp_path / "data", tasks[0].task_id)  # left out where another task waits
        with broken_candles(tmp_path / "data"):
            tasks.append(client.wait(client.submit(requests[1]).task_id, timeout_s=PATIENCE_S))
            wait_for_manifest(tmp_path / "data", tasks[1].task_id)
        assert [task.state for task in tasks] == ["completed", "failed"]
        made = _run("backup", tmp_path, backup)
        assert made.returncode == 0, made.stderr
        refused = _run("restore", tmp_path, "--force", backup)
        assert "is running already" in refused.stderr
        assert client.status(tasks[0].task_id) == tasks[0]  # and goes on undisturbed
    before = _contents(tmp_path / "data")

    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / "home")
    assert _run("restore", tmp_path, backup).returncode == 0
    assert _contents(tmp_path / "data") == before
    assert "the database knows of runs and there are files in" in _run("restore", tmp_path, backup).stderr
    again = _service(tmp_path)
    with again.running(), BacktestClient(again.url, data_root=tmp_path / "data") as client:
        assert client.statuses([task.task_id for task in tasks]) == tasks
        assert client.list_tasks() == sorted(tasks, key=lambda task: task.submitted_at, reverse=True)
    layout = Layout(tmp_path / "data")
    assert [verify_task(layout, task.task_id).problems for task in tasks] == [[], []]
    assert not list((tmp_path / "data").glob(".backup-*"))
    assert not list((tmp_path / "data").glob(".restore-*"))


def test_what_is_there_is_replaced_only_when_asked_and_kept_aside(kept: Path, tmp_path: Path) -> None:
    backup, year = kept / "one.backup", tmp_path / "data" / "IBM" / "1D" / "2020.parquet"
    year.parent.mkdir(parents=True)
    year.write_bytes(b"other candles")
    refused = _run("restore", tmp_path, backup)
    assert refused.returncode == 1
    assert f"there are files in {tmp_path / 'data'}; --force replaces that" in refused.stderr
    assert year.read_bytes() == b"other candles"
    assert _run("restore", tmp_path, "--force", backup).returncode == 0
    assert _contents(tmp_path / "data") == {
        "IBM/1D/2020.parquet": b"candles of a year"
    }  # nothing half written
    (aside,) = (tmp_path / "data").glob(".before-restore-*")
    assert (aside / "IBM" / "1D" / "2020.parquet").read_bytes() == b"other candles"


def test_an_earlier_backup_is_not_overwritten(kept: Path) -> None:
    before = (kept / "one.backup").read_bytes()
    assert _run("backup", kept, kept / "one.backup").stderr.endswith("exists; name another file\n")
    assert (kept / "one.backup").read_bytes() == before


def test_a_backup_goes_through_a_pipe(kept: Path, tmp_path: Path) -> None:
    piped = tmp_path / "piped"
    script, env = ROOT / "scripts", {**os.environ, "PY": sys.executable}
    line = (
        f'DATA_ROOT={kept}/data DAGSTER_HOME={kept}/home "$PY" {script}/backup.py - | '
        f'DATA_ROOT={piped}/data DAGSTER_HOME={piped}/home "$PY" {script}/restore.py -'
    )
    subprocess.run(["bash", "-o", "pipefail", "-c", line], env=env, check=True, timeout=PATIENCE_S)  # noqa: S607  the shell
    assert _contents(piped / "data") == {"IBM/1D/2020.parquet": b"candles of a year"}


def _rewritten(backup: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> bytes:
    """The same archive with other members."""
    sink = io.BytesIO()
    with tarfile.open(backup) as old, tarfile.open(fileobj=sink, mode="w") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            assert content is not None
            name, text = change(member.name, content.read())
            info = tarfile.TarInfo(name)
            info.size = len(text)
            new.addfile(info, io.BytesIO(text))
    return sink.getvalue()


def _with_flipped_byte(name: str, text: bytes) -> tuple[str, bytes]:
    return name, text.replace(b"candles", b"Candles") if name.endswith(".parquet") else text


def _leading_out(name: str, text: bytes) -> tuple[str, bytes]:
    """Lists a file outside of the folder, with a checksum that is right."""
    if name == "backup.json":
        listing = json.loads(text)
        for file in listing["files"]:
            file["path"] = file["path"].replace("data/IBM/1D", "data/../../..")
        return name, json.dumps(listing).encode()
    return name.replace("data/IBM/1D", "data/../../.."), text


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda backup: _rewritten(backup, _with_flipped_byte), "differs from what was backed up"),
        (lambda backup: _rewritten(backup, _leading_out), "is not one of the files that the backup lists"),
        (lambda backup: backup.read_bytes()[:1_500], "the backup is cut off: 1 files are missing"),
        (lambda _: b"something else", "this is no backup"),
    ],
)
def test_a_backup_that_is_not_whole_touches_nothing(
    kept: Path, tmp_path: Path, damage: Callable[[Path], bytes], says: str
) -> None:
    damaged, empty = tmp_path / "damaged.backup", tmp_path / "empty"
    damaged.write_bytes(damage(kept / "one.backup"))
    refused = _run("restore", empty, damaged)
    assert refused.returncode == 1
    assert says in refused.stderr
    assert list((empty / "data").iterdir()) == []
    assert not (tmp_path / "2020.parquet").exists()
