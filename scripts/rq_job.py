"""The job of an RQ worker, and the worker."""

from __future__ import annotations

import os
import sys
from typing import Any

import plain_job

if __name__ == "__main__":
    sys.path.append(os.environ["RQ_PACKAGES"])


def run(request: dict[str, Any]) -> dict[str, str]:
    """Runs the backtest; returns its tables' checksums."""
    from rq import get_current_job  # noqa: PLC0415  known once the path above is

    return plain_job.run_plain(request, get_current_job().id)


def work(*, warm: bool) -> None:
    """Runs an RQ worker, which forks a process for each job."""
    from redis import Redis  # noqa: PLC0415  as above
    from rq import Worker  # noqa: PLC0415  as above

    if warm:
        plain_job.warm()
    Worker(["default"], connection=Redis.from_url(os.environ["RQ_REDIS"])).work(logging_level="WARNING")


if __name__ == "__main__":
    work(warm="--warm" in sys.argv)
