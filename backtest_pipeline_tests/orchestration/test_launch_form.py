"""The launchpad's form, as Dagster sees it (which reads annotations: no future import here)."""

from typing import Any

import dagster as dg
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model.request_groups import group_of
from backtest_pipeline.model.run_config import from_run_config, to_run_config
from backtest_pipeline.orchestration.jobs.launch_form import launch_form
from backtest_pipeline.strategies.registry import resolve, strategies


def _resolved(config: dict[str, Any]) -> dict[str, Any]:
    """What an op would receive for this run config."""
    received: list[dict[str, Any]] = []

    @dg.op(config_schema=launch_form(strategies()))
    def look(context: dg.OpExecutionContext) -> None:
        received.append(context.op_config)

    @dg.job
    def looking() -> None:
        look()

    looking.execute_in_process(run_config={"ops": {"look": {"config": config}}})
    return received[0]


def _params_of(field: dg.Field) -> dict[str, dg.Field]:
    """The fields below a field."""
    below: dict[str, dg.Field] = getattr(field.config_type, "fields")  # noqa: B009  only some types have them
    return below


def test_an_empty_form_is_a_request_with_the_requests_own_defaults() -> None:
    request = from_run_config(_resolved({}))
    expected = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])
    assert request == resolve(expected).request


def test_every_field_of_a_request_and_every_strategy_is_described() -> None:
    form = launch_form(strategies())
    assert set(form) == set(BacktestRequest.model_fields) - {"params"}
    assert all(field.description for field in form.values())
    options = _params_of(form["strategy"])
    assert set(options) == set(strategies())
    for name, option in options.items():
        assert option.description == strategies()[name].summary()
        assert all(field.description for field in _params_of(option).values())


def test_a_fields_range_stands_in_its_description() -> None:
    form = launch_form(strategies())
    assert str(form["position_frac"].description).endswith("(> 0, ≤ 1000)")
    params = _params_of(_params_of(form["strategy"])["volume_long_candle"])
    assert str(params["vol_ma_window"].description).endswith("(≥ 1, ≤ 500)")


def test_a_full_request_passes_the_form_unchanged() -> None:
    request = BacktestRequest(
        strategy="volume_zone_breakout",
        params={"num_bins": 30, "include_wicks": False},
        symbols=["AAPL", "IBM"],
        timeframe="1h",
        start="2005-01-01",
        end="2006-01-01T12:00:00",
        fee_bps=0,
        stop_loss_frac=0.05,
        max_hold_bars=7,
        direction="both",
        labels={"desk": "a"},
        pinned=True,
    )
    full = resolve(request).request
    assert from_run_config(_resolved(to_run_config(full))) == full


@pytest.mark.parametrize(
    ("direction", "field", "side"),
    [
        ("long", "take_profit_frac", "long"),
        ("short", "stop_loss_frac", "short"),
        ("short", "trailing_stop_frac", "short"),
    ],
)
def test_levels_of_more_than_100_percent_pass_the_form_which_says_for_whom(
    direction: str, field: str, side: str
) -> None:
    request = BacktestRequest(strategy="momentum", symbols=["AAPL"], direction=direction, **{field: 1.5})
    full = resolve(request).request
    assert from_run_config(_resolved(to_run_config(full))) == full
    description = str(launch_form(strategies())[field].description)
    assert description.endswith(f"below 1 unless direction is {side} (> 0)")


@pytest.mark.parametrize(
    "config",
    [
        {"symbols": [{"env": "HOME"}]},
        {"start": {"env": "HOME"}},
        {"labels": {"a": {"env": "HOME"}}},
        {"labels": {"env": {"env": "HOME"}}},
        {"timeframe": {"env": "HOME"}},
        {"seed": {"env": "HOME"}},
        {"strategy": {"sma_cross": {"fast": {"env": "HOME"}}}},
    ],
)
def test_a_value_from_the_workers_environment_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError):
        _resolved(config)


def test_an_untouched_form_has_no_field_that_few_backtests_need() -> None:
    form = launch_form(strategies())
    untouched = {name for name, field in form.items() if field.default_provided}
    assert untouched == {name for name in form if group_of(name) is None}
    assert "none by default (leverage and its costs)" in str(form["maintenance_margin_frac"].description)
    assert "split by default (one account and sizes)" in str(form["account"].description)
    assert not any(field.is_required for field in form.values())
