"""What imports load: Dagster only where the flow is, and nothing heavy by the package itself.

Who may import whom is a matter of the import contracts in `pyproject.toml`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import backtest_pipeline

PACKAGE = Path(backtest_pipeline.__file__).parent
WITH_DAGSTER = {"orchestration", "definitions"}
WITHOUT_DAGSTER = sorted(
    {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    - WITH_DAGSTER
    - {"__init__"}
)


def _modules(room: str) -> list[str]:
    paths = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else (PACKAGE / room).rglob("*.py")
    relative = (path.relative_to(PACKAGE.parent).with_suffix("") for path in paths)
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in relative)


@pytest.mark.parametrize("room", WITHOUT_DAGSTER)
def test_a_room_below_the_flow_never_loads_dagster(room: str) -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {_modules(room)!r}: importlib.import_module(name)\n"
        "assert 'dagster' not in sys.modules, sorted(m for m in sys.modules if m.startswith('dagster'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, backtest_pipeline\n"
        "print([name for name in ('dagster', 'numba', 'numpy', 'pandas', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_search_loads_the_libraries_of_other_searches_in_no_case() -> None:
    code = (
        "import sys\n"
        "from backtest_pipeline import BacktestRequest, SweepRequest\n"
        "from backtest_pipeline.research.search.kinds import search_of\n"
        "backtest = BacktestRequest(strategy='sma_cross', symbols=['A'])\n"
        "search_of(SweepRequest(backtest=backtest, space={'fee_bps': [1, 2]})).points(0, 2)\n"
        "print([name for name in ('optuna', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", backtest_pipeline.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(backtest_pipeline, name).__name__ == name
