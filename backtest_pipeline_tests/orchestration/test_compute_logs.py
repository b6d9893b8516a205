"""What a worker prints reaches the run's page and the server's log, without processes beside the worker."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PRINTING = """
import os, signal, subprocess, sys
from pathlib import Path
from dagster import instance_for_test
from backtest_pipeline.orchestration.dagster_internals.compute_logs import BacktestComputeLogManager

where, ending = sys.argv[1:]
module = "backtest_pipeline.orchestration.dagster_internals.compute_logs"
mine = {"module": module, "class": "BacktestComputeLogManager"}
with instance_for_test({"compute_logs": mine}, temp_dir=where) as instance:
    print("before")
    with instance.compute_log_manager.capture_logs(["a-run", "compute_logs", "step"]):
        print("from Python")
        print("trouble", file=sys.stderr)
        children = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        subprocess.run(["echo", "from a child"], check=True)
        print("children:", "".join(children) or "none")
        sys.stdout.flush()
        if ending == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
    print("after")
    print("complete:", instance.compute_log_manager.is_capture_complete(["a-run", "compute_logs", "step"]))
"""


def _printed(home: Path, ending: str) -> tuple[subprocess.CompletedProcess[str], str, str]:
    done = subprocess.run(
        [sys.executable, "-u", "-c", PRINTING, str(home), ending],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    kept = home / "storage" / "a-run" / "compute_logs"
    return done, (kept / "step.out").read_text(), (kept / "step.err").read_text()


@pytest.mark.slow
def test_output_is_kept_for_the_page_and_copied_to_the_log(tmp_path: Path) -> None:
    done, out, err = _printed(tmp_path, "well")
    assert out == "from Python\nfrom a child\nchildren: none\n"
    assert err == "trouble\n"
    assert done.stdout == f"before\n{out}after\ncomplete: True\n"
    assert done.stderr == err
    assert done.returncode == 0


@pytest.mark.slow
def test_a_killed_worker_leaves_what_it_had_printed(tmp_path: Path) -> None:
    done, out, err = _printed(tmp_path, "killed")
    assert done.returncode == -signal.SIGKILL
    assert out == "from Python\nfrom a child\nchildren: none\n"
    assert err == "trouble\n"
