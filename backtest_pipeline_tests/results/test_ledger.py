"""The ledger: no row lost, none twice, whoever writes, gathers or dies."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from backtest_pipeline.results import ledger as ledger_module
from backtest_pipeline.results.earlier_trials import EarlierTrials, earlier_trials
from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.made_ledger import NEW_YEAR, STRATEGY, ledger_row


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Layout(tmp_path))


def _tasks(ledger: Ledger) -> list[str]:
    return sorted(ledger.table(STRATEGY).column("task_id").to_pylist())


def _asked(ledger: Ledger, *, days_later: int = 0) -> EarlierTrials:
    first = NEW_YEAR - timedelta(days=100 - days_later)
    return earlier_trials(ledger, STRATEGY, ["ACME", "BETA"], "1d", first, first + timedelta(days=50))


def test_a_row_comes_back_as_it_was(ledger: Ledger) -> None:
    row = ledger_row(1, user="김", symbols=("ACME", "BETA"), sharpe=None)
    ledger.append(row)
    [found] = ledger.table(STRATEGY).to_pylist()
    assert {name: found[name] for name in ("user", "symbols", "at", "sharpe", "trials")} == {
        "user": "김", "symbols": "ACME,BETA", "at": row.at, "sharpe": None, "trials": 1,
    }  # fmt: skip
    assert ledger.strategies() == [STRATEGY]


def test_a_task_that_is_run_again_counts_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SMALL_FILES", 1)
    ledger.append(ledger_row(1))
    ledger.compact(STRATEGY)
    ledger.append(ledger_row(1, at=NEW_YEAR + timedelta(hours=1)))
    assert _asked(ledger).trials == 1
    ledger.compact(STRATEGY)  # the row lies in two files now
    assert _asked(ledger).trials == 1
    assert len(_tasks(ledger)) == 1


def test_the_same_settings_in_another_task_are_no_new_trial(ledger: Ledger) -> None:
    ledger.append(ledger_row(1))
    ledger.append(ledger_row(2, settings_sha256=f"{1:064x}"))
    found = _asked(ledger)
    assert (found.trials, found.tasks) == (1, 2)
    ledger.append(ledger_row(3, settings_sha256=f"{1:064x}", code_sha256="changed"))
    assert _asked(ledger).trials == 2


def test_only_trials_on_these_candles_count(ledger: Ledger) -> None:
    ledger.append(ledger_row(1, symbols=("BETA", "GAMA")))
    ledger.append(ledger_row(2, symbols=("GAMA",)))
    ledger.append(ledger_row(3, timeframe="1h"))
    ledger.append(ledger_row(4, last=NEW_YEAR - timedelta(days=101)))
    ledger.append(ledger_row(5, strategy="momentum"))
    found = _asked(ledger)
    assert found == EarlierTrials(1, 1, NEW_YEAR + timedelta(minutes=1), None)
    assert _asked(ledger, days_later=200).trials == 0


def test_the_variance_is_that_of_all_trials_together(ledger: Ledger) -> None:
    groups = [np.array([0.1, 0.3, -0.2]), np.array([0.05]), np.array([0.0, 0.4])]
    for number, group in enumerate(groups):
        facts = {"rated": len(group), "mean_sharpe": group.mean(), "sharpe_variance": group.var()}
        ledger.append(ledger_row(number, trials=len(group), **facts))
    ledger.append(ledger_row(9, trials=4, rated=0, mean_sharpe=None, sharpe_variance=None, sharpe=None))
    found = _asked(ledger)
    assert found.trials == 3 + 1 + 2 + 4
    assert found.sharpe_variance == pytest.approx(np.concatenate(groups).var(ddof=1))


def test_gathering_keeps_every_row(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SMALL_FILES", 2)
    monkeypatch.setattr(ledger_module, "FILES_PER_LEVEL", 3)
    for number in range(40):
        ledger.append(ledger_row(number))
        ledger.compact(STRATEGY)
    assert len(_tasks(ledger)) == len(set(_tasks(ledger))) == 40
    assert _asked(ledger).trials == 40
    folder = next(Layout(ledger._root.parent).ledger.iterdir())
    assert len(list(folder.rglob("*.parquet"))) <= 3 * 3  # 40 rows / 2, in threes on three levels


def test_a_file_that_is_no_row_is_passed_over(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.append(ledger_row(1))
    folder = next(Layout(ledger._root.parent).ledger.iterdir()) / "new"
    (folder / "torn.json").write_text('{"at": ')
    assert len(_tasks(ledger)) == 1
    assert "torn.json" in caplog.text


@pytest.mark.slow
def test_writers_that_are_killed_lose_no_row_and_leave_none_twice(ledger: Ledger) -> None:
    """Three write and gather at once on one volume; one is killed in the middle, and its task is retried."""
    script = Path(__file__).with_name("made_ledger.py")
    root = str(ledger._root.parent)

    def writer(first: int, stop: int) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), root, str(first), str(stop)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    killed, others = writer(0, 100_000), [writer(100_000, 100_400), writer(200_000, 200_400)]
    assert killed.stdout is not None
    safe = [killed.stdout.readline() for _ in range(250)]
    killed.kill()
    rest, _ = killed.communicate()
    written = len([line for line in [*safe, *rest.splitlines()] if line])
    for other in others:
        other.communicate()
        assert other.returncode == 0
    ledger.append(ledger_row(written - 1))  # the retry of what was written last
    tasks = _tasks(ledger)
    assert len(tasks) == len(set(tasks))
    assert len(tasks) - 800 in {written, written + 1}  # one more, where it was killed before it could say so
