"""`backtest candles download` and `update` as people run them, killed and interrupted included."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline.candles.sources.downloads import DownloadProgress
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.commands.candle_commands import candles_app
from backtest_pipeline.cli.download_bar import speed_text
from backtest_pipeline.settings import SettingsInvalid, get_settings
from backtest_pipeline_tests.exchanges.conftest import Serve
from backtest_pipeline_tests.exchanges.exchange_files import (
    FIRST_S,
    NOW_S,
    SPARSE,
    approx,
    exchange_of,
    files_of,
    stored,
)
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket
from backtest_pipeline_tests.polling import until

DOWNLOAD = ("download", "--exchange", "upbit", "--symbols", "KRW-BTC", "--timeframe", "1h")


@pytest.fixture
def upbit(serve: Serve, store: CandleStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackExchange]:
    """Upbit on loopback, where the settings say that it is asked."""
    exchange = exchange_of("upbit")
    monkeypatch.setenv("EXCHANGE_URLS", f"upbit={serve(exchange)}")
    monkeypatch.setenv("DATA_ROOT", str(store.layout.data_root))
    monkeypatch.delenv("CANDLE_TIMEZONE", raising=False)
    get_settings.cache_clear()
    yield exchange
    get_settings.cache_clear()


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(candles_app, arguments)


def _started(store: CandleStore, *arguments: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("backtest")), "candles", *arguments]
    environment = os.environ | {"DATA_ROOT": str(store.layout.data_root)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_download_prints_what_it_did(upbit: LoopbackExchange, store: CandleStore) -> None:
    result = _run(*DOWNLOAD)
    assert result.exit_code == 0, result.output
    rows = len(SPARSE.complete(3_600, NOW_S))
    heads, cells = (line.split("\t") for line in result.stdout.splitlines())
    row = dict(zip(heads, cells, strict=True))
    assert row["market"] == "KRW-BTC of upbit"
    assert (row["state"], row["rows new"], row["rows differing"]) == ("updated", str(rows), "0")
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))
    listed = _run("list", "--json")
    assert json.loads(listed.stdout)[0]["calendar"] == "24/7"


def test_since_and_until_are_local_times(
    upbit: LoopbackExchange, store: CandleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nine in Seoul, midnight in UTC, up to before 14:00 there, 05:00 in UTC."""
    monkeypatch.setenv("CANDLE_TIMEZONE", "Asia/Seoul")
    get_settings.cache_clear()
    result = _run(*DOWNLOAD, "--since", "2024-01-05T09:00", "--until", "2024-01-05 14:00", "--json")
    assert result.exit_code == 0, result.output
    wanted = range(FIRST_S + 4 * 86_400, FIRST_S + 4 * 86_400 + 5 * 3_600, 3_600)
    assert set(stored(store, "KRW-BTC")) == set(wanted) & set(SPARSE.rows)
    assert json.loads(result.stdout)[0]["until"] == "2024-01-05T05:00:00+00:00"


def test_an_update_needs_no_names(upbit: LoopbackExchange, store: CandleStore) -> None:
    assert "nothing here came from an exchange" in _run("update").stdout
    until = "2024-02-01"
    assert _run(*DOWNLOAD[:-1], "1h,1d", "--until", until).exit_code == 0
    result = _run("update", "--json")
    assert result.exit_code == 0, result.output
    assert [(one["timeframe"], one["state"]) for one in json.loads(result.stdout)] == [
        ("1h", "updated"),
        ("1d", "updated"),
    ]
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))
    assert stored(store, "KRW-BTC", "1d") == approx(SPARSE.complete(86_400, NOW_S))


def test_an_update_makes_longer_candles_anew(upbit: LoopbackExchange, store: CandleStore) -> None:
    """In the end they are the exchange's own longer candles."""
    assert _run(*DOWNLOAD, "--until", "2024-02-10T10:00").exit_code == 0
    made = _run("resample", "KRW-BTC", "--from", "1h", "--to", "4h")
    assert made.exit_code == 0, made.output
    assert max(stored(store, "KRW-BTC", "4h")) == FIRST_S + 40 * 86_400 + 4 * 3_600
    result = _run("update")
    assert "KRW-BTC 4h: made anew of 1h" in result.stderr
    assert stored(store, "KRW-BTC", "4h") == approx(SPARSE.complete(14_400, NOW_S))
    checked = json.loads(_run("check", "--json").stdout)
    assert [(one["timeframe"], one["rows_partial"]) for one in checked] == [("1h", 0), ("4h", 0)]


def test_a_correction_is_a_line_with_what_to_do(upbit: LoopbackExchange, store: CandleStore) -> None:
    assert _run(*DOWNLOAD).exit_code == 0
    last_s = max(SPARSE.complete(3_600, NOW_S))
    opened, high, low, close, _ = SPARSE.rows[last_s]
    rows = SPARSE.rows | {last_s: (opened, high, low, close, 777.5)}
    upbit.markets["KRW-BTC"] = MadeMarket(3_600, rows)
    result = _run("update")
    assert result.exit_code == 0
    assert f"{SPARSE.rows[last_s][4]!r} kept, though the exchange now gives 777.5" in result.stderr
    assert "add --refresh" in result.stderr
    result = _run("update", "--refresh")
    assert "replaced by 777.5" in result.stderr
    assert stored(store, "KRW-BTC")[last_s][4] == 777.5


def test_a_failure_ends_with_status_1_and_what_to_do(upbit: LoopbackExchange) -> None:
    upbit.faults.extend(["418"])
    result = _run(*DOWNLOAD)
    assert result.exit_code == 1
    assert "upbit refuses this address until" in result.stderr
    assert "run the same command after that time" in result.stderr


def test_names_that_are_wrong_are_usage_or_named(upbit: LoopbackExchange) -> None:
    assert _run("download", "--exchange", "upbit", "--symbols", "KRW-BTC", "--timeframe", "2h").exit_code == 2
    assert _run(*DOWNLOAD, "--until", "2024-01-10").exit_code == 0
    assert "KRW-BTD came from no exchange or folder (did you mean KRW-BTC?)" in str(
        _run("update", "KRW-BTD").exception
    )
    unknown = _run("download", "--exchange", "upbot", "--symbols", "KRW-BTC", "--timeframe", "1h")
    assert "there is no exchange 'upbot' (did you mean upbit?)" in str(unknown.exception)


def test_an_exchange_url_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGE_URLS", "upbit:http://127.0.0.1")
    get_settings.cache_clear()
    with pytest.raises(SettingsInvalid, match=r"EXCHANGE_URLS.*is not like upbit=https://"):
        get_settings()
    get_settings.cache_clear()


@pytest.mark.slow
def test_downloads_killed_at_any_moment_and_resumed_are_those_made_in_one_go(
    upbit: LoopbackExchange, store: CandleStore, tmp_path: Path
) -> None:
    """SIGKILL after a random time, of six markets at once, three times; then the end."""
    markets = {f"KRW-C{number}": MadeMarket.of(FIRST_S, 1_440, seed=number) for number in range(6)}
    upbit.markets |= markets
    asked = (*DOWNLOAD[:4], ",".join(markets), *DOWNLOAD[5:], "--since", "2024-01-01")
    plain = CandleStore(tmp_path / "plain")
    with _started(plain, *asked) as process:
        assert process.communicate()[0]
    chance = random.Random(11)  # noqa: S311  nothing secret
    rows = []
    for _ in range(3):
        upbit.asked.clear()
        with _started(store, *asked) as process:
            until(lambda: bool(upbit.candle_requests()), "a request")
            time.sleep(chance.uniform(0.2, 1.8))  # any moment will do
            process.kill()
        assert process.returncode == -signal.SIGKILL
        rows.append(sum(listing.rows for listing in store.inventory()))
    assert rows[0] < 6 * 1_440  # there was something left to do,
    assert rows[-1] > 0  # and something to go on from
    with _started(store, *asked) as process:
        assert process.communicate()[0]
    assert process.returncode == 0
    assert files_of(store) == files_of(plain)
    for name, market in markets.items():
        assert stored(store, name) == approx(market.complete(3_600, NOW_S))


@pytest.mark.slow
def test_ctrl_c_stores_what_was_fetched(upbit: LoopbackExchange, store: CandleStore) -> None:
    with _started(store, *DOWNLOAD, "--since", "2024-01-01") as process:
        until(lambda: len(upbit.candle_requests()) >= 3, "three pages")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"stopped; what was fetched is stored" in errors
    assert 0 < len(stored(store, "KRW-BTC")) < len(SPARSE.complete(3_600, NOW_S))
    assert _run(*DOWNLOAD).exit_code == 0
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))


def test_the_time_left_follows_from_what_is_done() -> None:
    """A quarter in 30 s leaves 90 s; 6,000 candles in 30 s are 200 a second."""
    progress = DownloadProgress(done_frac=0.25, rows=6_000, ended=1, series=4, label="KRW-BTC 1h")
    assert speed_text(progress, 30.0) == "1 of 4 series, 200 candles/s, 1:30 left"
    long = DownloadProgress(done_frac=0.01, rows=6_000, ended=0, series=1, label="KRW-BTC 1m")
    assert speed_text(long, 40.0) == "0 of 1 series, 150 candles/s, 1:06:00 left"
