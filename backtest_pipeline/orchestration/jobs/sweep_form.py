"""The config schema of the job `sweep`, and ready-made sweeps for the launchpad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.launchpad import FIRST_FIELDS, launchpad_path, launchpad_yaml
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.ranges import FloatRange, IntRange
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.sweep_config import to_sweep_config
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.orchestration.jobs.launch_form import DEFAULT_STRATEGY, fields_of, launch_form
from backtest_pipeline.orchestration.jobs.presets import PRESET_SYMBOLS

if TYPE_CHECKING:
    from backtest_pipeline.model.strategy import AnyStrategy

DEFAULT_SPACE: Mapping[str, Any] = {
    "params.fast": IntRange(5, 50, step=5),
    "params.slow": IntRange(20, 200, step=20),
}
_SPACE_HELP = (
    "what varies: a name, `params.<name>` or a field of the backtest, and its values, a list as in "
    "`stop_loss_frac: [null, 0.02, 0.05]` or a range as in `params.fast: {low: 5, high: 50, step: 5}`, both "
    "ends included; a range of decimals without a step, or with `log: true`, needs another search than grid"
)
_BACKTEST_HELP = "the backtest of which something is varied; what is not in the space stays as it is here"
_WHERE_HELP = "conditions on metrics, as in `trades >= 30`; a trial that breaks one is kept and not ranked"
_PRESETS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "windows of two averages": (
        "sma_cross",
        {**DEFAULT_SPACE, "stop_loss_frac": [None, 0.05, 0.1]},
        {"where": ["trades >= 5"]},
    ),
    "thresholds of an oscillator, at random": (
        "rsi_reversion",
        {
            "params.window": IntRange(5, 30),
            "params.oversold": FloatRange(10, 40),
            "params.exit_level": FloatRange(45, 75),
        },
        {"search": "random", "trials": 2_000},
    ),
    "a breakout, searched where it has been good": (
        "donchian_breakout",
        {"params.entry_window": IntRange(10, 250), "trailing_stop_frac": FloatRange(0.02, 0.3, log=True)},
        {"search": "tpe", "trials": 300, "objective": "calmar"},
    ),
}


def sweep_form(strategies: Mapping[str, type[AnyStrategy]]) -> dict[str, dg.Field]:
    """A Dagster field for each field of a sweep, as self-explaining as those of a backtest.

    Every field has a default, so that an untouched form can be launched.
    """
    directed = [name for name, facts in METRICS.items() if facts.better != "neither"]
    known = fields_of(SweepRequest)
    space = SweepRequest(
        backtest=BacktestRequest(strategy=DEFAULT_STRATEGY, symbols=["A"]), space=DEFAULT_SPACE
    ).to_dict()["space"]
    form = {
        "backtest": dg.Field(
            launch_form(strategies, varied=True),
            is_required=False,
            default_value={},
            description=_BACKTEST_HELP,
        ),
        "space": dg.Field(dict, is_required=False, default_value=space, description=_SPACE_HELP),
        "objective": dg.Field(
            dg.Enum("SweepRequest_objective", [dg.EnumValue(name) for name in directed]),
            is_required=False,
            default_value="sharpe",
            description="the metric that ranks trials, in its better direction",
        ),
        "where": dg.Field([str], is_required=False, default_value=[], description=_WHERE_HELP),
    }
    return {**form, **{name: field for name, field in known.items() if name not in form}}


def sweep_presets_text(
    strategies: Mapping[str, type[AnyStrategy]], symbols: Sequence[str] = PRESET_SYMBOLS
) -> str:
    """Links that open the launchpad filled in, as Markdown."""
    lines = [
        f"- [{title}]({launchpad_path(tags.SWEEP_JOB, sweep_preset(title, symbols))}): `{strategy}` by "
        f"{options.get('objective', 'sharpe')}"
        for title, (strategy, _, options) in _PRESETS.items()
        if strategy in strategies
    ]
    return "\n".join(["Ready to launch on the demo's candles:", "", *lines])


def sweep_preset(title: str, symbols: Sequence[str] = PRESET_SYMBOLS) -> str:
    """A launchpad's YAML for one of the ready-made sweeps."""
    strategy, space, options = _PRESETS[title]
    backtest = BacktestRequest(strategy=strategy, symbols=list(symbols))
    config = to_sweep_config(SweepRequest(backtest=backtest, space=space, **options))
    shown = {name: config["backtest"][name] for name in FIRST_FIELDS}
    return launchpad_yaml(
        {name: value for name, value in config.items() if value != []} | {"backtest": shown}
    )
