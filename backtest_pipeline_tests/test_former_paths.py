import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import backtest_pipeline
from backtest_pipeline.former_paths import FORMER_PATHS
from backtest_pipeline.local_service.home import prepare


@pytest.mark.parametrize("former", FORMER_PATHS)
def test_a_former_path_gives_the_module_of_today(former: str) -> None:
    present = importlib.import_module(FORMER_PATHS[former])
    assert importlib.import_module(former) is present
    assert present.__name__ == FORMER_PATHS[former]
    assert present.__spec__ is not None
    assert present.__spec__.name == FORMER_PATHS[former]


@pytest.mark.parametrize(
    ("former", "names"),
    [
        ("backtest", ["run_backtest"]),
        ("model.signals", ["Signals", "Strategy", "StrategyParams"]),
        ("storage.candle_store", ["CandleStore"]),
    ],
)
def test_the_public_names_can_be_imported_by_their_former_paths(former: str, names: list[str]) -> None:
    module = importlib.import_module(f"backtest_pipeline.{former}")
    assert all(getattr(module, name) is getattr(backtest_pipeline, name) for name in names)


def test_what_never_was_is_still_missing() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"backtest_pipeline\.storage\.nothing"):
        importlib.import_module("backtest_pipeline.storage.nothing")


@pytest.mark.slow
@pytest.mark.parametrize("process", ["code_server", "daemon", "web_server"])
def test_a_unit_file_that_names_a_process_by_its_former_path_still_starts_it(
    process: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", f"backtest_pipeline.orchestration.{process}", "--help"]
    done = subprocess.run(
        command,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage:")


@pytest.mark.slow
def test_an_operators_own_dagster_yaml_with_former_paths_still_gives_an_instance(tmp_path: Path) -> None:
    """A file without our first line is the operator's, and no start of the service changes it."""
    before = tmp_path / "dagster.yaml"
    before.write_text(
        """
run_coordinator:
  module: backtest_pipeline.orchestration.coordinator
  class: BacktestRunCoordinator
run_launcher:
  module: backtest_pipeline.orchestration.launcher
  class: BacktestRunLauncher
compute_logs:
  module: backtest_pipeline.orchestration.compute_logs
  class: BacktestComputeLogManager
telemetry:
  enabled: false
"""
    )
    prepare(tmp_path)
    code = (
        "import sys; from dagster import DagsterInstance\n"
        "with DagsterInstance.from_config(sys.argv[1]) as instance:\n"
        "    parts = instance.run_coordinator, instance.run_launcher, instance.compute_log_manager\n"
        "    print(*(type(part).__module__ for part in parts))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    room = "backtest_pipeline.orchestration.dagster_internals"
    assert done.stdout.split() == [f"{room}.{name}" for name in ("coordinator", "launcher", "compute_logs")]
