"""Numbers as times: seconds, milli-, micro- or nanoseconds since 1970, distinguished by their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Fault = Callable[[str, int | None], Exception]

UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
PER_MICROSECOND = (1e6, 1e3, 1.0, 1e-3)
# Read by itself, a number is taken for one between 1973 and 2103: no two units overlap there.
FIRST_S, LAST_S = 1e8, 4.2e9
UNIT_LIMITS = (1e11, 1e14, 1e17)
LONGEST_HOLE_US = 10 * 366 * 86_400_000_000
FIRST_SHEET_DAY, LAST_SHEET_DAY = 20_000, 80_000  # 1954 to 2119
FARTHEST_S = 260_000_000_000.0  # beyond the years 1 to 9999


def epoch_us(
    numbers: NDArray[np.float64],
    whole: NDArray[np.int64] | None,
    fault: Fault,
    assume: Callable[[str], None],
) -> NDArray[np.int64]:
    """Microseconds since 1970.

    A column in which every number is a time between 1973 and 2103 in one of the units is read number by
    number: some sources have changed their unit. Otherwise the largest number decides the unit of all.

    Args:
        numbers: finite, at least one.
        whole: the same, exact, where all are whole.
        fault: makes the error, given what is wrong and the row.
        assume: takes what was assumed.

    Raises:
        CandlesInvalid: made by `fault`, for the first number that is no such time.
    """
    size = np.abs(numbers)
    if size.max() < FIRST_S:
        row = 0
        raise fault(_problem(numbers[row]), row)
    by_size = np.full(len(numbers), -1)
    for unit, scale in enumerate((1.0, 1e3, 1e6, 1e9)):
        by_size[(numbers >= FIRST_S * scale) & (numbers < LAST_S * scale)] = unit
    found = sorted(set(by_size.tolist()) - {-1})
    unplaced = by_size == -1
    of_one = np.full(len(numbers), int(np.searchsorted(UNIT_LIMITS, size.max(), side="right")))
    if len(found) > 1 and unplaced.any():
        if len(_holes(_exact(numbers, whole, of_one))):
            row = int(np.argmax(unplaced))
            raise fault(f"{_problem(numbers[row])} like the others", row)
        units = of_one  # from before 1973
    elif len(found) > 1:
        assume(f"times were read by their size, as {' and '.join(UNITS[unit] for unit in found)}")
        units = by_size
    else:
        units = of_one
    seconds = numbers / 10.0 ** (3 * units)
    far = np.abs(seconds) > FARTHEST_S
    if far.any():
        row = int(np.argmax(far))
        raise fault(f"timestamp must lie in the years 1 to 9999: {numbers[row]:.0f}", row)
    moments_us = _exact(numbers, whole, units)
    _refuse_holes(moments_us, numbers, fault)
    return moments_us


def _exact(
    numbers: NDArray[np.float64], whole: NDArray[np.int64] | None, units: NDArray[np.int64]
) -> NDArray[np.int64]:
    moments_us = np.empty(len(numbers), np.int64)
    for unit, factor in enumerate(PER_MICROSECOND):
        rows = units == unit
        if whole is None:
            moments_us[rows] = np.round(numbers[rows] * factor).astype(np.int64)
        else:
            moments_us[rows] = whole[rows] * int(factor) if factor >= 1 else whole[rows] // 1_000
    return moments_us


def _refuse_holes(moments_us: NDArray[np.int64], numbers: NDArray[np.float64], fault: Fault) -> None:
    """A number that is no time at all (a zero, another unit) lies decades from the others."""
    order = np.argsort(moments_us, kind="stable")
    holes = _holes(moments_us)
    if len(holes):
        at = int(holes[0])
        few = order[: at + 1] if at + 1 <= len(order) - at - 1 else order[at + 1 :]
        row = int(few.min())
        moment = str(moments_us[row].view("datetime64[us]"))[:10]
        raise fault(f"timestamp {numbers[row]:.0f} would be {moment}, decades from the others", row)


def _holes(moments_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions, in the order of time, behind which there is nothing for longer than any feed rests."""
    return np.flatnonzero(np.diff(np.sort(moments_us)) > LONGEST_HOLE_US)


def _problem(number: float) -> str:
    problem = "timestamp is neither a date nor seconds, milli-, micro- or nanoseconds since 1970"
    shown = f"{number:.0f}" if number == np.round(number) else str(number)
    if FIRST_SHEET_DAY <= number <= LAST_SHEET_DAY:
        shown += ", perhaps a spreadsheet's number of a day; let it write dates"
    return f"{problem}: {shown}"
