"""No client finds what happens to lie in the folder where the tests run."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_published(own_data_root: object) -> None:
    """Results are where a test puts them, and nowhere else."""
