"""Dagster's daemon with our queue: `python -m backtest_pipeline.orchestration.processes.daemon run`.

Takes the arguments of `dagster-daemon`.
"""

from __future__ import annotations

from backtest_pipeline.orchestration.dagster_internals import daemon_command
from backtest_pipeline.settings import get_settings
from backtest_pipeline.web.monitoring.liveness import sign_file
from backtest_pipeline.web.monitoring.watch import StandingThreads, Watch

if __name__ == "__main__":
    Watch(sign_file(get_settings().dagster_home, "daemon"), StandingThreads(daemon_command.part_of)).start()
    daemon_command.prepare()
    daemon_command.run()
