"""A request whose result is there already is answered by that task, and only then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.request_model import digest_of
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.orchestration.jobs import submissions
from backtest_pipeline.orchestration.tasks import same_result
from backtest_pipeline.orchestration.tasks.same_result import SameResult
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.strategies.registry import code_sha256_of, resolve
from backtest_pipeline_tests.results.finer import finer_candles, rates_of, store_rates
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, store_candles, wandering

ASKED: dict[str, Any] = {"strategy": "sma_cross", "params": {"fast": 3, "slow": 8}}


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """A task of all the store's candles, which has completed."""
    store_candles(tmp_path, wandering())
    publish(tmp_path, wandering())
    return tmp_path


def _found(
    data_root: Path, among: tuple[str, ...] = (TASK,), submitted_code: str | None = None, **changes: Any
) -> str | None:
    request = BacktestRequest(**{**ASKED, "symbols": ["ACME"], **changes})
    same = SameResult(TaskStore(data_root), CandleStore(data_root))
    return same.task_id(resolve(request).request, among, submitted_code)


def test_the_same_request_on_the_same_candles_by_the_same_code_has_the_same_result(data_root: Path) -> None:
    assert _found(data_root) == TASK


def test_parameters_left_at_their_defaults_are_the_same_as_written_out(data_root: Path) -> None:
    publish(data_root, wandering(), task_id=OTHER, request={"params": {"fast": 10, "slow": 20}})
    assert _found(data_root, (OTHER,), params={}) == OTHER


@pytest.mark.parametrize(
    "changes",
    [
        {"fee_bps": 11},
        {"params": {"fast": 4, "slow": 8}},
        {"labels": {"desk": "fx"}},
        {"seed": 1},
        {"pinned": True},
    ],
)
def test_another_request_has_another_result_whatever_it_is_compared_with(
    data_root: Path, changes: dict[str, Any]
) -> None:
    assert _found(data_root, **changes) is None


def test_another_benchmark_or_changed_candles_of_it_have_another_result(data_root: Path) -> None:
    other = wandering("BETA", seed=2)
    store_candles(data_root, other)
    Layout(data_root).symbol_record("BETA").write_text(
        '{"calendar": "XNYS", "quote": "USD", "timezone": "America/New_York"}'
    )
    publish(data_root, wandering(), other, task_id=OTHER, request={"symbols": ["ACME"], "benchmark": "BETA"})
    assert _found(data_root, (TASK, OTHER), benchmark="BETA") == OTHER
    assert _found(data_root, (OTHER, TASK)) == TASK
    store_candles(data_root, wandering("BETA", seed=3))
    assert _found(data_root, (TASK, OTHER), benchmark="BETA") is None


def _more_candles(data_root: Path) -> None:
    store_candles(data_root, wandering(bars=201))


def _corrected_candle(data_root: Path) -> None:
    candles = wandering()
    volume = candles.volume + np.where(np.arange(len(candles)) == 100, 1.0, 0.0)
    store_candles(data_root, replace(candles, volume=volume))


def _other_code(data_root: Path) -> None:
    rewrite(data_root, lambda of: of["environment"].update(code_sha256="0" * 64))


def _unknown_code(data_root: Path) -> None:
    rewrite(data_root, lambda of: of["environment"].pop("code_sha256"))


def _other_version(data_root: Path) -> None:
    rewrite(data_root, lambda of: of["environment"].update(backtest_pipeline="0.0.1"))


def _not_completed(data_root: Path) -> None:
    rewrite(data_root, lambda of: of.update(status="failed"))


def _damaged(data_root: Path) -> None:
    path = Layout(data_root).task(TASK) / "trades.parquet"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _incomplete(data_root: Path) -> None:
    (Layout(data_root).task(TASK) / "equity.parquet").unlink()


def _expired(data_root: Path) -> None:
    Layout(data_root).task(TASK).rename(data_root / "gone")


def _expires_soon(data_root: Path) -> None:
    moment = (datetime.now(UTC) + timedelta(hours=11)).isoformat()
    rewrite(data_root, lambda of: of["timestamps"].update(expires_at=moment))


def _no_candles(data_root: Path) -> None:
    (data_root / "ACME").rename(data_root / "gone")


def _unreadable_candles(data_root: Path) -> None:
    Layout(data_root).candle_file("ACME", "1d", 2020).write_bytes(b"no parquet")


def _no_manifest_of_ours(data_root: Path) -> None:
    Layout(data_root).manifest(TASK).write_text("{")


def _other_calendar(data_root: Path) -> None:
    (data_root / "ACME" / "symbol.json").write_text(SymbolRecord.of("XKRX").model_dump_json())


@pytest.mark.parametrize(
    "change",
    [
        _more_candles,
        _corrected_candle,
        _other_code,
        _unknown_code,
        _other_version,
        _not_completed,
        _damaged,
        _incomplete,
        _expired,
        _expires_soon,
        _no_candles,
        _unreadable_candles,
        _no_manifest_of_ours,
        _other_calendar,
    ],
)
def test_whatever_makes_the_result_another_or_unknown_lets_the_request_run(
    data_root: Path, change: Callable[[Path], object]
) -> None:
    change(data_root)
    assert _found(data_root) is None


def test_a_result_that_lives_for_another_thirteen_hours_is_taken(data_root: Path) -> None:
    moment = (datetime.now(UTC) + timedelta(hours=13)).isoformat()
    rewrite(data_root, lambda of: of["timestamps"].update(expires_at=moment))
    assert _found(data_root) == TASK


def test_a_pinned_request_takes_no_result_whose_pin_is_gone(data_root: Path) -> None:
    publish(data_root, wandering(), task_id=OTHER, request={"pinned": True})
    assert _found(data_root, (OTHER,), pinned=True) == OTHER
    TaskStore(data_root).pin(OTHER, pinned=False, ttl_days=0)
    assert _found(data_root, (OTHER,), pinned=True) is None


def test_the_preferred_one_is_taken_and_a_damaged_one_passed_over(data_root: Path) -> None:
    publish(data_root, wandering(), task_id=OTHER)
    assert _found(data_root, (OTHER, TASK)) == OTHER
    (Layout(data_root).task(OTHER) / "equity.parquet").unlink()
    assert _found(data_root, (OTHER, TASK)) == TASK


def test_a_recorded_calendar_does_not_matter_where_the_request_names_one(data_root: Path) -> None:
    publish(data_root, wandering(), task_id=OTHER, request={"calendar": "24/7"})
    _other_calendar(data_root)
    assert _found(data_root, (OTHER,), calendar="24/7") == OTHER


def test_a_result_must_be_of_the_code_that_its_submitter_has(data_root: Path) -> None:
    assert _found(data_root, submitted_code=code_sha256_of("sma_cross")) == TASK
    assert _found(data_root, submitted_code="0" * 64) is None


@pytest.mark.parametrize("name", ["code_sha256_on_disk_of", "code_sha256_of"])
def test_code_without_sources_and_code_that_is_not_loaded_answer_nothing(
    data_root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(same_result, name, lambda *_: None)
    rewrite(data_root, lambda of: of["environment"].update(code_sha256=None))
    assert _found(data_root) is None


def test_the_symbols_order_is_part_of_the_request(data_root: Path) -> None:
    other = wandering("BETA", seed=2)
    store_candles(data_root, other)
    publish(data_root, wandering(), other, task_id=OTHER)
    assert _found(data_root, (OTHER,), symbols=["ACME", "BETA"]) == OTHER
    assert _found(data_root, (OTHER,), symbols=["BETA", "ACME"]) is None


def test_the_second_symbols_candles_count_as_well(data_root: Path) -> None:
    publish(data_root, wandering(), wandering("BETA", seed=2), task_id=OTHER)
    store_candles(data_root, wandering("BETA", seed=3))
    assert _found(data_root, (OTHER,), symbols=["ACME", "BETA"]) is None


def test_no_candles_are_read_where_no_task_can_be_the_one(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CandleStore, "load", lambda *_: pytest.fail("read in vain"))
    assert _found(data_root, fee_bps=11) is None
    assert _found(data_root, ()) is None


def test_it_gives_up_between_two_symbols(data_root: Path) -> None:
    publish(data_root, wandering(), wandering("BETA", seed=2), task_id=OTHER)
    store_candles(data_root, wandering("BETA", seed=2))
    answers = iter([False, True])
    asked = resolve(BacktestRequest(**ASKED, symbols=["ACME", "BETA"])).request
    tasks, candles = TaskStore(data_root), CandleStore(data_root)
    assert SameResult(tasks, candles).task_id(asked, [OTHER], None) == OTHER
    assert SameResult(tasks, candles, gives_up=lambda: next(answers)).task_id(asked, [OTHER], None) is None


def test_the_code_server_answers_with_the_task_or_with_nothing(own_data_root: Path) -> None:
    store_candles(own_data_root, wandering())
    publish(own_data_root, wandering())
    config = to_run_config(BacktestRequest(**ASKED, symbols=["ACME"]))
    question = {"same_result": config, "among": [TASK], "submitted_code": None}
    assert submissions.answer(question) == {"task_id": TASK}
    assert submissions.answer({**question, "among": [OTHER]}) == {}
    assert "backtest_pipeline.sdk.reuse" not in sys.modules


def test_candles_of_the_warm_up_are_part_of_what_makes_a_result_the_same(data_root: Path) -> None:
    asked = {"start": "2020-04-01"}
    publish(data_root, wandering().slice(91 - 8, 200), task_id=OTHER, request=asked)
    assert _found(data_root, (OTHER,), **asked) == OTHER
    assert _found(data_root, (OTHER,), **asked, warmup_bars=8) is None, "other words, though the same bars"
    moved = wandering()
    moved = replace(moved, close=np.where(np.arange(200) == 91 - 9, moved.low, moved.close))
    store_candles(data_root, moved)
    assert _found(data_root, (OTHER,), **asked) == OTHER, "the bar before the warm-up decides nothing"
    moved = replace(moved, close=np.where(np.arange(200) == 91 - 8, moved.low, moved.close))
    store_candles(data_root, moved)
    assert _found(data_root, (OTHER,), **asked) is None


def test_a_result_from_before_there_was_a_warm_up_is_not_that_of_a_request_with_one(data_root: Path) -> None:
    asked = {"start": "2020-04-01"}
    publish(data_root, wandering().slice(91, 200), task_id=OTHER, request={**asked, "warmup_bars": 0})

    def as_then(manifest: dict[str, Any]) -> None:
        del manifest["request"]["warmup_bars"]
        manifest["request_digest"] = digest_of(manifest["request"])

    rewrite(data_root, as_then, OTHER)
    assert _found(data_root, (OTHER,), **asked) is None


INSIDE: dict[str, Any] = {"detail_timeframe": "4h", "funding": True}


@pytest.fixture
def inside(data_root: Path) -> Path:
    """A task that also saw finer candles, but for those of the first day, and funding rates."""
    store_candles(data_root, finer_candles(wandering(), days=slice(1, None)))
    store_rates(data_root, rates_of(wandering()))
    publish(data_root, wandering(), task_id=OTHER, request=INSIDE)
    return data_root


def test_finer_candles_and_funding_rates_are_part_of_what_makes_a_result_the_same(inside: Path) -> None:
    assert _found(inside, (TASK, OTHER), **INSIDE) == OTHER
    assert _found(inside, (OTHER, TASK)) == TASK


@pytest.mark.parametrize(
    "change",
    [
        lambda root: store_candles(root, finer_candles(wandering())),
        lambda root: store_candles(root, finer_candles(wandering(), days=slice(2, None))),
        lambda root: store_rates(root, rates_of(wandering(), 0.0002)),
        lambda root: Layout(root).funding("ACME").unlink(),
    ],
    ids=["a day more", "a day fewer", "other rates", "no rates"],
)
def test_other_finer_candles_or_rates_let_the_request_run(
    inside: Path, change: Callable[[Path], object]
) -> None:
    change(inside)
    assert _found(inside, (OTHER,), **INSIDE) is None
