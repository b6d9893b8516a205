"""The config schema of the job `walk_forward`, and ready-made ones for the launchpad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.launchpad import FIRST_FIELDS, launchpad_path, launchpad_yaml
from backtest_pipeline.model.ranges import IntRange
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.walk_forward_config import to_walk_forward_config
from backtest_pipeline.model.walk_forward_request import DEFAULT_TEST, DEFAULT_TRAIN, WalkForwardRequest
from backtest_pipeline.orchestration.jobs.launch_form import fields_of
from backtest_pipeline.orchestration.jobs.presets import PRESET_SYMBOLS
from backtest_pipeline.orchestration.jobs.sweep_form import DEFAULT_SPACE, sweep_form

if TYPE_CHECKING:
    from backtest_pipeline.model.strategy import AnyStrategy

_SWEEP_HELP = "the search that runs on the training of each fold; what it does not vary is the same in all"
_WINDOW_HELP = "a number of bars, as `'500'`, or a span, as `2y`, `6mo`, `8w`, `90d`, `12h`"
_PRESETS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "two years of training, half a year of test": ("sma_cross", DEFAULT_SPACE, {}),
    "a training that grows": (
        "donchian_breakout",
        {"params.entry_window": IntRange(10, 100, step=10), "params.exit_window": [5, 10, 20]},
        {"train": "1y", "test": "3mo", "anchored": True},
    ),
    "purged cross-validation": (
        "rsi_reversion",
        {"params.window": IntRange(5, 30, step=5), "params.oversold": [20, 25, 30, 35]},
        {"cross_validation": "purged", "purge_bars": 5, "embargo_bars": 5},
    ),
}


def walk_forward_form(strategies: Mapping[str, type[AnyStrategy]]) -> dict[str, dg.Field]:
    """A Dagster field for each field of a walk-forward, as self-explaining as those of a sweep.

    Every field has a default, so that an untouched form can be launched. `train` and `test` are texts, as
    numbers of bars can be written so too; empty ones mean the default.
    """
    known = fields_of(WalkForwardRequest)
    form = {
        "sweep": dg.Field(
            sweep_form(strategies), is_required=False, default_value={}, description=_SWEEP_HELP
        ),
        "train": _window("length of a training", DEFAULT_TRAIN),
        "test": _window("length of a test part, in bars where train is", DEFAULT_TEST),
    }
    return {**form, **{name: field for name, field in known.items() if name not in form}}


def walk_forward_presets_text(
    strategies: Mapping[str, type[AnyStrategy]], symbols: Sequence[str] = PRESET_SYMBOLS
) -> str:
    """Links that open the launchpad filled in, as Markdown."""
    job = tags.WALK_FORWARD_JOB
    lines = [
        f"- [{title}]({launchpad_path(job, walk_forward_preset(title, symbols))}): `{strategy}`"
        for title, (strategy, _, _) in _PRESETS.items()
        if strategy in strategies
    ]
    return "\n".join(["Ready to launch on the demo's candles:", "", *lines])


def walk_forward_preset(title: str, symbols: Sequence[str] = PRESET_SYMBOLS) -> str:
    """A launchpad's YAML for one of the ready-made walk-forwards."""
    strategy, space, options = _PRESETS[title]
    backtest = BacktestRequest(strategy=strategy, symbols=list(symbols))
    request = WalkForwardRequest(sweep=SweepRequest(backtest=backtest, space=space), **options)
    config = to_walk_forward_config(request)
    sweep = config["sweep"]
    shown = {name: sweep["backtest"][name] for name in FIRST_FIELDS}
    own = {name: value for name, value in sweep.items() if value not in ([], None)} | {"backtest": shown}
    return launchpad_yaml(
        {name: value for name, value in config.items() if value is not None} | {"sweep": own}
    )


def _window(what: str, default: str) -> dg.Field:
    return dg.Field(
        dg.Noneable(str),
        is_required=False,
        default_value="",
        description=f"{what}: {_WINDOW_HELP}; empty: {default}, or none where folds are combined",
    )
