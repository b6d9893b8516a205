"""Makes DAGSTER_HOME ready and brings the database to this version; runs once, before everything else.

Repeated, it does nothing. It belongs to the deployment with PostgreSQL.
"""

from __future__ import annotations

import subprocess
import sys

from backtest_pipeline.local_service import home
from backtest_pipeline.settings import get_settings

if __name__ == "__main__":
    settings = get_settings()
    home.prepare(settings.dagster_home)
    migrate = [sys.executable, "-m", "dagster", "instance", "migrate"]
    sys.exit(subprocess.run(migrate, check=False).returncode)  # noqa: S603  our own command
