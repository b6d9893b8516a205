"""Which tests run in the same process, where several processes share them."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each database's and the documents' tests one process, which starts their services once."""
    for item in items:
        database = getattr(item, "callspec", None) and item.callspec.params.get("database")  # type: ignore[attr-defined]
        if "sqlite_pipeline" in getattr(item, "fixturenames", ()):
            database = "sqlite"
        shared = "docs" if "docs" in item.path.parts else item.path.name
        item.add_marker(pytest.mark.xdist_group(str(database or shared)))
