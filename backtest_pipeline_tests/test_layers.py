"""Who may import whom: downwards only, and Dagster only where the flow is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import backtest_pipeline

PACKAGE = Path(backtest_pipeline.__file__).parent

ALLOWED = {
    "model": set(),
    "settings": {"model"},
    "engine": {"model"},
    "strategies": {"model", "engine", "settings"},
    "backtest": {"model", "engine", "strategies"},
    "warm": {"model", "backtest", "strategies"},
    "storage": {"model"},
    "reports": {"model"},
    "sdk": {"model", "storage", "strategies", "settings"},
    "rendering": {"model", "reports", "storage"},
    "web": {"model", "storage", "settings"},
    "service": {"model", "sdk", "settings", "web"},
    "orchestration": {
        "model",
        "engine",
        "strategies",
        "backtest",
        "reports",
        "rendering",
        "storage",
        "settings",
        "web",
    },
    "definitions": {"orchestration", "settings", "strategies"},
    "worker_preload": {"definitions", "orchestration", "model", "settings", "storage", "warm"},
    "cli": {
        "model",
        "engine",
        "strategies",
        "backtest",
        "orchestration",
        "reports",
        "rendering",
        "storage",
        "sdk",
        "service",
        "warm",
        "settings",
    },
}
WITHOUT_DAGSTER = sorted(set(ALLOWED) - {"orchestration", "definitions", "worker_preload"})


def _modules(room: str) -> list[str]:
    paths = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else (PACKAGE / room).rglob("*.py")
    relative = (path.relative_to(PACKAGE.parent).with_suffix("") for path in paths)
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in relative)


def _imports(module: str) -> set[str]:
    path = PACKAGE.parent.joinpath(*module.split("."))
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_every_room_of_the_package_has_a_rule() -> None:
    rooms = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    for module in _modules(room):
        for imported in _imports(module):
            parts = imported.split(".")
            if parts[0] == "backtest_pipeline" and len(parts) > 1 and parts[1] != room:
                assert parts[1] in ALLOWED[room], f"{module} imports {imported}"
                if (room, parts[1]) == ("strategies", "engine"):
                    assert parts[2] == "indicators", f"{module} imports {imported}"


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


@pytest.mark.parametrize("name", backtest_pipeline.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(backtest_pipeline, name).__name__ == name
