"""Dagster's web server behind our guard: `python -m backtest_pipeline.orchestration.processes.web_server`.

Takes the arguments of `dagster-webserver`. With `--read-only` everybody is a viewer.
"""

from __future__ import annotations

import os
import sys

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.quick_imports import quick_imports
from backtest_pipeline.settings import SECRET_VARIABLES, get_settings


def main() -> None:
    """Run Dagster's command with our way of serving."""
    get_settings()  # once, before the secrets leave the environment that a code server would inherit
    for name in SECRET_VARIABLES:
        os.environ.pop(name, None)
    with quick_imports():
        from backtest_pipeline.orchestration.dagster_internals import web_server_command  # noqa: PLC0415

        web_server_command.prepare()
    web_server_command.run()


if __name__ == "__main__":
    try:
        main()
    except BacktestError as refused:
        print(f"backtest: {refused}", file=sys.stderr)  # noqa: T201  whoever starts it reads this
        sys.exit(1)
