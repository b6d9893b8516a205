"""The package as it is installed from a wheel, away from this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from backtest_pipeline_tests.acceptance.live import backtest_up, free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT])
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`backtest` in an environment of its own, which has this one's libraries and not its repository.

    A folder named by a `.pth` file is searched, and the `.pth` files in it, as an editable install has one,
    are not read.
    """
    environment = tmp_path_factory.mktemp("environment")
    _run([sys.executable, "-m", "venv", environment])
    python = environment / "bin" / "python"
    _run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel])
    [site] = environment.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    found = _run([python, "-c", "import backtest_pipeline as ours; print(ours.__file__)"], cwd=environment)
    assert Path(found.strip()).is_relative_to(site)
    _take_compiled_kernels(site / "backtest_pipeline")
    return environment / "bin" / "backtest"


def _take_compiled_kernels(package: Path) -> None:
    """Take over the machine code of the same sources, which Numba knows by their size and time of change."""
    for source in (ROOT / "backtest_pipeline").rglob("*.py"):
        kernels = list(source.parent.glob(f"__pycache__/{source.stem}.*.nb[ic]"))
        if kernels:
            copy = package / source.relative_to(ROOT / "backtest_pipeline")
            shutil.copystat(source, copy)
            copy.parent.joinpath("__pycache__").mkdir(exist_ok=True)
            for kernel in kernels:
                shutil.copy2(kernel, copy.parent / "__pycache__")


def _run(arguments: list[str | Path], **options: object) -> str:
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300, **options)  # type: ignore[call-overload]
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return str(ended.stdout)


def test_a_wheel_has_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = {name for name in names if not name.startswith("backtest_pipeline/")}
    assert all(".dist-info/" in name for name in inside)
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "backtest_pipeline").rglob("*.py")}
    assert sources <= names
    assert {"backtest_pipeline/py.typed", "backtest_pipeline/dagster.yaml"} <= names


def test_the_service_from_a_wheel_runs_a_backtest_on_demo_candles(command: Path, tmp_path: Path) -> None:
    port = free_port()
    places = {"DATA_ROOT": str(tmp_path / "data"), "DAGSTER_HOME": str(tmp_path / "home")}
    env = {**os.environ, **places, "BACKTEST_URL": f"http://127.0.0.1:{port}", "PYTHONPATH": ""}
    options = {"env": env, "cwd": tmp_path}
    _run([command, "candles", "demo"], **options)
    with backtest_up(port, env, str(command), tmp_path):
        printed = _run([command, "run", "sma_cross", "--symbols", "AAPL", "--json"], **options)
    task_id = json.loads(printed)["task_id"]
    manifest = json.loads((tmp_path / "data" / "tasks" / task_id / "manifest.json").read_text())
    assert manifest["status"] == "completed"
    assert manifest["summary"]["symbols_processed"] == 1
