"""Local times of files, in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray


def to_utc(local: NDArray[np.datetime64], zone: ZoneInfo) -> NDArray[np.datetime64]:
    """Turns local times into UTC, both `datetime64[us]`.

    Where clocks are turned back and a time comes twice, its first coming is meant; where they are put
    forward, a time that never was means the first one after the change.
    """
    if zone.key == "UTC":
        return local
    stamps = pd.DatetimeIndex(local).tz_localize(
        zone, ambiguous=np.ones(len(local), dtype=np.bool_), nonexistent="shift_forward"
    )
    return stamps.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]", copy=False)
