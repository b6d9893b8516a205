"""Which tests run in the same process, where several processes share them."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives each database's and the documents' tests one process, which starts their services once."""
    callspec = getattr(item, "callspec", None)
    group = callspec.params.get("database") if callspec else None
    if "sqlite_pipeline" in getattr(item, "fixturenames", ()):
        group = "sqlite"
    shared = "docs" if "docs" in item.path.parts else item.path.name
    item.add_marker(pytest.mark.xdist_group(str(group or shared)))
