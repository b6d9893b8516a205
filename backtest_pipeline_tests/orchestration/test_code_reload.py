"""When a code server's code is behind, and what it reads again."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

import pytest

from backtest_pipeline.model.errors import StrategyFaulty
from backtest_pipeline.orchestration.dagster_internals import code_reload
from backtest_pipeline.orchestration.dagster_internals.code_reload import CodeOnDisk, forget_modules
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies import registry

Changed = dict[str, str | None]


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Changed:
    """What has changed on disk, as strategies and digests."""
    found: Changed = {}
    monkeypatch.setattr(code_reload, "changed_code", lambda: dict(found))
    return found


def test_code_is_behind_from_the_moment_that_a_file_is_written(changed: Changed) -> None:
    code = CodeOnDisk()
    assert not code.is_behind()
    changed["mine"] = "a"
    assert code.is_behind()
    changed.clear()
    assert not code.is_behind(), "it was written back"


def test_code_has_settled_once_two_looks_see_the_same(changed: Changed) -> None:
    code = CodeOnDisk()
    changed["mine"] = "a"
    assert not code.has_settled()
    changed["mine"] = "b"
    assert not code.has_settled(), "files are written one after another"
    assert code.has_settled()
    changed.clear()
    code.loaded()
    assert not code.has_settled()


def test_code_that_does_not_load_is_not_tried_again_before_it_changes(changed: Changed) -> None:
    code = CodeOnDisk()
    changed["mine"] = "broken"
    code.has_settled()
    assert code.has_settled()
    code.could_not_be_loaded()
    assert not code.is_behind()
    assert not code.has_settled()
    changed["mine"] = "mended"
    assert code.is_behind()
    assert not code.has_settled()
    assert code.has_settled()


def test_where_no_strategy_could_be_loaded_there_is_nothing_to_compare_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty() -> list[str]:
        raise StrategyFaulty("mine", "cannot be imported")

    monkeypatch.setattr(registry, "changed_strategies", faulty)
    assert not CodeOnDisk().is_behind()


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """An operator's strategy with a helper beside it, imported; all modules are put back afterwards."""
    source = """
        import numpy as np
        from backtest_pipeline import Signals, Strategy
        from helper_of_the_forgotten import BAR

        class Forgotten(Strategy):
            name = "forgotten"

            def signals(self, candles, params):
                return Signals(entry=np.arange(len(candles)) == BAR)
    """
    (tmp_path / "strategies_to_forget.py").write_text(textwrap.dedent(source))
    (tmp_path / "helper_of_the_forgotten.py").write_text("BAR = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("BACKTEST_STRATEGIES", "strategies_to_forget")
    kept = dict(sys.modules)
    get_settings.cache_clear()
    registry._installed.cache_clear()
    registry.strategies()
    yield kept
    sys.modules.clear()
    sys.modules.update(kept)
    get_settings.cache_clear()
    registry._installed.cache_clear()


def test_the_pipelines_and_the_operators_modules_are_read_again_and_others_are_not(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    compiled = Path(cache_from_source(str(tmp_path / "helper_of_the_forgotten.py")))
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(b"fresh within its second")
    assert {"strategies_to_forget", "helper_of_the_forgotten"} <= set(sys.modules)
    forget_modules()
    assert not {"strategies_to_forget", "helper_of_the_forgotten"} & set(sys.modules)
    assert "backtest_pipeline.strategies.registry" not in sys.modules
    assert "backtest_pipeline.engine.run" not in sys.modules
    assert not compiled.exists()
    assert {"numpy", "dagster", "backtest_pipeline"} <= set(sys.modules)


@pytest.mark.usefixtures("modules")
def test_code_that_left_nothing_loaded_is_mended_once_its_module_was_written_and_has_settled(
    tmp_path: Path,
) -> None:
    module = tmp_path / "strategies_to_forget.py"
    good = module.read_text()
    module.write_text("this is no Python")
    os.utime(module, (1_000, 1_000))
    code = CodeOnDisk()
    code.loaded()
    assert not any(code.has_been_mended() for _ in range(3)), "nobody has written it"
    module.write_text(good)
    os.utime(module, (2_000, 2_000))
    assert not code.has_been_mended(), "it may still be written"
    assert code.has_been_mended()
    code.loaded()
    assert not any(code.has_been_mended() for _ in range(3))


def test_what_serves_meanwhile_is_not_forgotten(modules: dict[str, ModuleType]) -> None:
    room = "backtest_pipeline.orchestration.dagster_internals"
    names = [f"{room}.{name}" for name in ("warm_server", "compat", "submission_channel", "code_reload")]
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    assert len(before) > 1
    forget_modules()
    assert {name: sys.modules[name] for name in before} == before
