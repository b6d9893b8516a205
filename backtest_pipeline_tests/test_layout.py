"""Modules are small, and one name stands for one module."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import backtest_pipeline

PACKAGE = Path(backtest_pipeline.__file__).parent
ROOT = PACKAGE.parent
MOST_LINES = 300
LONG = {
    "engine/kernel.py",  # the bar-by-bar rules are compiled as one function and read in one piece
    # A cached kernel is renewed when its own file changes, so what it calls stands there as well.
    "engine/metrics/curve_kernels.py",
}


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines()) for path in _modules()}
    assert len(lines) > 100
    assert {name for name, count in lines.items() if count > MOST_LINES} == LONG


def test_no_two_modules_have_the_same_name() -> None:
    """Of the package, its tests and the scripts; what Python or pytest name is left out."""
    paths = defaultdict(list)
    for folder in (PACKAGE, ROOT / "backtest_pipeline_tests", ROOT / "scripts"):
        for path in folder.rglob("*.py"):
            if path.name not in {"__init__.py", "conftest.py"}:
                paths[path.stem].append(str(path.relative_to(ROOT)))
    assert len(paths) > 400
    assert [same for same in paths.values() if len(same) > 1] == []
