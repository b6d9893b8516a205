"""What the request's own fields make of a trial: its candles, its money and its fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.account_choice import is_simple
from backtest_pipeline.engine.records import SETTINGS, settings_of
from backtest_pipeline.model.errors import CandlesError, RequestInvalid
from backtest_pipeline.research.combinations import groups_of
from backtest_pipeline.research.trial_market import MARKET_FIELDS, CandlesByTimeframe, Market, market_of
from backtest_pipeline.research.trial_requests import trial_request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.research.space import Points, Space

MOST_SETTINGS = 10_000
MOST_MARKETS = 16


@dataclass(frozen=True, eq=False, slots=True)
class TrialSetting:
    """One combination of the fields that vary.

    Attributes:
        request: a backtest with these fields, or why there is none.
        record: its money and fill rules, the bytes of one `SETTINGS`; a `max_hold` of 0 leaves it to the
            strategy.
        initial_cash: of the account.
        is_simple: whether it asks for nothing that only the kernel of accounts has.
    """

    request: BacktestRequest | RequestInvalid
    record: bytes
    initial_cash: float
    is_simple: bool = True


class TrialSettings:
    """The settings and markets of a sweep's trials, those kept that were needed last.

    Args:
        candles: all that were given.
        request: the sweep.
        space: what varies.
        timezone: what a `start` or `end` without a zone means.
    """

    def __init__(
        self, candles: CandlesByTimeframe, request: SweepRequest, space: Space, timezone: str
    ) -> None:
        self._candles = candles
        self._request = request
        self._space = space
        self._timezone = timezone
        self._keys = request.varied_fields
        self._settings: dict[tuple[Any, ...], TrialSetting] = {}
        self._markets: dict[tuple[Any, ...], Market | CandlesError] = {}

    def of(self, points: Points) -> tuple[list[TrialSetting], NDArray[np.int64]]:
        """The settings of some trials, each once, and which of them each trial has."""
        first_rows, setting_of = groups_of(points, self._keys)
        return [self._setting(points, row) for row in first_rows], setting_of

    def market(self, request: BacktestRequest) -> Market:
        """The candles that a backtest sees.

        Raises:
            CandlesInvalid, CandlesMissing: as `market_of`.
        """
        key = tuple(getattr(request, name) for name in MARKET_FIELDS)
        if key not in self._markets:
            if len(self._markets) >= MOST_MARKETS:
                del self._markets[next(iter(self._markets))]
            self._markets[key] = self._found(request)
        market = self._markets[key]
        if isinstance(market, CandlesError):
            raise market
        return market

    def forget(self) -> None:
        """Gives back the memory of settings and markets."""
        self._settings.clear()
        self._markets.clear()

    def _found(self, request: BacktestRequest) -> Market | CandlesError:
        try:
            return market_of(self._candles.of(request.timeframe), request, self._timezone)
        except CandlesError as error:
            return error

    def _setting(self, points: Points, row: int) -> TrialSetting:
        place = tuple(points.places[key][row] for key in self._keys)
        if place not in self._settings:
            if len(self._settings) >= MOST_SETTINGS:
                self._settings.clear()
            values = {key: self._space.axes[key].value(points.places[key][row]) for key in self._keys}
            self._settings[place] = self._made(values)
        return self._settings[place]

    def _made(self, values: dict[str, Any]) -> TrialSetting:
        try:
            request = trial_request(self._request, values)
        except RequestInvalid as error:
            return TrialSetting(error, bytes(SETTINGS.itemsize), 0.0)
        record = settings_of(request, request.max_hold_bars).tobytes()
        return TrialSetting(request, record, request.initial_cash, is_simple(request))
