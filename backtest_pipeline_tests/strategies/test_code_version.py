"""The digest of the code that decides a result changes with that code and with nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from backtest_pipeline import Signals, Strategy
from backtest_pipeline.strategies.code_version import DECIDING, PACKAGE, code_sha256
from backtest_pipeline.strategies.registry import code_sha256_of, strategies

STRATEGY = """
import numpy as np
{imports}

from backtest_pipeline import Signals, Strategy

class Mine(Strategy):
    \"\"\"Does nothing.\"\"\"

    name = "mine"

    def signals(self, candles, params):
        return Signals(entry=np.zeros(len(candles), dtype=bool))
"""
ASK = """
import importlib
from backtest_pipeline.strategies.code_version import code_sha256
print(code_sha256(importlib.import_module({module!r}).Mine))
"""


def _digest(folder: Path, module: str = "mine") -> str:
    """As a fresh process tells it."""
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(module=module)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_built_in_strategies_hang_on_the_package_alone() -> None:
    digests = {code_sha256_of(name) for name in strategies()}
    [digest] = digests
    assert digest is not None
    assert len(digest) == 64


def test_what_decides_a_result_is_where_it_was() -> None:
    assert all((PACKAGE / name).exists() for name in DECIDING)


def test_an_unknown_strategy_or_one_without_sources_has_no_digest() -> None:
    assert code_sha256_of("nobody_knows_it") is None
    typed: dict[str, object] = {"Strategy": Strategy, "Signals": Signals, "__name__": "typed_in"}
    exec("class Mine(Strategy):\n    name = 'mine'\n    def signals(self, c, p): ...", typed)  # noqa: S102  as a notebook does
    assert code_sha256(typed["Mine"]) is None


@pytest.mark.slow
def test_an_operators_module_counts_and_a_change_is_noticed_by_the_next_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STRATEGY.format(imports=""))
    first = _digest(tmp_path)
    assert first == _digest(tmp_path)
    assert first != code_sha256_of("sma_cross")
    (tmp_path / "mine.py").write_text(STRATEGY.format(imports="") + "# changed\n")
    assert _digest(tmp_path) != first


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports", ["import beside", "from beside import WINDOW", "import between", "from pack import deep"]
)
def test_modules_beside_it_count_where_they_are_imported(tmp_path: Path, imports: str) -> None:
    (tmp_path / "pack").mkdir()
    changed = tmp_path / ("pack/deep.py" if "pack" in imports else "beside.py")
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "pack" / "deep.py").write_text("WINDOW = 3\n")
    (tmp_path / "beside.py").write_text("WINDOW = 3\n")
    (tmp_path / "between.py").write_text("from beside import WINDOW\n")
    (tmp_path / "unused.py").write_text("WINDOW = 3\n")
    (tmp_path / "mine.py").write_text(STRATEGY.format(imports=imports))
    first = _digest(tmp_path)
    (tmp_path / "unused.py").write_text("WINDOW = 4\n")
    assert _digest(tmp_path) == first
    changed.write_text("WINDOW = 4\n")
    assert _digest(tmp_path) != first


def test_relative_imports_within_a_package_count(tmp_path: Path) -> None:
    package = tmp_path / "desk"
    (package / "ideas").mkdir(parents=True)
    for name in ("__init__.py", "ideas/__init__.py"):
        (package / name).touch()
    (package / "rules.py").write_text("WINDOW = 3\n")
    (package / "ideas" / "mine.py").write_text(STRATEGY.format(imports="from ..rules import WINDOW"))
    first = _digest(tmp_path, "desk.ideas.mine")
    (package / "rules.py").write_text("WINDOW = 4\n")
    assert _digest(tmp_path, "desk.ideas.mine") != first


def test_packages_around_a_module_count_as_their_code_runs_before(tmp_path: Path) -> None:
    package = tmp_path / "desk"
    (package / "ideas").mkdir(parents=True)
    for name in ("__init__.py", "ideas/__init__.py"):
        (package / name).write_text("WINDOW = 3\n")
    (package / "ideas" / "mine.py").write_text(STRATEGY.format(imports="import desk.ideas"))
    digests = {_digest(tmp_path, "desk.ideas.mine")}
    for name in ("__init__.py", "ideas/__init__.py"):
        (package / name).write_text("WINDOW = 4\n")
        digests.add(_digest(tmp_path, "desk.ideas.mine"))
    assert len(digests) == 3


LAZY = """
import importlib, sys
from backtest_pipeline.strategies.code_version import code_sha256, code_sha256_on_disk
mine = importlib.import_module("mine").Mine
print(code_sha256(mine))
import beside
print(code_sha256_on_disk(mine))
"""


def test_what_is_imported_only_when_a_strategy_runs_counts_before(tmp_path: Path) -> None:
    """Else a process that has run the strategy would tell another digest than one that has not."""
    lazy = STRATEGY.format(imports="").replace("        return", "        import beside\n        return")
    (tmp_path / "mine.py").write_text(lazy)
    (tmp_path / "beside.py").write_text("WINDOW = 3\n")
    done = subprocess.run(
        [sys.executable, "-c", LAZY], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    before, after = done.stdout.split()
    assert before == after
    (tmp_path / "beside.py").write_text("WINDOW = 4\n")
    assert _digest(tmp_path) != before


CHANGING = """
import importlib, sys
from pathlib import Path
from backtest_pipeline.strategies.code_version import changed_since_loaded, code_sha256, code_sha256_on_disk
mine = importlib.import_module("mine").Mine
loaded = code_sha256(mine)

def told():
    on_disk, changed = code_sha256_on_disk(mine), changed_since_loaded([mine])
    return [code_sha256(mine) == loaded, on_disk == loaded, changed == [mine]]

steps = [told()]
path = Path("mine.py")
source = path.read_text()
for text in (source + "# changed", source, "this is no Python"):
    path.write_text(text)
    steps.append(told())
path.unlink()
steps.append(told())
print(steps)
"""


def test_what_is_loaded_and_what_is_on_disk_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STRATEGY.format(imports=""))
    done = subprocess.run(
        [sys.executable, "-c", CHANGING], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    same, changed = [True, True, False], [True, False, True]
    assert ast.literal_eval(done.stdout) == [same, changed, same, changed, changed]


def test_where_the_module_lies_does_not_matter(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(STRATEGY.format(imports=""))
    assert _digest(tmp_path / "one") == _digest(tmp_path / "two")
