"""The same request gives the same bytes as before the package was laid out in rooms.

`recorded_digests.json` was computed by running `recorded_requests.py` on the code as of commit 5cf4b82. The
last commit before the layout (0eedb04) and the layout itself (9527a26) give the same 48 digests but one: the
equity of `whole units at the close`, where 2b23e30 later mended the days before its first symbol begins.
A change that means to change results records the digests anew and says so in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.strategies import builtin
from backtest_pipeline_tests.engine.recorded_requests import (
    REQUESTS,
    digests_of,
    run_recorded,
    table_sha256,
)

RECORDED = json.loads(Path(__file__).with_name("recorded_digests.json").read_text(encoding="utf-8"))

CAME_LATER = {
    "atr_channel_breakout",
    "bollinger_limit",
    "equal_weight",
    "inverse_volatility",
    "momentum_rotation",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_gives_the_recorded_tables(name: str) -> None:
    result = run_recorded(name)
    assert len(result.trades) > 0
    assert digests_of(result) == RECORDED[name]


def test_the_recorded_requests_are_these_and_run_every_builtin_strategy_that_there_was() -> None:
    assert RECORDED.keys() == REQUESTS.keys()
    files = {path.stem for path in Path(builtin.__path__[0]).glob("*.py")} - {"__init__"}
    assert {request["strategy"] for request in REQUESTS.values()} == files - CAME_LATER


def test_a_digest_notices_the_last_bit_a_moment_a_name_and_a_type() -> None:
    table = pd.DataFrame(
        {"at": pd.to_datetime(["2024-01-02"], utc=True).as_unit("us"), "x": [1.0], "s": ["a"]}
    )
    others = [
        table.assign(x=np.nextafter(1.0, 2.0)),
        table.assign(x=1),
        table.assign(at=table["at"] + pd.Timedelta(microseconds=1)),
        table.assign(s="b"),
        table.rename(columns={"x": "y"}),
        pd.concat([table, table]),
    ]
    digests = {table_sha256(one) for one in [table, *others]}
    assert len(digests) == 1 + len(others)
    assert table_sha256(table.copy()) == table_sha256(table)
