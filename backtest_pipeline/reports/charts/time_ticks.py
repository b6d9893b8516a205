"""Where a time axis has its ticks and what stands at them; a dozen calendar steps, no locale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Unit = Literal["Y", "M", "D", "h", "m"]

# Steps of a unit, from the finest, each counted from 1970-01-01T00:00; a day's step is counted from the
# first of its month, so that no label says the 31st and the next the 1st.
STEPS: tuple[tuple[Unit, int], ...] = (
    *(("m", step) for step in (1, 5, 15, 30)),
    *(("h", step) for step in (1, 3, 6, 12)),
    *(("D", step) for step in (1, 2, 5, 10)),
    *(("M", step) for step in (1, 3, 6)),
    *(("Y", step) for step in (1, 2, 5, 10, 20, 50, 100)),
)
UNIT_SECONDS = {"m": 60, "h": 3_600, "D": 86_400, "M": 2_629_746, "Y": 31_556_952}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def time_ticks(
    first: np.datetime64, last: np.datetime64, most: int = 7
) -> tuple[NDArray[np.datetime64], list[str]]:
    """Round moments from `first` to `last` and their labels.

    Returns:
        At most about `most` moments as `datetime64[us]`, and as many labels: `2012`, `Mar 2012`, `5 Mar`,
        `14:30`, with the date where a label of hours would not tell the day.
    """
    seconds = max(float((last - first) / np.timedelta64(1, "s")), 1.0)
    unit, step = next(
        (step for step in STEPS if seconds / (UNIT_SECONDS[step[0]] * step[1]) <= most), STEPS[-1]
    )
    start, stop = first.astype(f"datetime64[{unit}]"), last.astype(f"datetime64[{unit}]")
    moments = np.arange(start, stop + 1)
    if unit == "D":
        day = (moments - moments.astype("datetime64[M]")).astype(np.int64)
        moments = moments[(day % step == 0) & ((day < 28) | (step == 1))]
    else:
        moments = moments[moments.astype(np.int64) % step == 0]
    exact = moments.astype("datetime64[us]")
    exact = exact[(exact >= first) & (exact <= last)]
    return exact, [_label(moment, unit) for moment in exact.astype(object)]


def _label(moment: object, unit: Unit) -> str:
    year, month, day, time = (
        f"{moment:%Y}",
        MONTHS[int(f"{moment:%m}") - 1],
        int(f"{moment:%d}"),
        f"{moment:%H:%M}",
    )
    if unit == "Y":
        return year
    if unit == "M":
        return f"{month} {year}"
    return f"{day} {month} {year}" if unit == "D" else f"{day} {month} {time}"
