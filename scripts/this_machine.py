"""What figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import Any


def this_machine() -> dict[str, Any]:
    """Day, processors, what else kept them busy in the minute before, system and Python."""
    return {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "platform": platform.platform(aliased=True, terse=True),
        "python": platform.python_version(),
    }
