"""What the slow simulator of shared accounts remembers: positions and their levels, orders, trades."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline_tests.engine.reference_simulator import Level

TOLERANCE = 1e-12


@dataclass(frozen=True)
class Candle:
    """A bar, or a finer candle within it. `begin` and `end` are microseconds since 1970."""

    begin: int
    end: int
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True)
class Order:
    """An entry that was ordered at the close of a bar. `kind` is `market`, `limit` or `stop`."""

    symbol: str
    side: int
    kind: str
    price: float | None
    bar: int
    confidence: float
    stop_price: float | None
    target_price: float | None
    size_frac: float | None

    @property
    def is_limit(self) -> bool:
        return self.kind == "limit"

    @property
    def is_below(self) -> bool:
        """Whether prices have to fall to reach it."""
        return (self.kind == "limit") == (self.side > 0)


@dataclass
class Holding:
    symbol: str
    side: int
    quantity: float
    bar: int
    price: float
    fees: float
    slippage_cost: float
    highest: float
    lowest: float
    entries: int = 1
    stop_price: float | None = None
    target_price: float | None = None
    liquidation_price: float | None = None
    liquidates_all: bool = False

    def see(self, *prices: float) -> None:
        self.highest, self.lowest = max(self.highest, *prices), min(self.lowest, *prices)

    @property
    def best(self) -> float:
        return self.highest if self.side > 0 else self.lowest


@dataclass(frozen=True)
class AccountTrade:
    symbol: str
    side: str
    quantity: float
    entry_bar: int
    entry_price: float
    exit_bar: int
    exit_price: float
    fees: float
    slippage_cost: float
    pnl: float
    return_frac: float
    bars_held: int
    exit_reason: str
    mae_frac: float
    mfe_frac: float


@dataclass(frozen=True)
class Change:
    """A position after it changed; the quantity of a short is negative."""

    symbol: str
    bar: int
    quantity: float
    price: float
    value: float
    weight: float


@dataclass
class AccountOutcome:
    """What a shared account did: a value for each step, and one for each row of the joint grid."""

    trades: list[AccountTrade] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    moments: list[int] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    cash: list[float] = field(default_factory=list)
    gross: list[float] = field(default_factory=list)
    row_steps: list[int] = field(default_factory=list)

    def of_rows(self, values: list[float]) -> list[float]:
        """Of a value for each step, those of the joint grid's rows."""
        return [values[step] for step in self.row_steps]


def towards(side: int, base: float, frac: float, reason: str) -> Level:
    """The level that lies a fraction above the base for side 1, below it for side -1."""
    return Level.above(base, frac, reason) if side > 0 else Level.below(base, frac, reason)


def at_price(side: int, price: float, reason: str) -> Level:
    """A level given as a price, which prices rise to for side 1 and fall to for side -1."""
    return Level(price, price * (1 - side * TOLERANCE), reason)


def stop_loss_of(holding: Holding, request: BacktestRequest) -> Level | None:
    if holding.stop_price is not None:
        return at_price(-holding.side, holding.stop_price, "stop_loss")
    if request.stop_loss_frac:
        return towards(-holding.side, holding.price, request.stop_loss_frac, "stop_loss")
    return None


def trailing_stop_of(holding: Holding, request: BacktestRequest) -> Level | None:
    if not request.trailing_stop_frac:
        return None
    if request.trailing_activation_frac:
        active = towards(holding.side, holding.price, request.trailing_activation_frac, "activation")
        if holding.side * holding.best < holding.side * active.reached_at:
            return None
    return towards(-holding.side, holding.best, request.trailing_stop_frac, "trailing_stop")


def stop_of(holding: Holding, request: BacktestRequest) -> Level:
    """The stop in force: the nearest one, the liquidation price among them."""
    side = holding.side
    stop = stop_loss_of(holding, request) or Level(-side * math.inf, -side * math.inf, "stop_loss")
    others = [trailing_stop_of(holding, request)]
    if holding.liquidation_price is not None:
        others.append(at_price(-side, holding.liquidation_price, "liquidation"))
    for other in others:
        if other is not None and side * other.price > side * stop.reached_at:
            stop = other
    return stop


def target_of(holding: Holding, request: BacktestRequest, bar: int) -> Level:
    side = holding.side
    if holding.target_price is not None:
        return at_price(side, holding.target_price, "take_profit")
    frac = request.take_profit_frac
    for bars, later_frac in request.take_profit_steps:
        if bar - holding.bar >= bars:
            frac = later_frac
    if frac is None:
        return Level(side * math.inf, side * math.inf, "take_profit")
    return towards(side, holding.price, frac, "take_profit")
