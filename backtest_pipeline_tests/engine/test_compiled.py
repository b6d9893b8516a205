"""Kernels that call kernels of other files are renewed with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher

from backtest_pipeline.engine.compiled import sources_digest
from backtest_pipeline.research import trial_kernel

HELPER = """
from backtest_pipeline.engine.compiled import compiled, types

@compiled(types.float64(types.float64))
def changed(value):
    return value {operator} 2.0
"""
CALLER = """
import helper
from backtest_pipeline.engine.compiled import compiled, compiled_within, sources_digest, types
from helper import changed

@compiled_within
def twice(value):
    return changed(changed(value))

def made(sources):
    @compiled(types.Tuple((types.float64, types.unicode_type))(types.float64))
    def both(value):
        return twice(value), sources
    return both

both = made(sources_digest(helper))
"""


def _answer(folder: Path, operator: str) -> float:
    (folder / "helper.py").write_text(HELPER.format(operator=operator))
    (folder / "caller.py").write_text(CALLER)
    os.utime(folder / "caller.py", (1_000_000_000, 1_000_000_000))  # to Numba it is the same file
    code = "import caller; print(caller.both(5.0)[0]); print(sum(caller.both.stats.cache_hits.values()))"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    answer, hits = done.stdout.split()
    assert int(hits) in {0, 1}
    return float(answer) + 1_000 * int(hits)


@pytest.mark.slow
def test_a_kernel_is_renewed_when_a_file_changes_that_it_calls(tmp_path: Path) -> None:
    assert _answer(tmp_path, "+") == 9
    assert _answer(tmp_path, "+") == 1_009  # from the cache
    assert _answer(tmp_path, "*") == 20
    assert _answer(tmp_path, "+") == 1_009


def test_the_kernel_of_trials_is_renewed_with_every_file_whose_kernels_it_calls() -> None:
    called, waiting = {trial_kernel.__name__}, [trial_kernel.__name__]
    while waiting:
        members = vars(sys.modules[waiting.pop()]).values()
        found = {member.__module__ for member in members if isinstance(member, CPUDispatcher)}
        waiting += found - called
        called |= found
    constants = {"backtest_pipeline.research.kernel_arrays"}
    assert set(trial_kernel.SOURCES) == called - {trial_kernel.__name__} | constants
    digest = sources_digest(*(sys.modules[name] for name in trial_kernel.SOURCES))
    assert trial_kernel.run_trials.py_func.__closure__[0].cell_contents == digest
