"""How many requests a second each user may send."""

from __future__ import annotations

import math
from collections.abc import Callable

from backtest_pipeline.web.access.refusal import Refusal

BURST_S = 10
"""A user who has been quiet may send as much at once as the rate allows in this time."""

_MOST_USERS = 10_000


class Rates:
    """A bucket for each user, which fills up while the user is quiet."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        """Lets everybody send `per_second` requests a second in the long run; 0: as many as they like.

        Args:
            per_second: requests a second.
            clock: seconds that never go back.
        """
        self._per_second = per_second
        self._most = per_second * BURST_S
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def count(self, user: str) -> None:
        """Counts one request of a user; nobody who is unnamed, as where nobody is asked, is counted.

        Raises:
            Refusal: the user has sent too many; its header `Retry-After` says when to go on.
        """
        if not user or not self._per_second:
            return
        now_s = self._clock()
        left, then_s = self._left.get(user, (self._most, now_s))
        left = min(left + (now_s - then_s) * self._per_second, self._most)
        if left < 1:
            self._left[user] = (left, now_s)
            wait_s = math.ceil((1 - left) / self._per_second)
            raise Refusal(
                429,
                f"{user} sends more than {self._per_second:g} requests a second "
                f"(BACKTEST_REQUESTS_PER_SECOND); go on in {wait_s} s",
                {"retry-after": str(wait_s)},
            )
        if len(self._left) >= _MOST_USERS:
            self._forget_quiet(now_s)
        self._left[user] = (left - 1, now_s)

    def _forget_quiet(self, now_s: float) -> None:
        self._left = {user: one for user, one in self._left.items() if now_s - one[1] < BURST_S}
