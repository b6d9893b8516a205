"""Which tests run in the same process, where several processes share them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from backtest_pipeline.orchestration.dagster_internals.compat import overrides

_ON_A_DATABASE = re.compile(r"\[(postgres|sqlite)\b")
# Their tests share the acceptance tests' pipeline on SQLite.
_WITH_SQLITE = ("test_browser.py", "test_command_line.py", "test_readme.py")
# Their tests share the containers.
_IN_CONTAINERS = ("test_containers.py", "test_deployment.py")


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each group of tests to one process, which starts their services once."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  only where it is used

    overrides(LoadScopeScheduling, "_split_scope", used_by=LoadScopeScheduling.schedule)

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # untyped
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)
