"""Shared accounts against what exchanges and other programs say, with the arithmetic written out.

Each case goes through every simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backtest_pipeline_tests.engine.account_cases import AccountCase, simulated
from backtest_pipeline_tests.engine.account_examples import case_of
from backtest_pipeline_tests.engine.account_simulators import computed_by_the_account_kernel
from backtest_pipeline_tests.engine.reference_holdings import AccountOutcome

Simulator = Callable[[AccountCase], AccountOutcome]
SIMULATORS: dict[str, Simulator] = {"reference": simulated, "kernel": computed_by_the_account_kernel}


@pytest.fixture(params=SIMULATORS)
def play(request: pytest.FixtureRequest) -> Callable[..., AccountOutcome]:
    """Runs an example as the document writes them."""
    simulator = SIMULATORS[request.param]

    def run(bars: Any, **example: Any) -> AccountOutcome:
        return simulator(case_of({"bars": bars, **example}))

    return run


def still(*prices: float) -> list[list[float]]:
    return [[price] * 4 for price in prices]


# Liquidation prices of Binance's USD-M futures. Its formula is (WB - TMM + UPNL + cum - side * q * entry) /
# (q * MMR - side * q) with the wallet balance WB; the maintenance margin TMM and the unrealised profit UPNL
# of the other positions; the maintenance amount cum, which is 0 in the first tier and counts as so much
# more wallet in later ones. The margin is a share MMR of the position's value at its present price, as ours
# is.


@pytest.mark.parametrize(
    ("wallet", "amount", "quantity", "entry", "rate", "published"),
    [
        # (1 535 443.01 + 135 365 - 3 683.979 * 1 456.84) / (3 683.979 * 0.1 - 3 683.979)
        (1_535_443.01, 135_365.0, 3_683.979, 1_456.84, 0.1, 1_114.78),
        # (1 535 443.01 + 16 300 - 109.488 * 32 481.98) / (109.488 * 0.025 - 109.488)
        (1_535_443.01, 16_300.0, 109.488, 32_481.98, 0.025, 18_778.73),
    ],
)
def test_liquidation_price_of_the_exchanges_own_isolated_examples(
    play: Callable[..., AccountOutcome],
    wallet: float,
    amount: float,
    quantity: float,
    entry: float,
    rate: float,
    published: float,
) -> None:
    cash = wallet + amount
    outcome = play(
        [[entry] * 4, [entry, entry, published / 2, published]],
        entry=[0],
        size_frac={0: quantity * entry / cash},
        request={"initial_cash": cash, "leverage": 4, "maintenance_margin_frac": rate},
    )
    (trade,) = outcome.trades
    assert trade.quantity == pytest.approx(quantity, rel=1e-12)
    assert (trade.exit_reason, round(trade.exit_price, 2)) == ("liquidation", published)
    # what is left is the maintenance margin
    assert outcome.equity[-1] == pytest.approx(rate * quantity * trade.exit_price, rel=1e-9)


@pytest.mark.parametrize(("side", "direction"), [(1, "long"), (-1, "short")])
def test_liquidation_price_in_the_first_tier(
    play: Callable[..., AccountOutcome], side: int, direction: str
) -> None:
    # wallet 1 000, 0.1 BTC at 60 000 is 6 times that, MMR 0.4 %, cum 0: long (1 000 - 6 000) / (0.1 * 0.004
    # - 0.1) = 50 200.80; short (1 000 + 6 000) / (0.1 * 0.004 + 0.1) = 69 721.12
    expected = (1_000 - side * 0.1 * 60_000) / (0.1 * 0.004 - side * 0.1)
    name = "entry" if side > 0 else "short_entry"
    outcome = play(
        [[60_000] * 4, [60_000, 90_000, 30_000, 60_000]],
        **{name: [0]},
        size_frac={0: 6},
        request={"leverage": 10, "maintenance_margin_frac": 0.004, "direction": direction},
    )
    (trade,) = outcome.trades
    assert trade.exit_price == pytest.approx(expected, rel=1e-12)
    assert round(expected, 2) == (50_200.8 if side > 0 else 69_721.12)


def test_liquidation_price_of_a_position_beside_another_in_cross_margin(
    play: Callable[..., AccountOutcome],
) -> None:
    # WB 1 000; BTC 0.05 at 60 000 (3 000); ETH 1 at 2 000, now 2 100: UPNL 100, TMM 0.01 * 2 100 = 21
    # (1 000 - 21 + 100 - 3 000) / (0.05 * 0.01 - 0.05) = 38 808.08
    outcome = play(
        {
            "BTC": [[60_000] * 4, [60_000] * 4, [60_000, 60_000, 30_000, 40_000]],
            "ETH": [[2_000] * 4, [2_000] * 4, [2_100] * 4],
        },
        entry={"BTC": [0], "ETH": [0]},
        size_frac={"BTC": {0: 3}, "ETH": {0: 2}},
        request={"leverage": 10, "maintenance_margin_frac": 0.01},
    )
    by_symbol = {trade.symbol: trade for trade in outcome.trades}
    assert by_symbol["BTC"].exit_price == pytest.approx(-1_921 / (0.05 * 0.01 - 0.05), rel=1e-12)
    assert round(by_symbol["BTC"].exit_price, 2) == 38_808.08
    assert (by_symbol["ETH"].exit_price, by_symbol["ETH"].exit_reason) == (2_100, "liquidation")


def test_margin_on_the_entry_value_would_liquidate_a_little_earlier_than_on_the_market_value(
    play: Callable[..., AccountOutcome],
) -> None:
    # 1 BTC at 20 000 with 50-fold leverage: 400 of margin. Bybit's isolated margin takes 0.5 % of the entry
    # value: 20 000 - (400 - 100) = 19 700. On the market value, as here and on Binance: 19 600 / 0.995 = 19
    # 698.49.
    outcome = play(
        [[20_000] * 4, [20_000, 20_000, 19_000, 19_500]],
        entry=[0],
        request={
            "initial_cash": 400,
            "leverage": 50,
            "position_frac": 50,
            "maintenance_margin_frac": 0.005,
        },
    )
    (trade,) = outcome.trades
    assert trade.exit_price == pytest.approx(19_600 / 0.995, rel=1e-12)
    assert 0 < 19_700 - trade.exit_price < 20_000 * 0.005 * (400 / 20_000)


# Funding of perpetuals, Binance and Bybit alike: position value * rate, at 00:00, 08:00 and 16:00 UTC; with a
# positive rate longs pay shorts. (Both take the mark price of the moment, we the open of the bar.)


@pytest.mark.parametrize(("name", "direction", "sign"), [("entry", "long", 1), ("short_entry", "short", -1)])
def test_funding_is_paid_by_longs_and_received_by_shorts_three_times_a_day(
    play: Callable[..., AccountOutcome], name: str, direction: str, sign: int
) -> None:
    # 10 units at 8 000, rates 0.01 %, 0.03 % and -0.01 %: 80 000 * 0.0003 = 24 in all
    outcome = play(
        still(8_000, 8_000, 8_000),
        **{name: [0]},
        funding={"2024-01-02T08:00": 0.0001, "2024-01-02T16:00": 0.0003, "2024-01-03T00:00": -0.0001},
        size_frac={0: 0.5},
        request={"initial_cash": 160_000, "funding": True, "direction": direction},
    )
    (trade,) = outcome.trades
    assert trade.fees == pytest.approx(sign * 24)
    assert outcome.equity == pytest.approx([160_000, 160_000 - sign * 32, 160_000 - sign * 24])


def test_who_is_flat_at_the_moment_pays_no_funding(play: Callable[..., AccountOutcome]) -> None:
    outcome = play(
        still(100, 100, 100, 100),
        entry=[0],
        exit=[1],
        # before the entry at the open of the 2nd, at the exit at the open of the 3rd, and after it
        funding={"2024-01-01T16:00": 0.5, "2024-01-03T08:00": 0.5},
        request={"funding": True},
    )
    assert outcome.equity == [1_000] * 4


# Limit and stop orders as backtesting.py fills them: a buy limit at min(open, limit) once the low is at or
# below it, a buy stop at max(open, stop) once the high is at or above it, sells mirrored. (It fills limits
# on touch.)


@pytest.mark.parametrize(
    ("order", "bar", "filled"),
    [
        ("entry_limit", [100, 105, 94, 101], 95),  # min(100, 95)
        ("entry_limit", [100, 105, 95, 101], 95),  # touched
        ("entry_limit", [90, 105, 85, 101], 90),  # min(90, 95)
        ("entry_limit", [100, 105, 96, 101], None),
        ("entry_stop", [90, 96, 89, 92], 95),  # max(90, 95)
        ("entry_stop", [90, 95, 89, 92], 95),
        ("entry_stop", [99, 105, 94, 101], 99),  # max(99, 95)
        ("entry_stop", [90, 94, 89, 92], None),
        ("short_entry_limit", [90, 96, 89, 92], 95),  # max(90, 95)
        ("short_entry_limit", [99, 105, 94, 101], 99),
        ("short_entry_limit", [90, 94, 89, 92], None),
        ("short_entry_stop", [100, 105, 94, 101], 95),  # min(100, 95)
        ("short_entry_stop", [90, 105, 85, 101], 90),
        ("short_entry_stop", [100, 105, 96, 101], None),
    ],
)
def test_orders_fill_where_backtesting_py_fills_them(
    play: Callable[..., AccountOutcome], order: str, bar: list[float], filled: float | None
) -> None:
    outcome = play(
        [[92, 92, 92, 92], bar, [50, 200, 50, 50]],
        **{order: {0: 95}},
        request={"direction": "both", "limit_fills_on_touch": True, "position_frac": 0.1},
    )
    assert [(trade.entry_bar, trade.entry_price) for trade in outcome.trades] == (
        [] if filled is None else [(1, filled)]
    )


def test_a_stop_loss_after_a_limit_order_is_met_in_the_same_bar(
    play: Callable[..., AccountOutcome],
) -> None:
    # bought at 95, the low of 80 lies below the stop of 90, and came after the price of 95 or at it
    # (backtesting.py 0.6.6 warns that it cannot tell, and looks at the stop from the next bar on)
    outcome = play([[100] * 4, [100, 101, 80, 99]], entry_limit={0: 95}, stop_price={0: 90})
    (trade,) = outcome.trades
    assert (trade.entry_price, trade.exit_price, trade.exit_reason) == (95, 90, "stop_loss")


# Slots as freqtrade's `max_open_trades` with `stake_amount: unlimited`: each trade gets the account's worth
# over the number of slots; pairs are asked in the order of the list; a trade that ends frees its slot for
# the same candle.


def test_slots_go_to_the_first_pairs_of_the_list_and_are_free_again_at_an_exit(
    play: Callable[..., AccountOutcome],
) -> None:
    outcome = play(
        {name: still(100, 100, 110, 110) for name in ("ETH", "BTC", "ADA", "XRP")},
        # all want in at bar 0; ADA and XRP again at bar 1, at which BTC leaves
        entry={"ETH": [0], "BTC": [0], "ADA": [0, 1], "XRP": [0, 1]},
        exit={"BTC": [1]},
        request={"sizing": "slots", "max_positions": 2},
    )
    bought = {trade.symbol: (trade.entry_bar, trade.quantity * trade.entry_price) for trade in outcome.trades}
    # 1 000 / 2; then 10 units at 110 are worth 1 100, and a slot is 550
    assert bought == {"ETH": (1, 500), "BTC": (1, 500), "ADA": (2, pytest.approx(550))}
    assert outcome.skipped == {"slots": 3}  # ADA and XRP at bar 1, XRP at bar 2


def test_a_slot_takes_no_more_than_the_cash_that_is_left(play: Callable[..., AccountOutcome]) -> None:
    # ETH gains nothing, BTC doubles: equity 1 500 and slots of 750, but only 500 of cash after ETH's sale
    outcome = play(
        {"BTC": still(100, 100, 200), "ETH": still(100, 100, 100), "ADA": still(10, 10, 10)},
        entry={"BTC": [0], "ETH": [0], "ADA": [1]},
        exit={"ETH": [1]},
        request={"sizing": "slots", "max_positions": 2},
    )
    (ada,) = (trade for trade in outcome.trades if trade.symbol == "ADA")
    assert ada.quantity * ada.entry_price == pytest.approx(500)
