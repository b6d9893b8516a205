"""Every field of a request has its effect by every entrance, or is refused there.

Whoever adds a field says here what it does: `FIELDS` must name all of them. (Dagster reads annotations: no
future import here.)
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import pytest
from typer.testing import CliRunner

from backtest_pipeline import BacktestClient, BacktestRequest, BacktestResult, run_backtest
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli import connection
from backtest_pipeline.cli.main import app
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import CandlesError, RequestInvalid
from backtest_pipeline.model.request import SERVICE_FIELDS
from backtest_pipeline.model.run_config import from_run_config, to_run_config
from backtest_pipeline.orchestration.jobs.launch_form import launch_form
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.orchestration.tasks.manifests import completed_manifest
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.orchestration.tasks.submission_tags import submission_tags
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings
from backtest_pipeline.strategies.registry import resolve, strategies
from backtest_pipeline.workflows.rerun import first_difference, rerun
from backtest_pipeline_tests.orchestration.resting_orders import RestingOrders
from backtest_pipeline_tests.results.finer import finer_candles, rates_of, store_rates
from backtest_pipeline_tests.results.published import (
    NOON,
    TASK,
    loaded_for,
    publish,
    store_candles,
    wandering,
)
from backtest_pipeline_tests.sdk.stand_ins import FakeServer

pytestmark = pytest.mark.usefixtures("own_data_root", "resting_orders")

Effect = Literal["result", "chance", "refused", "service"]

# Another value than the base's for each field, and what the engine does with it: `result` changes the
# numbers, `chance` only what is drawn at random, `refused` does not fit the candles that the base has, and
# `service` is none of its business.
FIELDS: dict[str, tuple[Any, Effect]] = {
    "strategy": ("ema_cross", "result"),
    "params": ({"fast": 4, "slow": 9}, "result"),
    "symbols": (["BETA"], "result"),
    "timeframe": ("1w", "refused"),
    "start": ("2020-02-01", "result"),
    "end": ("2020-06-01T12:00:00", "result"),
    "warmup_bars": (2, "result"),
    "initial_cash": (5_000.0, "result"),
    "fee_bps": (50.0, "result"),
    "fee_fixed": (3.0, "result"),
    "slippage_bps": (20.0, "result"),
    "fill": ("close", "result"),
    "direction": ("both", "result"),
    "position_frac": (0.5, "result"),
    "quantity_step": (1.0, "result"),
    "stop_loss_frac": (0.02, "result"),
    "take_profit_frac": (0.03, "result"),
    "trailing_stop_frac": (0.02, "result"),
    "max_hold_bars": (2, "result"),
    "on_conflict": ("ignore", "result"),
    "trailing_activation_frac": (0.03, "result"),
    "same_bar_trail": ("pessimistic", "result"),
    "take_profit_steps": ([[0, 0.1], [3, 0.01]], "result"),
    "account": ("shared", "result"),
    "max_positions": (1, "result"),
    "sizing": ("slots", "result"),
    "risk_frac": (0.02, "result"),
    "target_volatility": (0.2, "result"),
    "leverage": (2.0, "result"),
    "maintenance_margin_frac": (0.9, "result"),
    "borrow_apr": (0.5, "result"),
    "funding": (True, "result"),
    "max_entries": (2, "result"),
    "good_for_bars": (4, "result"),
    "limit_fills_on_touch": (True, "result"),
    "detail_timeframe": ("4h", "result"),
    "calendar": ("XKRX", "result"),
    "benchmark": ("BETA", "result"),
    "seed": (7, "chance"),
    "timeout_s": (60, "service"),
    "max_retries": (0, "service"),
    "priority": (4, "service"),
    "pinned": (True, "service"),
    "labels": ({"desk": "rates"}, "service"),
}
BASE: dict[str, Any] = {
    "strategy": "sma_cross",
    "params": {"fast": 3, "slow": 8},
    "symbols": ["ACME"],
    "start": "2020-01-20",  # with candles before it, or no warm-up would show
}
_BOTH = {"symbols": ["ACME", "BETA"]}
_RESTING = {"strategy": RestingOrders.name, "params": {}, "position_frac": 0.4}
WITH: dict[str, dict[str, Any]] = {
    "on_conflict": _RESTING,
    "max_entries": _RESTING,
    "good_for_bars": _RESTING,
    "limit_fills_on_touch": _RESTING,
    "trailing_activation_frac": {"trailing_stop_frac": 0.02},
    "same_bar_trail": {"trailing_stop_frac": 0.02},
    "account": _BOTH,
    "max_positions": {**_BOTH, "account": "shared", "position_frac": 0.4},
    "sizing": {**_BOTH, "account": "shared", "max_positions": 2},
    "risk_frac": {"sizing": "risk", "risk_frac": 0.01, "stop_loss_frac": 0.05},
    "target_volatility": {"sizing": "volatility", "target_volatility": 0.1},
    "leverage": {"sizing": "risk", "risk_frac": 0.2, "stop_loss_frac": 0.05, "maintenance_margin_frac": 0.1},
    "maintenance_margin_frac": {"direction": "both"},
    "borrow_apr": {"direction": "both"},
    # Finer candles fall before they rise: of shorts the target comes first, which bars alone do not know.
    "detail_timeframe": {"direction": "both", "stop_loss_frac": 0.01, "take_profit_frac": 0.01},
}
"""What a field needs beside it, in the base as well."""
CANDLES = {symbol: wandering(symbol, seed=seed) for symbol, seed in (("ACME", 1), ("BETA", 2))}
DETAIL = {symbol: finer_candles(own) for symbol, own in CANDLES.items()}
FUNDING = {symbol: rates_of(own) for symbol, own in CANDLES.items()}
BY_FIELD = pytest.mark.parametrize("name", FIELDS)


def _asked(name: str) -> BacktestRequest:
    """The base with another value of one field, parameters written out as every entrance does."""
    return resolve(BacktestRequest(**{**BASE, **WITH.get(name, {}), name: FIELDS[name][0]})).request


def _base(name: str) -> BacktestRequest:
    """What it is compared with."""
    return resolve(BacktestRequest(**{**BASE, **WITH.get(name, {})})).request


def _run(request: BacktestRequest) -> BacktestResult:
    return run_backtest(CANDLES, request, detail=DETAIL, funding=FUNDING)


def _differs(was: BacktestResult, now: BacktestResult) -> bool:
    return first_difference(was, now) is not None


def _holds(name: str, run: Callable[[BacktestRequest], BacktestResult]) -> None:
    """Runs base and changed request by one entrance and compares what they must do with each other."""
    effect = FIELDS[name][1]
    if effect == "refused":
        with pytest.raises((RequestInvalid, CandlesError), match=FIELDS[name][0]):
            run(_asked(name))
        return
    base, changed = run(_base(name)), run(_asked(name))
    assert _differs(base, changed) == (effect == "result")
    assert changed.request == _asked(name), "the result says what was asked"


def test_every_field_is_decided_upon() -> None:
    assert set(FIELDS) == set(BacktestRequest.model_fields)
    assert {name for name, (_, effect) in FIELDS.items() if effect == "service"} == set(SERVICE_FIELDS)
    assert all(_asked(name).to_dict()[name] != _base(name).to_dict().get(name) for name in FIELDS)


@BY_FIELD
def test_run_backtest(name: str) -> None:
    _holds(name, _run)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    store_candles(tmp_path, *CANDLES.values(), *DETAIL.values())
    store_rates(tmp_path, *FUNDING.values())
    return tmp_path


@pytest.mark.slow
@BY_FIELD
def test_the_ops_of_a_run(name: str, data_root: Path) -> None:
    settings = Settings(data_root=data_root)
    _holds(name, lambda request: RunContext(settings).result(to_run_config(request)))


@BY_FIELD
def test_a_second_run_of_a_stored_result(name: str, data_root: Path) -> None:
    if FIELDS[name][1] == "refused":
        return  # no such result was ever stored
    request = _asked(name)
    seen = loaded_for(data_root, request)
    publish(data_root, *seen.values(), request=request.to_dict())
    stored = TaskStore(data_root).result(TASK)
    assert stored.manifest is not None
    assert stored.request == request
    assert rerun(stored, stored.manifest, CandleStore(data_root)).verdict == "identical"
    if FIELDS[name][1] == "result":  # and it is that value which made it identical
        plain = BacktestRequest(**{**BASE, **WITH.get(name, {}), "symbols": request.symbols})
        if name != "symbols":
            assert _differs(stored, _run(plain))


@BY_FIELD
def test_a_submission_from_python(name: str) -> None:
    server = FakeServer()
    with server.client() as client:
        client.submit(_asked(name), reuse=False)
    [sent] = server.sent
    assert from_run_config(sent["params"]["runConfigData"]) == _asked(name)


@BY_FIELD
def test_the_form_of_the_launchpad(name: str) -> None:
    received: list[dict[str, Any]] = []

    @dg.op(config_schema=launch_form(strategies()))
    def look(context: dg.OpExecutionContext) -> None:
        received.append(context.op_config)

    @dg.job
    def looking() -> None:
        look()

    fields = to_run_config(_asked(name))
    base = to_run_config(BacktestRequest(**BASE))
    kept = {"strategy", "symbols", "start"}
    filled_in = {key: value for key, value in fields.items() if value != base.get(key) or key in kept}
    looking.execute_in_process(run_config={"ops": {"look": {"config": filled_in}}})
    assert from_run_config(received[0]) == _asked(name)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """What the commands talk to."""
    server = FakeServer()

    def connected(**options: Any) -> BacktestClient:
        return server.client(**options)

    monkeypatch.setattr(connection, "BacktestClient", connected)
    return server


def _options(request: BacktestRequest, name: str) -> list[str]:
    """The command line of the base with one field changed."""
    pairs = [f"{key}={json.dumps(value)}" for key, value in request.params.items()]
    options = ["--symbols", ",".join(request.symbols), *(part for pair in pairs for part in ("-p", pair))]
    options += [part for key, value in request.labels.items() for part in ("--label", f"{key}={value}")]
    given = {"start": BASE["start"], **WITH.get(name, {}), name: FIELDS[name][0]}
    for key, value in given.items():
        option = f"--{key.replace('_', '-')}"
        if value is True:
            options.append(option)
        elif key not in {"strategy", "params", "symbols", "labels"}:
            options += [option, value if isinstance(value, str) else json.dumps(value)]
    return [request.strategy, *options]


@BY_FIELD
def test_the_command_line(name: str, server: FakeServer) -> None:
    done = CliRunner().invoke(app, ["submit", "--fresh", *_options(_asked(name), name)])
    assert done.exit_code == 0, done.output
    [sent] = server.sent
    assert from_run_config(sent["params"]["runConfigData"]) == _asked(name)


@pytest.mark.parametrize("name", SERVICE_FIELDS)
def test_what_the_service_does_with_its_own_fields(name: str) -> None:
    """Tags that Dagster's queue and monitor read, and the manifest that a cleanup reads."""
    value = FIELDS[name][0]
    request = _asked(name)
    run = dg.DagsterRun(job_name=tags.JOB, run_config=to_run_config(request))
    run_tags = submission_tags(run, now_s=0.0)
    result = run_backtest(CANDLES, request)
    attempt = Attempt(TASK, [TASK], NOON, NOON)
    manifest = completed_manifest(attempt, result, files=[], candles=[], finished_at=NOON, ttl_days=7)
    effects = {
        "timeout_s": run_tags.get(tags.MAX_RUNTIME) == "60",
        "max_retries": run_tags.get(tags.MAX_RETRIES) == "0",
        "priority": run_tags.get(tags.PRIORITY) == "4",
        "pinned": manifest.pinned and manifest.timestamps.expires_at is None,
        "labels": run_tags.get("label/desk") == "rates",
    }
    assert effects[name], value
    assert sum(effects.values()) == 1, "the others are at their defaults"
