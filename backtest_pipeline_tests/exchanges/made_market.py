"""A market whose candles are known: made of short ones, and the longer ones made of these in plain loops."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

MONDAY_S = 4 * 86_400
Row = tuple[float, float, float, float, float]


@dataclass
class MadeMarket:
    """Short candles by their open time; where nobody traded there is none.

    Attributes:
        base_s: length of the short candles, in seconds.
        rows: open, high, low, close, volume by the time of the open, in seconds since 1970.
        funding: rates by their time, in seconds since 1970.
    """

    base_s: int
    rows: dict[int, Row] = field(default_factory=dict)
    funding: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        first_s: int,
        bars: int,
        *,
        base_s: int = 3_600,
        seed: int = 0,
        traded_frac: float = 1.0,
        halts: tuple[tuple[int, int], ...] = (),
    ) -> MadeMarket:
        """Candles of a random walk.

        Args:
            first_s: open of the first candle.
            bars: how many there would be if somebody traded all the time.
            base_s: their length.
            seed: of the walk and of who trades when.
            traded_frac: how many of the bars have trades.
            halts: bars without any trade, from one to before another.
        """
        chance = random.Random(seed)  # noqa: S311  nothing secret
        price = 1_000.0
        rows = {}
        for bar in range(bars):
            opened = price
            steps = [round(opened * (1 + chance.gauss(0, 0.004)), 2) for _ in range(4)]
            price = steps[-1]
            traded = chance.random() < traded_frac or bar == 0
            if traded and not any(first <= bar < stop for first, stop in halts):
                path = [opened, *steps]
                rows[first_s + bar * base_s] = (
                    opened,
                    max(path),
                    min(path),
                    price,
                    round(chance.expovariate(0.1), 4),
                )
        return cls(base_s, rows)

    def candles(self, bar_s: int, now_s: float) -> dict[int, Row]:
        """All candles of a length up to a moment, the one in progress as far as it has come."""
        made: dict[int, Row] = {}
        for opened in sorted(self.rows):
            if opened >= now_s:
                break
            row = self.rows[opened]
            if opened + self.base_s > now_s:  # of the bar in progress only the beginning has been seen
                row = (row[0], row[0], row[0], row[0], row[4] / 3)
            at = opened - (opened - MONDAY_S) % bar_s if bar_s == 604_800 else opened - opened % bar_s
            if at not in made:
                made[at] = row
            else:
                first, high, low, _, volume = made[at]
                made[at] = (first, max(high, row[1]), min(low, row[2]), row[3], volume + row[4])
        return made

    def complete(self, bar_s: int, now_s: float) -> dict[int, Row]:
        """Candles that have ended."""
        return {at: row for at, row in self.candles(bar_s, now_s).items() if at + bar_s <= now_s}
