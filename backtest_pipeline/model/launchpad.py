"""Addresses of the launchpad, filled in with a run config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import yaml

from backtest_pipeline.model import tags

FIRST_FIELDS = ("strategy", "symbols", "timeframe")
"""What people look at first in a backtest's run config."""


def launchpad_path(job: str, config: str = "") -> str:
    """Path of a job's launchpad on the web server.

    Args:
        job: name of the job.
        config: what stands in it, as YAML.
    """
    path = f"/locations/{tags.CODE_LOCATION}/jobs/{job}/playground/setup"
    return f"{path}?config={quote(config)}" if config else path


def launchpad_yaml(
    config: Mapping[str, Any], first: tuple[str, ...] = (), empty: tuple[str, ...] = ()
) -> str:
    """A run config as people read it: what matters first, fields without a value left out.

    Args:
        config: JSON values.
        first: which fields come first, in this order.
        empty: which fields are written though they have no value.
    """
    ordered = {**{name: config[name] for name in first}, **config}
    written = {name: value for name, value in ordered.items() if value is not None or name in empty}
    return str(yaml.safe_dump(written, sort_keys=False, default_flow_style=False, allow_unicode=True))
