"""The guide's table of sources: every command in it imports a file as that source writes it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.commands.candle_commands import candles_app
from backtest_pipeline.settings import get_settings
from backtest_pipeline_tests.candles.source_files import FILES

GUIDE = Path(__file__).parents[2] / "docs" / "candles.md"
ROW = re.compile(
    r"^\| (?P<source>[^|`]+) \| [^|]+ \| `(?P<command>[^`]*backtest candles import [^`]+)` \|$", re.MULTILINE
)
SOURCES = {row["source"]: row["command"] for row in ROW.finditer(GUIDE.read_text())}


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_table_has_fifteen_sources_and_a_file_for_each() -> None:
    assert len(SOURCES) >= 15
    assert sorted(_file_of(command) for command in SOURCES.values()) == sorted(FILES)


@pytest.mark.parametrize("source", SOURCES)
def test_the_command_for_a_source_imports_its_bars(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, arguments = _split(SOURCES[source])
    for name in ("CANDLE_TIMEZONE", *environment):
        monkeypatch.setenv(name, environment.get(name, "UTC"))
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    name = _file_of(SOURCES[source])
    write, bars = FILES[name]
    Path(name).write_bytes(write())

    result = CliRunner().invoke(candles_app, [*arguments[2:], "--json"])

    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["rows_new"], report["gaps"]["count"]) == (len(bars), 0)
    stored = CandleStore("data").load([report["symbol"]], report["timeframe"])[report["symbol"]].to_frame()
    local = stored.assign(
        timestamp=stored["timestamp"].dt.tz_convert(environment.get("CANDLE_TIMEZONE", "UTC"))
    )
    if report["timeframe"] == "1d":  # the day is the market's own
        assert [f"{at:%Y-%m-%d %H:%M}" for at in local["timestamp"]] == [
            f"{bar[0]:%Y-%m-%d %H:%M}" for bar in bars
        ]
    else:
        assert stored["timestamp"].tolist() == [bar[0] for bar in bars]
    assert stored[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == [
        list(bar[1:]) for bar in bars
    ]


def _split(command: str) -> tuple[dict[str, str], list[str]]:
    words = shlex.split(command)
    first = words.index("backtest")
    return dict(word.split("=", 1) for word in words[:first]), words[first:]


def _file_of(command: str) -> str:
    _, words = _split(command)
    return words[words.index("import") + 1]
