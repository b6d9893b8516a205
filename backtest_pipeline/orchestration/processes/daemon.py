"""Dagster's daemon with our queue: `python -m backtest_pipeline.orchestration.processes.daemon run`.

Takes the arguments of `dagster-daemon`.
"""

from __future__ import annotations

from backtest_pipeline.quick_imports import quick_imports
from backtest_pipeline.settings import get_settings


def main() -> None:
    """Run Dagster's command with our loops, watched."""
    with quick_imports():
        from backtest_pipeline.orchestration.dagster_internals import daemon_command  # noqa: PLC0415
        from backtest_pipeline.web.monitoring.liveness import sign_file  # noqa: PLC0415
        from backtest_pipeline.web.monitoring.watch import StandingThreads, Watch  # noqa: PLC0415

        daemon_command.prepare()
    Watch(sign_file(get_settings().dagster_home, "daemon"), StandingThreads(daemon_command.part_of)).start()
    daemon_command.run()


if __name__ == "__main__":
    main()
