"""What tests share: a data root of their own, and which of them run in the same process."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.orchestration.dagster_internals.compat import overrides
from backtest_pipeline.settings import get_settings
from backtest_pipeline.strategies import registry
from backtest_pipeline_tests.orchestration.resting_orders import RestingOrders

_ON_A_DATABASE = re.compile(r"\[(postgres|sqlite)\b")
# Their tests share the acceptance tests' pipeline on SQLite.
_WITH_SQLITE = ("test_browser.py", "test_command_line.py", "test_readme.py", "test_sweeps.py")
# Folders and files whose tests start the pipeline or PostgreSQL, or install something.
_WITH_SERVICES = (
    "/acceptance/",
    "/docs/",
    "/deploy/test_backup.py",
    "/deploy/test_wheel.py",
)
# Their tests share the containers.
_IN_CONTAINERS = ("test_containers.py", "test_deployment.py")


@pytest.fixture
def resting_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the strategy `resting_orders` for one test, and for no other of the process."""
    monkeypatch.setattr(registry, "_by_hand", {**registry._by_hand, RestingOrders.name: RestingOrders})


@pytest.fixture
def own_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data root for whoever asks the settings: a demo may have left results where tests run."""
    folder = tmp_path / "data"
    monkeypatch.setenv("DATA_ROOT", str(folder))
    get_settings.cache_clear()
    yield folder
    get_settings.cache_clear()


def pytest_configure() -> None:
    """Lets tests interrupt themselves, also in a background job, which a shell starts with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def group_of(test_id: str) -> str:
    """The tests that share services: each database's, the documents', and otherwise a file's."""
    file = test_id.partition("::")[0]
    database = _ON_A_DATABASE.search(test_id)
    if database:
        return database[1]
    if file.endswith(_WITH_SQLITE):
        return "sqlite"
    if file.endswith(_IN_CONTAINERS):
        return "containers"
    return "docs" if "/docs/" in file else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `scripts/test --fast` leaves out."""
    for item in items:
        file = f"/{item.nodeid.partition('::')[0]}"
        if any(place in file for place in _WITH_SERVICES) or "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.service)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each group of tests to one process, which starts their services once."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  only where it is used

    overrides(LoadScopeScheduling, "_split_scope", used_by=LoadScopeScheduling.schedule)

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # untyped
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)
