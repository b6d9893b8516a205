"""`backtest candles`, as people and scripts use it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh_sampledata import stocks
from rich.console import Console
from typer.testing import CliRunner, Result

from backtest_pipeline.candles.demo import DemoMissing
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli import output
from backtest_pipeline.cli.commands.candle_commands import candles_app
from backtest_pipeline.cli.main import main
from backtest_pipeline.model.errors import CandlesInvalid, RequestInvalid, SymbolsUnknown
from backtest_pipeline.settings import get_settings

GUIDE = Path(__file__).parents[2] / "docs" / "candles.md"
CSV = "date,open,high,low,close,volume\n2024-05-01,20,24,18,22,500\n2024-05-02,22,23,21,22,900\n"


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """DATA_ROOT of an empty store; the working directory is its parent."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.delenv("CANDLE_TIMEZONE", raising=False)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield tmp_path / "data"
    get_settings.cache_clear()


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(CSV)
    return path


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(candles_app, [str(argument) for argument in arguments])


def _lines(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_an_import_prints_what_it_did(data_root: Path, prices: Path) -> None:
    result = _run("import", prices, "--symbol", "ACME", "--timeframe", "1d")

    assert result.exit_code == 0
    assert _lines(result) == [
        [
            *("symbol", "timeframe", "rows read", "rows new", "rows replaced"),
            *("years", "first", "last", "gaps", "largest gap"),
        ],
        ["ACME", "1d", "2", "2", "0", "2024", "2024-05-01", "2024-05-02", "0", ""],
    ]
    assert (data_root / "ACME" / "1D" / "2024.parquet").is_file()


def test_an_import_says_what_it_assumed(data_root: Path, prices: Path) -> None:
    prices.write_text("24/05/01;20,5;24,0;18,0;22,0;500\n24/05/02;22,0;23,0;21,0;22,0;900\n")
    told = ["--columns", "date,open,high,low,close,volume", "--date-format", "%y/%m/%d"]
    arguments: list[str | Path] = ["import", prices, "--symbol", "ACME", "--timeframe", "1d", *told]

    shown, as_json = _run(*arguments), _run(*arguments, "--json")

    sentence = "commas in numbers were read as decimal signs"
    assert _lines(shown)[1][:4] == ["ACME", "1d", "2", "2"]
    assert shown.stderr == f"store: {data_root}\nassumed: {sentence}\n"
    assert json.loads(as_json.stdout)["assumptions"] == [sentence]


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--encoding=klingon", "'klingon' is no encoding"),
        ("--decimal=;", "neither '.' nor ','"),
        ("--date-format=%", "'%' is no format with year, month and day"),
        ("--date-format=%d/%m", "'%d/%m' is no format with year, month and day"),
        ("--date-format=%d/%m/%y %q", "is no format with year, month and day"),
        ("--date-format=%d/%m/%y %Y", "is no format with year, month and day"),
    ],
)
def test_an_option_that_no_file_could_be_read_by_is_refused(
    option: str, problem: str, data_root: Path, prices: Path
) -> None:
    result = _run("import", prices, "--symbol", "ACME", "--timeframe", "1d", option)

    assert isinstance(result.exception, RequestInvalid)
    assert problem in str(result.exception)
    assert not data_root.exists()


def test_an_import_prints_json_in_utc(data_root: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLE_TIMEZONE", "Asia/Seoul")

    result = _run("import", prices, "--symbol", "ACME", "--timeframe", "1d", "--json")

    assert json.loads(result.stdout) == {
        "symbol": "ACME",
        "timeframe": "1d",
        "rows_read": 2,
        "rows_new": 2,
        "rows_replaced": 0,
        "years": [2024],
        "first": "2024-04-30T15:00:00+00:00",
        "last": "2024-05-01T15:00:00+00:00",
        "gaps": {
            "count": 0,
            "largest_from": None,
            "largest_to": None,
            "largest_bars": 0,
            "calendar": None,
            "missing_sessions": [],
        },
        "assumptions": [],
    }


def test_tables_show_local_days(data_root: Path, prices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLE_TIMEZONE", "Asia/Seoul")
    _run("import", prices, "--symbol", "ACME", "--timeframe", "1d")

    assert _lines(_run("list"))[1][:5] == ["ACME", "1d", "2", "2024-05-01", "2024-05-02"]


def test_the_data_root_option_goes_before_the_environment(
    data_root: Path, prices: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    _run("import", prices, "--symbol", "ACME", "--timeframe", "1d", "--data-root", other)

    assert not data_root.exists()
    assert [entry["symbol"] for entry in json.loads(_run("list", "--json", "--data-root", other).stdout)] == [
        "ACME"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prices.csv", "--symbol", "ACME", "--timeframe", "2d"], "there is no '2d'; choose one of 1m, 5m"),
        (["gone.csv", "--symbol", "ACME", "--timeframe", "1d"], "'gone.csv' does not exist"),
        (["prices.csv", "--timeframe", "1d"], "Missing option '--symbol'"),
    ],
)
def test_wrong_usage_ends_with_status_2(
    arguments: list[str], message: str, data_root: Path, prices: Path
) -> None:
    result = _run("import", *arguments)

    assert result.exit_code == 2
    plain = " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.output).split())
    assert message in plain


def test_bad_candles_are_reported_by_our_errors(data_root: Path, prices: Path) -> None:
    prices.write_text(CSV + "2024-05-03,22,23,21,oops,900\n")

    faulty = _run("import", prices, "--symbol", "ACME", "--timeframe", "1d")
    escaping = _run("import", prices, "--symbol", "../ACME", "--timeframe", "1d")

    assert isinstance(faulty.exception, CandlesInvalid)
    assert str(faulty.exception) == f"ACME: close is no number: 'oops' ({prices}, line 4)"
    assert isinstance(escaping.exception, RequestInvalid)
    assert not data_root.exists()


def test_an_empty_store_says_how_to_fill_it(data_root: Path) -> None:
    assert _run("list").stdout == "no candles yet; see `backtest candles import --help`\n"
    assert json.loads(_run("list", "--json").stdout) == []
    assert _run("check").exit_code == 0


def test_a_sound_store_passes_the_check(data_root: Path, prices: Path) -> None:
    _run("import", prices, "--symbol", "ACME", "--timeframe", "1d")

    result = _run("check")

    assert result.exit_code == 0
    assert _lines(result) == [
        ["symbol", "timeframe", "files", "rows", "faults", "gaps", "largest gap"],
        ["ACME", "1d", "1", "2", "0", "0", ""],
    ]


def _damaged(data_root: Path, prices: Path) -> Path:
    """A store whose first symbol is unreadable and whose second is sound."""
    for symbol in ("ACME", "BETA"):
        _run("import", prices, "--symbol", symbol, "--timeframe", "1d")
    path = data_root / "ACME" / "1D" / "2024.parquet"
    path.write_bytes(path.read_bytes()[:100])
    return path


def test_a_fault_fails_the_check_after_all_files_are_looked_at(data_root: Path, prices: Path) -> None:
    path = _damaged(data_root, prices)

    result = _run("check")

    assert result.exit_code == 1
    assert [line[:5] for line in _lines(result)[1:]] == [
        ["ACME", "1d", "1", "0", "1"],
        ["BETA", "1d", "1", "2", "0"],
    ]
    assert result.stderr.startswith(f"store: {data_root}\nACME: cannot read {path}: ")
    assert _run("check", "BETA").exit_code == 0


def test_faults_are_in_the_json_too(data_root: Path, prices: Path) -> None:
    path = _damaged(data_root, prices)

    result = _run("check", "--json")

    acme, beta = json.loads(result.stdout)
    assert result.exit_code == 1
    assert acme["faults"][0].startswith(f"ACME: cannot read {path}: ")
    assert (beta["symbol"], beta["rows"], beta["faults"]) == ("BETA", 2, [])


def test_checking_an_unknown_symbol_names_the_known_ones(data_root: Path, prices: Path) -> None:
    _run("import", prices, "--symbol", "ACME", "--timeframe", "1d")

    result = _run("check", "NOPE")

    assert isinstance(result.exception, SymbolsUnknown)
    assert str(result.exception) == "the store has no candles of NOPE; it has ACME"


def test_the_demo_brings_five_adjusted_symbols(data_root: Path) -> None:
    first = json.loads(_run("demo", "--json").stdout)
    again = json.loads(_run("demo", "--json").stdout)

    assert [(report["symbol"], report["rows_new"]) for report in first] == [
        ("AAPL", 3_270),
        ("IBM", 3_270),
        ("MSFT", 3_270),
        ("GOOG", 2_148),
        ("FB", 196),
    ]
    assert {report["rows_new"] + report["rows_replaced"] for report in again} == {0}
    aapl = CandleStore(data_root).load(["AAPL"], "1d")["AAPL"]
    # The 2-for-1 split of 28 February 2005 is no fall of a half any more.
    split = int(np.flatnonzero(aapl.timestamp == np.datetime64("2005-02-28"))[0])
    assert aapl.close[split] / aapl.close[split - 1] == pytest.approx(1, abs=0.05)
    assert aapl.close.tolist() == stocks.AAPL["adj_close"]
    assert _lines(_run("check"))[1] == [
        *("AAPL", "1d", "14", "3270", "0", "1"),
        "2001-09-10 to 2001-09-17, 4 bars",
    ]


def test_without_the_demo_extra_the_demo_says_what_to_install(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bokeh_sampledata", None)
    monkeypatch.setitem(sys.modules, "bokeh_sampledata.stocks", None)

    result = _run("demo")

    assert isinstance(result.exception, DemoMissing)
    assert str(result.exception) == (
        "the demo candles come with the extra `demo`, which is not installed; "
        "run `pip install 'backtest-pipeline[demo]'`"
    )


def test_on_a_terminal_there_is_a_table(
    data_root: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run("import", prices, "--symbol", "ACME", "--timeframe", "1d")
    monkeypatch.setattr(output, "console", Console(force_terminal=True, color_system=None, width=200))

    lines = _run("list").stdout.splitlines()

    assert re.split(r" {2,}", lines[0].strip())[:3] == ["symbol", "timeframe", "rows"]
    assert lines[1].split()[:5] == ["ACME", "1d", "2", "2024-05-01", "2024-05-02"]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_every_command_of_the_guide_works(data_root: Path, tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(_blocks("csv")[0])
    commands = re.findall(r"^\$ backtest candles (.*)$", "\n".join(_blocks("console")), re.MULTILINE)
    assert len(commands) == sum(block.count("$ ") for block in _blocks("console"))
    # What exchanges are asked for, test_documents runs at exchanges on loopback.
    alone = [one for one in commands if one.split()[0] not in {"download", "update", "resample"}]
    assert len(alone) == 8

    for command in alone:
        result = _run(*shlex.split(command))
        assert result.exit_code == 0, f"{command}: {result.output}"

    variables: dict[str, Any] = {}
    exec(_blocks("python")[0], variables)  # noqa: S102  the guide's own example
    # Adjusted: 20 * 11 / 22, 24 * 11 / 22 …; traded money stays 22 * 500.
    assert variables["candles"].open.tolist() == [10, 11, 11.5]
    assert variables["candles"].volume.tolist() == [1_000, 900, 700]
    assert variables["report"].years == ()


def test_a_calendar_is_recorded_listed_and_used_by_the_check(data_root: Path, tmp_path: Path) -> None:
    rows = [f"2024-02-{day:02d},20,24,18,22,500" for day in (6, 7, 8, 14, 15)]  # without the 13th
    (tmp_path / "krx.csv").write_text("date,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    _run("import", tmp_path / "krx.csv", "--symbol", "KRX", "--timeframe", "1d", "--calendar", "XKRX")
    coins = [f"2024-01-{day:02d},20,24,18,22,500" for day in range(1, 32)]
    (tmp_path / "coin.csv").write_text("date,open,high,low,close,volume\n" + "\n".join(coins) + "\n")
    _run("import", tmp_path / "coin.csv", "--symbol", "COIN", "--timeframe", "1d")

    listed = {row["symbol"]: (row["calendar"], row["calendar_recorded"]) for row in _listed()}
    assert listed == {"KRX": ("XKRX", True), "COIN": ("24/7", False)}
    assert _lines(_run("check"))[2][5:] == ["1", "2024-02-08 to 2024-02-14, 1 bars; without 2024-02-13"]


def test_an_unknown_calendar_is_refused_with_names_like_it(data_root: Path, prices: Path) -> None:
    done = _run("import", prices, "--symbol", "ACME", "--timeframe", "1d", "--calendar", "XNYC")
    assert isinstance(done.exception, RequestInvalid)
    assert "there is no calendar 'XNYC'; did you mean XNYS" in str(done.exception)
    assert not data_root.exists()


def _listed() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(_run("list", "--json").stdout)
    return rows


def test_a_data_root_that_cannot_be_written_is_one_line(
    data_root: Path, prices: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data_root.write_text("a file, and no folder")
    arguments = ["candles", "import", str(prices), "--symbol", "ACME", "--timeframe", "1d"]
    monkeypatch.setattr(sys, "argv", ["backtest", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"backtest: {data_root}")
    assert last.endswith("let it be written, or set DATA_ROOT to a folder that can be")
