"""Commands that need the server ask for it before anything heavy is imported."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest_pipeline.cli.command_group import PLACES
from backtest_pipeline.cli.first_look import ASKING, missing_server
from backtest_pipeline.settings import get_settings

HEAVY = ("pandas", "numpy", "numba", "pyarrow", "httpx", "typer", "backtest_pipeline.strategies")
_RUN = f"""
import sys
from backtest_pipeline.cli.entry import main
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address at which nobody listens, as the setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("BACKTEST_URL", url)
        get_settings.cache_clear()
        yield url
    get_settings.cache_clear()


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit", "sma_cross", "--symbols", "AAPL"],
        ["run", "sma_cross", "--symbols", "AAPL"],
        ["sweep", "sma_cross", "--symbols", "AAPL", "--vary", "fast=5,10"],
        ["status", "last"],
        ["wait", "last"],
        ["cancel", "last"],
        ["list"],
    ],
)
def test_a_server_that_is_missing_is_named_and_nothing_heavy_was_imported(
    nobody: str, arguments: list[str]
) -> None:
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"backtest: no answer from {nobody} (")
    assert done.stderr.endswith("start it with `backtest up` or set BACKTEST_URL\n")
    assert done.stdout == "[]\n"
    assert time.monotonic() - began_s < 30  # of which 1 s is waiting, and the rest how busy this machine is


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--version"],
        ["submit"],
        ["submit", "--help"],
        ["run", "sma_cross", "-h"],
        ["list", "--offline"],
        ["list", "--foreign"],
        ["result", "last"],
        ["staus", "last"],
    ],
)
@pytest.mark.usefixtures("nobody")
def test_what_needs_no_server_is_not_kept_from_its_work(arguments: list[str]) -> None:
    assert missing_server(arguments) is None


def test_the_address_may_stand_in_a_file_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKTEST_URL", "")  # so that what the file sets is taken back
    monkeypatch.delenv("BACKTEST_URL")
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / ".env").write_text(f"BACKTEST_URL={url}/\n")
        get_settings.cache_clear()
        assert f"no answer from {url} (" in str(missing_server(["list"]))
    get_settings.cache_clear()


def test_settings_that_cannot_be_used_are_named_before_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLE_TIMEZONE", "Mars/Olympus")
    get_settings.cache_clear()
    assert "CANDLE_TIMEZONE" in str(missing_server(["list"]))
    get_settings.cache_clear()


def test_each_command_that_asks_is_one() -> None:
    assert set(PLACES) > ASKING
