"""The user guide's tables of a request's fields against the request itself."""

from __future__ import annotations

import re

from pydantic_core import PydanticUndefined

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model.request_groups import simple_first
from backtest_pipeline_tests.docs.pages import ROOT

_WRITTEN = {"none": None, "false": False}


def _table() -> dict[str, str]:
    """Field: default as the guide writes it, emphasis and code marks taken away."""
    _, _, after = (ROOT / "docs" / "user-guide.md").read_text().partition("### The request\n")
    rows = [
        line.split("|")[1:3]
        for line in after.partition("### In the web UI\n")[0].splitlines()
        if line.startswith("| `")
    ]
    return {name: default.strip(" *`") for names, default in rows for name in re.findall(r"`(\w+)`", names)}


def test_the_guide_names_every_field_with_its_default() -> None:
    told = _table()
    assert list(told) == simple_first(list(BacktestRequest.model_fields))
    for name, field in BacktestRequest.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined or default in ({}, ()):
            assert told[name] in {"", "none"}, name
        elif isinstance(default, int | float) and not isinstance(default, bool):
            assert float(told[name].replace(" ", "")) == default, name
        else:
            assert _WRITTEN.get(told[name], told[name]) == default, name
