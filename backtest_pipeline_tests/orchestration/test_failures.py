"""What becomes of an error in an op: our message, whether a retry may help, and a manifest at the end.

(Dagster reads annotations: no future import here.)
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from backtest_pipeline import Candles, Signals, Strategy, StrategyParams
from backtest_pipeline.engine.inputs import signals_of
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import (
    AttemptSuperseded,
    BacktestError,
    StorageFull,
    StrategyFaulty,
)
from backtest_pipeline.orchestration.jobs.backtest import backtest
from backtest_pipeline.orchestration.tasks.failures import reported
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import store_candles, wandering

REQUEST = {"strategy": {"sma_cross": {"fast": 3}}, "symbols": ["ACME"]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    store_candles(tmp_path / "data", wandering())
    return Settings(data_root=tmp_path / "data")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def _run(
    settings: Settings, instance: dg.DagsterInstance, config: dict[str, Any], **run_tags: str
) -> dg.DagsterRun:
    """The whole job in this process, as it stands afterwards."""
    return _executed(backtest, settings, instance, config, run_tags)


def _executed(
    job: dg.JobDefinition,
    settings: Settings,
    instance: dg.DagsterInstance,
    config: dict[str, Any],
    run_tags: dict[str, str],
) -> dg.DagsterRun:
    done = job.execute_in_process(
        config,
        instance=instance,
        resources={"run_context": RunContext(settings)},
        tags={name.replace("__", "/"): value for name, value in run_tags.items()},
        raise_on_error=False,
    )
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    return run


@pytest.mark.parametrize(
    ("config", "kind", "says"),
    [
        ({"symbols": ["TSLA", "NVDA"]}, "SymbolsUnknown", "no 1d candles of TSLA, NVDA; it has ACME"),
        ({"timeframe": "1h"}, "SymbolsUnknown", "no 1h candles of ACME; it has candles of 1d only"),
        ({"end": "1995-12-31"}, "CandlesMissing", "no ACME 1d candles from the first to 1995-12-31"),
        ({"strategy": {"sma_cross": {"fast": 0}}}, "ParamsInvalid", "sma_cross cannot use these parameters"),
        ({"fee_bps": -1.0}, "RequestInvalid", "fee_bps: Input should be greater than or equal to 0, not -1"),
    ],
)
def test_what_passed_the_gate_unresolved_is_refused_by_the_first_op(
    settings: Settings, instance: dg.DagsterInstance, config: dict[str, Any], kind: str, says: str
) -> None:
    run = _run(settings, instance, {**REQUEST, **config}, dagster__max_retries="2")
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert says in run.tags[tags.ERROR]
    assert run.tags[tags.STAGE] == "failed: loading candles"
    assert run.tags[tags.MAX_RETRIES] == "0", "bad input is never tried again"
    manifest = TaskStore(settings.data_root).manifest(run.run_id)
    assert manifest.status == "failed"
    assert manifest.error is not None
    assert (manifest.error.type, manifest.error.retryable) == (kind, False)
    assert manifest.error.message == run.tags[tags.ERROR]


def test_a_request_that_the_gate_has_resolved_runs(settings: Settings, instance: dg.DagsterInstance) -> None:
    run = _run(settings, instance, REQUEST)
    assert run.status == dg.DagsterRunStatus.SUCCESS
    manifest = TaskStore(settings.data_root).manifest(run.run_id)
    assert manifest.params == {"fast": 3, "slow": 20}
    assert run.tags[tags.REQUEST_DIGEST] == manifest.request_digest


def _failing(error: BaseException) -> Callable[..., dg.DagsterRun]:
    """A job of one op that raises so where errors are reported."""

    @dg.op(
        required_resource_keys={"run_context"},
        config_schema={"strategy": dict, "symbols": [str]},
        ins={},
    )
    def fails(context: dg.OpExecutionContext) -> None:
        with reported(context, "working"):
            raise error

    @dg.job(config=dg.ConfigMapping(lambda of: {"ops": {"fails": {"config": of}}}))
    def failing() -> None:
        fails()

    def run(settings: Settings, instance: dg.DagsterInstance, **run_tags: str) -> dg.DagsterRun:
        return _executed(failing, settings, instance, REQUEST, run_tags)

    return run


class Misspelt(Strategy):
    """Asks for closes that candles do not have."""

    name = "misspelt"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        return Signals(entry=candles.closes > 1)  # type: ignore[attr-defined]  # the mistake


def test_a_strategy_that_raises_is_shown_with_its_line_and_its_trace_is_logged(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    with pytest.raises(StrategyFaulty) as caught:
        signals_of(Misspelt(), StrategyParams(), wandering())
    run = _failing(caught.value)(settings, instance)
    lines = Path(__file__).read_text().splitlines()
    [number] = [at for at, line in enumerate(lines, 1) if line.startswith("        return Signals(entry=")]
    shown = f"{Path(__file__).name} line {number}: return Signals(entry=candles.closes > 1)"
    assert "raised AttributeError on ACME" in run.tags[tags.ERROR]
    assert shown in run.tags[tags.ERROR]
    error = TaskStore(settings.data_root).manifest(run.run_id).error
    assert error is not None
    assert shown in error.message
    assert (error.file, error.line) == (__file__, number)
    assert error.source == " ".join(lines[number - 1].split())
    logged = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert any("Traceback" in text and "in signals" in text for text in logged)


def _of_strategy(cause: BaseException) -> StrategyFaulty:
    error = StrategyFaulty("mine", "it raised")
    error.__cause__ = cause
    return error


def _name(error: BaseException) -> str:
    return "-".join(type(one).__name__ for one in (error, error.__cause__) if one)


PASSING: list[BaseException] = [
    OSError(5, "Input/output error"),
    MemoryError(),
    OperationalError("SELECT 1", {}, Exception("the connection broke")),
    StorageFull("/data", needed=2, free=1),
    _of_strategy(OSError(28, "No space left on device")),
    _of_strategy(MemoryError()),
]
LASTING: list[BaseException] = [
    ValueError("a fault of ours"),
    StrategyFaulty("mine", "entry must hold bool"),
    _of_strategy(ZeroDivisionError()),
    BacktestError("something else"),
]


@pytest.mark.parametrize("error", PASSING, ids=_name)
def test_what_may_pass_is_left_to_another_attempt(
    settings: Settings, instance: dg.DagsterInstance, error: BaseException
) -> None:
    run = _failing(error)(settings, instance, dagster__max_retries="2")
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert run.tags[tags.MAX_RETRIES] == "2"
    assert run.tags[tags.STAGE] == "failed: working"
    assert not Layout(settings.data_root).manifest(run.run_id).exists(), "the task has not ended"


@pytest.mark.parametrize("error", PASSING, ids=_name)
def test_what_may_pass_is_final_in_the_last_attempt(
    settings: Settings, instance: dg.DagsterInstance, error: BaseException
) -> None:
    run = _failing(error)(settings, instance, dagster__max_retries="0")
    manifest = TaskStore(settings.data_root).manifest(run.run_id)
    assert manifest.error is not None
    assert (manifest.status, manifest.error.retryable) == ("failed", True), "submitted later, it may succeed"


@pytest.mark.parametrize("error", LASTING, ids=_name)
def test_what_would_come_again_ends_the_task_at_once(
    settings: Settings, instance: dg.DagsterInstance, error: BaseException
) -> None:
    run = _failing(error)(settings, instance, dagster__max_retries="2")
    assert run.tags[tags.MAX_RETRIES] == "0"
    manifest = TaskStore(settings.data_root).manifest(run.run_id)
    assert manifest.error is not None
    assert (manifest.error.type, manifest.error.stage) == (type(error).__name__, "working")


def test_an_attempt_that_comes_too_late_writes_nothing_down(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    run = _failing(AttemptSuperseded("a", 1, 2))(settings, instance, dagster__max_retries="2")
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert tags.ERROR not in run.tags
    assert not Layout(settings.data_root).manifest(run.run_id).exists()
