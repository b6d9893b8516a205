"""What docs/coming-from.md says of other tools' settings, on cases in their manner.

Rules of freqtrade are worked by hand, from its documentation and its source of 2025. Numbers said to be
those of vectorbt 1.2.0 or backtesting.py 0.6.6 were printed by these very versions for the same bars and
orders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.strategy import Signals
from backtest_pipeline.strategies.registry import strategies
from backtest_pipeline_tests.docs.pages import blocks
from backtest_pipeline_tests.engine.account_examples import case_of
from backtest_pipeline_tests.engine.account_simulators import (
    computed_by_the_account_kernel,
    computed_by_the_engine,
)
from backtest_pipeline_tests.engine.reference_holdings import AccountOutcome

PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"


def play(bars: Any, **example: Any) -> AccountOutcome:
    """Runs a case written as the execution model's examples are."""
    return computed_by_the_account_kernel(case_of({"bars": bars, **example}))


def still(*prices: float) -> list[list[float]]:
    return [[price] * 4 for price in prices]


def exits(outcome: AccountOutcome) -> list[tuple[int, Any, str]]:
    return [(trade.exit_bar, pytest.approx(trade.exit_price), trade.exit_reason) for trade in outcome.trades]


# The page itself.


def test_the_page_names_only_fields_that_there_are() -> None:
    """In the column that says what a setting is here, and in what is said of the engine."""
    known = {*BacktestRequest.model_fields, *Signals.__slots__}
    here = re.findall(r"^\|[^|]*\|([^|]*)\|$", PAGE.read_text(), re.MULTILINE)
    named = {name for cell in here for name in re.findall(r"`([a-z]+_[a-z_]+)(?::[^`]*)?`", cell)}
    assert len(named) > 20
    assert named - known == set()


@pytest.mark.parametrize(("field", "value"), re.findall(r"`([a-z_]+): ([a-z_]+)`", PAGE.read_text()))
def test_settings_that_the_page_gives_are_accepted(field: str, value: str) -> None:
    beside: dict[str, dict[str, Any]] = {
        "slots": {"account": "shared", "max_positions": 2},
        "pessimistic": {"trailing_stop_frac": 0.1},
    }
    words: dict[str, Any] = {"true": True, "false": False}
    given: dict[str, Any] = {field: words.get(value, value)} | beside.get(value, {})
    request = BacktestRequest(strategy="any", symbols=("X",), **given)
    assert getattr(request, field) == words.get(value, value)


def test_the_requests_on_the_page_are_accepted() -> None:
    requests = [json.loads(block.text) for block in blocks(PAGE.read_text()) if block.language == "json"]
    assert len(requests) == 3
    for request in requests:
        assert BacktestRequest(**request).strategy in strategies()


# freqtrade


def test_freqtrade_minimal_roi_lowers_after_two_bars_and_is_net_of_fees() -> None:
    # minimal_roi {"0": 0.05, "2880": 0.02} on bars of 1 440 minutes, a fee of 0.1 % a side. It sells at
    # open_rate * (1 + roi + fee) / (1 - fee): 100 * 1.021 / 0.999 = 102.202..., and keeps 102.1 - 100.1 = 2.
    fee = 0.001
    steps = [[0, 1.051 / 0.999 - 1], [2, 1.021 / 0.999 - 1]]
    outcome = play(
        [[100] * 4, [100, 104, 99, 100], [100, 104, 99, 100], [100, 103, 99, 100]],
        entry=[0],
        request={"take_profit_steps": steps, "fee_bps": 10},
    )
    (trade,) = outcome.trades
    assert exits(outcome) == [(3, 100 * (1 + 0.02 + fee) / (1 - fee), "take_profit")]
    assert trade.pnl == pytest.approx(trade.quantity * 2)


def test_freqtrade_exit_signal_is_filled_at_the_open_before_the_stop_inside_the_bar() -> None:
    outcome = play(
        [[100] * 4, [100] * 4, [98, 99, 80, 85]], entry=[0], exit=[1], request={"stop_loss_frac": 0.1}
    )
    assert exits(outcome) == [(2, 98, "signal")]


def test_freqtrade_stop_goes_before_roi_and_roi_before_the_trail_of_the_bars_own_high() -> None:
    bars = [[100] * 4, [100, 112, 85, 100]]
    both = {"stop_loss_frac": 0.1, "take_profit_steps": [[0, 0.05]]}
    assert exits(play(bars, entry=[0], request=both)) == [(1, 90, "stop_loss")]
    # ROI at 105; the high of 112 moves the trail to 106.4 and the low of 99 lies below
    trailing = both | {"trailing_stop_frac": 0.05, "trailing_activation_frac": 0.01}
    outcome = play(
        [[100] * 4, [100, 112, 99, 100]], entry=[0], request=trailing | {"same_bar_trail": "pessimistic"}
    )
    assert exits(outcome) == [(1, 105, "take_profit")]


def test_a_trail_that_stood_before_the_bar_goes_before_the_target_here() -> None:
    # trail of bar 1: 110 * 0.98 = 107.8; bar 2 touches it and 115 as well. freqtrade says ROI, at 115.
    outcome = play(
        [[100] * 4, [100, 110, 100, 110], [110, 116, 105, 110]],
        entry=[0],
        request={"trailing_stop_frac": 0.02, "trailing_activation_frac": 0.05, "take_profit_frac": 0.15},
    )
    assert exits(outcome) == [(2, 107.8, "trailing_stop")]


def test_freqtrade_trailing_stop_alone_trails_by_the_stoploss() -> None:
    # stoploss -0.10: bar 1 moves it to 110 * 0.9 = 99. Bar 2 reaches 99, and its high of 112 moves nothing:
    # a trailing stop that the candle's low has passed is not adjusted.
    outcome = play(
        [[100] * 4, [100, 110, 100, 110], [110, 112, 98, 105]],
        entry=[0],
        request={"trailing_stop_frac": 0.1, "same_bar_trail": "pessimistic"},
    )
    assert exits(outcome) == [(2, 99, "trailing_stop")]


TRAILING = {
    "stop_loss_frac": 0.1,
    "trailing_stop_frac": 0.02,
    "trailing_activation_frac": 0.05,
    "same_bar_trail": "pessimistic",
}
"""stoploss -0.10, trailing_stop_positive 0.02, its offset 0.05, trailing_only_offset_is_reached."""


def test_freqtrade_trail_starts_at_its_offset_and_the_high_comes_before_the_low() -> None:
    # bar 2: 104 is less than 105, so nothing trails although 100 is below 104 * 0.98
    # bar 3: high 106, the stop moves to 106 * 0.98 = 103.88, the low of 103 uses it
    outcome = play(
        [[100] * 4, [100] * 4, [100, 104, 100, 104], [104, 106, 103, 105]], entry=[0], request=TRAILING
    )
    assert exits(outcome) == [(3, 103.88, "trailing_stop")]


def test_freqtrade_offset_is_a_profit_net_of_fees() -> None:
    # 0.1 % a side: a profit of 5 % is reached at 100 * 1.05 * 1.001 / 0.999 = 105.21, not yet at 105.2
    fees = TRAILING | {"fee_bps": 10, "trailing_activation_frac": 1.05 * 1.001 / 0.999 - 1}
    assert exits(play([[100] * 4, [100, 105.2, 100, 105]], entry=[0], request=fees)) == [
        (1, 105, "end_of_data")
    ]
    assert exits(play([[100] * 4, [100, 105.22, 100, 105]], entry=[0], request=fees)) == [
        (1, 105.22 * 0.98, "trailing_stop")
    ]


def test_on_the_bar_of_the_entry_freqtrade_takes_the_offset_for_the_high() -> None:
    # there 100 * (1 + 0.05 - 0.02) = 103, here 106 * 0.98
    outcome = play([[100] * 4, [100, 106, 99, 105]], entry=[0], request=TRAILING)
    assert exits(outcome) == [(1, 103.88, "trailing_stop")]


def test_a_stop_that_the_open_has_passed_is_filled_at_the_open_here() -> None:
    # freqtrade sells at the stop of 90, as the bar reaches it from below
    outcome = play([[100] * 4, [100] * 4, [80, 95, 78, 90]], entry=[0], request={"stop_loss_frac": 0.1})
    assert exits(outcome) == [(2, 80, "stop_loss")]


def test_a_target_that_the_open_has_passed_is_filled_at_the_open_here() -> None:
    # freqtrade sells at the ROI of 105, as the bar's low of 104 reaches it
    outcome = play(
        [[100] * 4, [100] * 4, [108, 109, 104, 106]], entry=[0], request={"take_profit_frac": 0.05}
    )
    assert exits(outcome) == [(2, 108, "take_profit")]


def test_freqtrade_two_entries_compete_for_one_slot_and_the_first_pair_gets_it() -> None:
    outcome = play(
        {"ETH": still(50, 50), "BTC": still(100, 100)},
        entry={"ETH": [0], "BTC": [0]},
        request={"sizing": "slots", "max_positions": 1},
    )
    assert [(trade.symbol, trade.quantity) for trade in outcome.trades] == [("ETH", 20)]
    assert outcome.skipped == {"slots": 1}


def test_freqtrade_stake_is_the_worth_over_the_slots() -> None:
    # 1 000 / 2; ETH wins 100, and a slot is 1 100 / 2
    outcome = play(
        {"ETH": still(100, 100, 120, 120), "BTC": still(50, 50, 50, 50)},
        entry={"ETH": [0], "BTC": [2]},
        exit={"ETH": [1]},
        request={"sizing": "slots", "max_positions": 2},
    )
    assert [trade.quantity * trade.entry_price for trade in outcome.trades] == [550, 500]  # BTC, ETH


def test_freqtrade_tradable_balance_ratio_is_a_position_frac() -> None:
    # 0.99 * 1 000 / 2 = 495 each
    outcome = play(
        {"ETH": still(100, 100), "BTC": still(50, 50)},
        entry={"ETH": [0], "BTC": [0]},
        request={"max_positions": 2, "position_frac": 0.99 / 2},
    )
    assert [trade.quantity * trade.entry_price for trade in outcome.trades] == pytest.approx([495, 495])


def test_open_positions_count_at_their_market_value_here() -> None:
    # ETH, 5 units, has fallen to 80: (500 + 400) / 2. freqtrade counts the stake: (500 + 500) / 2
    outcome = play(
        {"ETH": still(100, 100, 80), "BTC": still(50, 50, 50)},
        entry={"ETH": [0], "BTC": [1]},
        request={"sizing": "slots", "max_positions": 2},
    )
    btc = outcome.trades[0]
    assert btc.quantity * btc.entry_price == 450


def test_the_fee_is_a_part_of_the_stake_here() -> None:
    # 500 pay for 4.5454 units at 100 and a fee of 10 %; freqtrade buys 5 units and pays 50 besides
    outcome = play(
        still(100, 100), entry=[0], request={"sizing": "slots", "max_positions": 2, "fee_bps": 1_000}
    )
    (trade,) = outcome.trades
    assert trade.quantity == pytest.approx(500 / 110)


def test_a_slot_freed_at_an_open_is_taken_at_it_and_one_freed_inside_a_bar_at_the_next() -> None:
    one_slot = {"sizing": "slots", "max_positions": 1, "stop_loss_frac": 0.1}
    by_signal = play(
        {"ETH": still(100, 100, 100), "BTC": still(50, 50, 50)},
        entry={"ETH": [0], "BTC": [1]},
        exit={"ETH": [1]},
        request=one_slot,
    )
    assert [(trade.symbol, trade.entry_bar) for trade in by_signal.trades] == [("BTC", 2), ("ETH", 1)]
    by_stop = play(
        {"ETH": [[100] * 4, [100] * 4, [100, 100, 80, 85], [85] * 4], "BTC": still(50, 50, 50, 50)},
        entry={"ETH": [0], "BTC": [1, 2]},
        request=one_slot,
    )
    assert [(trade.symbol, trade.entry_bar) for trade in by_stop.trades] == [("BTC", 3), ("ETH", 1)]
    assert by_stop.skipped == {"slots": 1}


def test_freqtrade_ignores_an_entry_and_an_exit_of_the_same_candle() -> None:
    # at bar 0 both, and it does not enter; at bar 2 both, and it does not leave
    outcome = play(
        still(100, 100, 100, 110, 120), entry=[0, 1, 2], exit=[0, 2], request={"on_conflict": "ignore"}
    )
    assert [(trade.entry_bar, trade.exit_reason) for trade in outcome.trades] == [(2, "end_of_data")]


def test_freqtrade_detail_candles_say_what_came_first() -> None:
    # the stop at 90 comes in the second twelve hours, the ROI of 105 in the first
    outcome = play(
        [[100] * 4, [100, 106, 88, 95]],
        details={"2024-01-02T00:00": [100, 106, 99, 104], "2024-01-02T12:00": [104, 104, 88, 95]},
        entry=[0],
        request={"stop_loss_frac": 0.1, "take_profit_steps": [[0, 0.05]], "detail_timeframe": "4h"},
    )
    assert exits(outcome) == [(1, 105, "take_profit")]


def test_what_is_open_at_the_end_is_marked_at_the_last_close_without_a_fee() -> None:
    # freqtrade sells at the open of the last candle, 120, and pays 12 of 120 * (1 000 / 110)
    outcome = play([[100] * 4, [100] * 4, [120, 130, 120, 130]], entry=[0], request={"fee_bps": 1_000})
    assert exits(outcome) == [(2, 130, "end_of_data")]
    assert outcome.equity[-1] == pytest.approx(130 * 1_000 / 110)


# vectorbt

PERCENT = {"fill": "close", "fee_bps": 100, "fee_fixed": 5}


def test_vectorbt_percent_size_with_fees_and_infinite_size_cut_to_the_cash() -> None:
    # closes 100, 120; fees 0.01, fixed_fees 5. size 0.5 percent: (500 - 5) / 101; 1.2.0: 4.90099, values
    # 990.0990..., 1088.1188...
    half = play(still(100, 120), entry=[0], request=PERCENT | {"position_frac": 0.5})
    assert half.trades[0].quantity == pytest.approx(495 / 101)
    assert half.equity == pytest.approx([990.09900990099, 1088.118811881188], rel=1e-12)
    # size inf, or 20 units, where the cash is 1 000: (1 000 - 5) / 101; 1.2.0: 9.851485, fees 14.851485
    whole = play(still(100, 120), entry=[0], request=PERCENT)
    assert whole.trades[0].quantity == pytest.approx(9.851485, abs=1e-6)
    assert whole.trades[0].fees == pytest.approx(14.851485, abs=1e-6)


def test_a_fraction_is_one_of_the_equity_and_not_of_the_free_cash_as_vectorbts_percent() -> None:
    # half for A, half for B: 1.2.0 buys 5 and 2.5
    outcome = play(
        {"A": still(100, 100), "B": still(100, 100)},
        entry={"A": [0], "B": [0]},
        request={"fill": "close", "position_frac": 0.5},
    )
    assert [trade.quantity for trade in outcome.trades] == [5, 5]


def test_vectorbt_accumulate_addonly_buys_again_and_leaves_with_all() -> None:
    # size 5 at 100 twice (half of 1 000 each), all sold at 70: 1.2.0 sells 10. Here that is one trade.
    outcome = play(
        still(100, 100, 50, 70),
        entry=[0, 1],
        exit=[3],
        request={"fill": "close", "position_frac": 0.5, "max_entries": 2},
    )
    assert [(trade.quantity, trade.exit_price, trade.pnl) for trade in outcome.trades] == [(10, 70, -300)]


def test_vectorbt_ignores_an_entry_beside_an_exit() -> None:
    # closes 100, 110, 120, 90; entries at 0 and 1, exits at 1 and 2: 1.2.0 buys at 100 and sells at 120
    outcome = play(
        still(100, 110, 120, 90),
        entry=[0, 1],
        exit=[1, 2],
        request={"fill": "close", "on_conflict": "ignore"},
    )
    assert exits(outcome) == [(2, 120, "signal")]


def test_vectorbt_upon_opposite_entry_reverse() -> None:
    # long at 100, short at 110, fees 0.01: 1.2.0 sells 19.605921, and is worth these
    both = {"fill": "close", "direction": "both", "fee_bps": 100}
    outcome = play(still(100, 110, 120, 90), entry=[0], short_entry=[1], request=both)
    assert sum(trade.quantity for trade in outcome.trades) == pytest.approx(19.605921, abs=1e-6)
    yielded = [990.09900990099, 1067.5423978041365, 970.4930889128514, 1261.641015586707]
    assert outcome.equity == pytest.approx(yielded, rel=1e-9)


def test_vectorbt_size_granularity() -> None:
    # 1 000 at 300: 1.2.0 buys 3
    outcome = play(still(300, 400), entry=[0], request={"fill": "close", "quantity_step": 1})
    assert outcome.trades[0].quantity == 3


def test_vectorbt_upon_opposite_entry_close_is_an_exit() -> None:
    outcome = play(still(100, 110, 120, 90), entry=[0], exit=[1], request={"fill": "close"})
    assert outcome.equity == pytest.approx([1_000, 1_100, 1_100, 1_100])


def test_entries_to_both_sides_turn_a_position_here() -> None:
    # long at 0, entries to both sides at 1: 1.2.0 does nothing at 1
    outcome = play(
        still(100, 110, 120, 90),
        entry=[0, 1],
        short_entry=[1],
        request={"fill": "close", "direction": "both"},
    )
    assert [trade.side for trade in outcome.trades] == ["long", "short"]


@pytest.mark.parametrize(
    ("bars", "request_", "exit_"),
    [
        # bar 1 touches 90 and 120; 1.2.0: sold at 90
        (
            [[100] * 4, [100, 130, 85, 120], [80, 80, 75, 78]],
            {"stop_loss_frac": 0.1, "take_profit_frac": 0.2},
            (1, 90),
        ),
        # bar 2 opens below 90; 1.2.0: sold at 80
        ([[100] * 4, [100, 105, 95, 100], [80, 80, 75, 78]], {"stop_loss_frac": 0.1}, (2, 80)),
        # sl_trail: 5 % below the high of bar 1 is 114, first looked at in bar 2; 1.2.0: sold at 114
        ([[100] * 4, [100, 120, 96, 118], [118, 119, 110, 117]], {"trailing_stop_frac": 0.05}, (2, 114)),
    ],
)
def test_vectorbt_stops(
    bars: list[list[float]], request_: dict[str, float], exit_: tuple[int, float]
) -> None:
    outcome = play(bars, entry=[0], request={"fill": "close", **request_})
    (trade,) = outcome.trades
    assert (trade.exit_bar, trade.exit_price) == exit_


def test_a_stop_slips_here_and_a_target_does_not() -> None:
    # bought at 101 with a slippage of 1 %; 1.2.0 sells at 90 and 110, 10 % from the close of 100
    at = {"fill": "close", "slippage_bps": 100}
    stopped = play(
        [[100] * 4, [100, 100, 85, 100]], entry=[0], request=at, stop_price={0: 90}, target_price={0: 110}
    )
    assert exits(stopped) == [(1, 90 * 0.99, "stop_loss")]
    reached = play(
        [[100] * 4, [100, 130, 100, 100]], entry=[0], request=at, stop_price={0: 90}, target_price={0: 110}
    )
    assert exits(reached) == [(1, 110, "take_profit")]


def test_a_close_below_the_trail_of_the_bars_own_high_is_an_exit_here() -> None:
    # 5 % below 120 is 114, and the bar closes at 105; 1.2.0 sells at the open of the next, 105
    outcome = play(
        [[100] * 4, [100, 120, 98, 105], [105, 106, 104, 105]],
        entry=[0],
        request={"fill": "close", "trailing_stop_frac": 0.05},
    )
    assert exits(outcome) == [(1, 114, "trailing_stop")]


OPENS = {
    "A": [100, 100, 104, 110, 108, 120, 118, 126],
    "B": [50, 50, 52, 49, 51, 48, 55, 54],
    "C": [20, 20, 21, 25, 24, 22, 23, 26],
}
CLOSES = {
    "A": [100, 102, 109, 107, 119, 121, 125, 130],
    "B": [50, 53, 48, 50, 47, 54, 56, 52],
    "C": [20, 22, 24, 26, 21, 24, 25, 28],
}
COSTS = {"initial_cash": 10_000, "fee_bps": 10, "fee_fixed": 1, "slippage_bps": 5}


def bars_of(
    opens: Mapping[str, Sequence[float]], closes: Mapping[str, Sequence[float]]
) -> dict[str, list[list[float]]]:
    return {
        name: [
            [first, max(first, last), min(first, last), last]
            for first, last in zip(opens[name], closes[name], strict=True)
        ]
        for name in opens
    }


def test_vectorbt_cash_sharing_sells_first_and_spends_it_at_the_same_open() -> None:
    # from_signals, price=open with signals a bar later, cash_sharing, group_by, call_seq="auto": at rows 3, 5
    # and 6 one symbol is sold and another bought with all of it. (With call_seq="default" there is no cash
    # for B at row 5.)
    yielded = [
        10000.0,
        10183.699359111653,
        10882.58068767814,
        11385.427013628338,
        9195.921818699811,
        10803.338648207586,
        11619.113059005329,
        12083.877581365543,
    ]
    outcome = play(
        bars_of(OPENS, CLOSES),
        entry={"A": [0, 5], "B": [4], "C": [2]},
        exit={"A": [2], "B": [5], "C": [4]},
        request=COSTS,
    )
    assert outcome.of_rows(outcome.equity) == pytest.approx(yielded, rel=1e-9)


def test_vectorbt_target_percent_orders_are_weights() -> None:
    # from_orders, size_type="targetpercent", at the opens of rows 1, 4 and 6; the weights stand a row earlier
    yielded = [
        10000.0,
        10523.4955,
        10733.4955,
        11093.4955,
        10934.493283480568,
        11592.778781996361,
        11694.716925075267,
        11543.931676732569,
    ]
    weights: list[list[float | None]] = [[None] * 3 for _ in range(8)]
    weights[0], weights[3], weights[5] = [0.3, 0.3, 0.3], [0.5, 0.1, 0.3], [0.1, 0.6, 0.2]
    outcome = play(bars_of(OPENS, CLOSES), weights=weights, request=COSTS)
    assert outcome.of_rows(outcome.equity) == pytest.approx(yielded, rel=1e-9)


def test_all_buys_of_a_portfolio_are_cut_alike_where_costs_do_not_fit() -> None:
    # weights that add up to 1 and fees of 1 %: 1.2.0 buys 50 of B, 125 of C and, with the rest, 49.0099 of A
    outcome = play(
        bars_of(OPENS, CLOSES),
        weights=[[0.5, 0.25, 0.25], *[[None] * 3] * 7],
        request={"initial_cash": 10_000, "fee_bps": 100},
    )
    assert [trade.quantity * 1.01 for trade in outcome.trades] == pytest.approx([50, 50, 125])


def test_vectorbt_sharpe_and_volatility_of_a_market_that_is_always_open() -> None:
    # freq="1D" makes 365 bars a year; 1.2.0: these
    prices = [100 + 10 * float(np.sin(bar / 5)) + bar * 0.2 for bar in range(60)]
    example = {"bars": still(*prices), "entry": [0], "request": {"fill": "close", "fee_bps": 10}}
    metrics = computed_by_the_engine(case_of(example)).metrics
    assert metrics["sharpe"] == pytest.approx(1.256529522979723, rel=1e-9)
    assert metrics["annual_volatility"] == pytest.approx(0.24953877307758487, rel=1e-9)
    assert metrics["max_drawdown"] == pytest.approx(0.15173201655424162, rel=1e-9)


def by_pandas(opens: pd.DataFrame, closes: pd.DataFrame, begins: Sequence[bool]) -> list[float]:
    """An account of equal weights, put back in order as a month begins; sells first, costs included."""
    fee, fixed, slip = 0.001, 1.0, 0.0005
    cash, units, values = 10_000.0, pd.Series(0.0, opens.columns), []
    for row, begin in enumerate(begins):
        price = opens.iloc[row]
        if begin:
            change = (cash + (units * price).sum()) / len(price) / price - units
            sold, bought = -change[change < 0], change[change > 0]
            cash += (sold * price[sold.index] * (1 - slip) * (1 - fee) - fixed).sum()
            costs = bought * price[bought.index] * (1 + slip) * (1 + fee)
            if costs.sum() + fixed * len(costs) > cash:
                factor = (cash - fixed * len(costs)) / costs.sum()
                bought, costs = bought * factor, costs * factor
            cash -= (costs + fixed).sum()
            units = units.sub(sold, fill_value=0).add(bought, fill_value=0)
        values.append(float(cash + (units * closes.iloc[row]).sum()))
    return values


def test_equal_weights_by_the_month_are_what_plain_pandas_makes_of_them() -> None:
    rng = np.random.default_rng(20)
    days = pd.date_range("2024-01-01", periods=100, freq="D")
    closes = pd.DataFrame(100 * np.exp(rng.normal(0, 0.02, (100, 3)).cumsum(axis=0)), days, list("ABC"))
    opens = (closes.shift(1).fillna(100) * np.exp(rng.normal(0, 0.005, (100, 3)))).round(2)
    first, last = ({name: frame[name].tolist() for name in "ABC"} for frame in (opens, closes))
    outcome = play(bars_of(first, last), weights=[[1 / 3] * 3] * 100, rebalance="monthly", request=COSTS)
    # weights are first known after the first day, and acted upon again as a month begins
    expected = by_pandas(
        opens, closes, [row == 1 or (row > 1 and day.day == 1) for row, day in enumerate(days)]
    )
    assert len(outcome.trades) > 5
    assert outcome.of_rows(outcome.equity) == pytest.approx(expected, rel=1e-9)


# backtesting.py

WHOLE = {"initial_cash": 10_000, "fee_bps": 10, "quantity_step": 1, "position_frac": 0.9999}
"""cash=10_000, commission=.001; whole units for 99.99 % of the equity is what `buy()` means there."""


def test_backtesting_py_limit_and_stop_orders_with_sl_and_tp() -> None:
    # buy(limit=95, sl=90, tp=104) after bar 1, filled in bar 3 (low 94), target in bar 5;
    # buy(stop=110, sl=105) after bar 6, gapped over: filled at the open of bar 7, 112; stop in bar 8
    bars = [
        *still(100, 100),
        *[
            [100, 103, 96, 101],
            [101, 102, 94, 98],
            [98, 99, 92, 97],
            [97, 106, 96, 105],
            [105, 107, 103, 106],
        ],
        *[[112, 118, 111, 117], [117, 119, 104, 106], [106, 107, 101, 102], [102, 103, 100, 101]],
    ]
    outcome = play(
        bars,
        entry_limit={1: 95},
        entry_stop={6: 110},
        stop_price={1: 90, 6: 105},
        target_price={1: 104},
        request=WHOLE | {"limit_fills_on_touch": True, "good_for_bars": 100},
    )
    filled = [
        (one.quantity, one.entry_bar, one.exit_bar, one.entry_price, one.exit_price) for one in outcome.trades
    ]
    assert filled == [(105, 3, 5, 95, 104), (97, 7, 8, 112, 105)]
    assert [one.pnl for one in outcome.trades] == pytest.approx([924.105, -700.049])
    yielded = [*[10_000] * 3, 10305.025, 10200.025, 10924.105, 10924.105, 11398.241, *[10224.056] * 3]
    assert outcome.equity == pytest.approx(yielded, rel=1e-9)


def test_a_limit_has_to_be_passed_where_touching_is_not_said_to_be_enough() -> None:
    touched = [[100] * 4, [100, 100, 95, 100]]
    assert play(touched, entry_limit={0: 95}).trades == []
    assert len(play([[100] * 4, [100, 100, 94.99, 100]], entry_limit={0: 95}).trades) == 1
    assert len(play(touched, entry_limit={0: 95}, request={"limit_fills_on_touch": True}).trades) == 1


def test_backtesting_py_market_orders_at_the_close() -> None:
    outcome = play(
        [*still(100, 100), [104, 108, 103, 107], *still(107, 108)],
        entry=[1],
        exit=[2],
        request=WHOLE | {"fill": "close"},
    )
    (trade,) = outcome.trades
    assert (trade.quantity, trade.entry_bar, trade.exit_bar, trade.exit_price) == (99, 1, 2, 107)
    # 0.6.6 books the fills a bar later: 10 000, 10 683.1, 10 672.507, 10 672.507 from bar 1 on
    assert outcome.equity[1:] == pytest.approx([10_000 - 9.9, *[10_672.507] * 3])


def test_backtesting_py_exclusive_orders_turn_a_position() -> None:
    # buy() after bar 1, sell() after bar 3: sold and sold short at the open of bar 4, 110
    outcome = play(
        still(100, 100, 100, 110, 110, 100, 100),
        entry=[1],
        short_entry=[3],
        short_exit=[5],
        request=WHOLE | {"direction": "both"},
    )
    yielded = [10_000, 10_000, 9990.1, 10980.1, 10958.32, 11948.32, 11938.42]
    assert [(trade.side, trade.quantity) for trade in outcome.trades] == [("long", 99), ("short", 99)]
    assert outcome.equity == pytest.approx(yielded, rel=1e-9)


def test_a_further_entry_of_the_same_side_does_nothing_here() -> None:
    # exclusive_orders there: 0.6.6 sells at 110 and buys again
    outcome = play(still(100, 100, 100, 110, 110, 110), entry=[1, 3], request=WHOLE)
    assert exits(outcome) == [(5, 110, "end_of_data")]


def test_a_waiting_order_is_withdrawn_by_an_exit_signal_of_its_side() -> None:
    bars = [[100] * 4, [100] * 4, [100, 100, 90, 100]]
    waits = {"good_for_bars": 100}
    assert len(play(bars, entry_limit={0: 95}, request=waits).trades) == 1
    assert play(bars, entry_limit={0: 95}, exit=[1], request=waits).trades == []


def test_backtesting_py_margin_is_a_leverage() -> None:
    # margin=0.5: 199 units of twice 10 000
    leverage = {"leverage": 2, "position_frac": 2 * 0.9999, "maintenance_margin_frac": 0.001}
    outcome = play(still(100, 100, 100, 110, 110), entry=[1], exit=[3], request=WHOLE | leverage)
    assert outcome.trades[0].quantity == 199
    assert outcome.equity == pytest.approx([10_000, 10_000, 9980.1, 11970.1, 11948.21], rel=1e-9)


def test_backtesting_py_stop_goes_before_the_target() -> None:
    outcome = play(
        [*still(100, 100), [100, 130, 80, 99], *still(99)],
        entry=[1],
        stop_price={1: 90},
        target_price={1: 120},
        request=WHOLE | {"fee_bps": 0},
    )
    assert exits(outcome) == [(2, 90, "stop_loss")]
    assert outcome.equity == pytest.approx([10_000, 10_000, 9010, 9010])


def test_a_stop_below_a_limit_order_is_met_in_the_bar_that_fills_it_here() -> None:
    # buy(limit=95, sl=90): backtesting.py warns, and looks at the stop from the next bar on (bar 4, at 90)
    outcome = play(
        [*still(100, 100), [100, 101, 80, 99], *still(99), [99, 99, 85, 99]],
        entry_limit={1: 95},
        stop_price={1: 90},
    )
    assert exits(outcome) == [(2, 90, "stop_loss")]


def test_what_is_added_is_a_part_of_the_same_trade_here() -> None:
    # buy(size=20) at 100 and at 50, closed at 70: trades of -600 and 400 there, and the same equity
    outcome = play(
        still(100, 100, 100, 50, 50, 70, 70),
        entry=[1, 2],
        exit=[5],
        size_frac={1: 0.2, 2: 1_000 / 9_000},
        request={"initial_cash": 10_000, "max_entries": 2},
    )
    (trade,) = outcome.trades
    assert (trade.quantity, trade.pnl) == pytest.approx((40, -200))
    assert outcome.equity == pytest.approx([10_000, 10_000, 10_000, 9_000, 9_000, 9_800, 9_800])


def test_slippage_is_paid_on_both_sides_here() -> None:
    # backtesting.py's spread makes the entry dearer, and the exit no cheaper
    outcome = play(still(100, 100, 100), entry=[0], exit=[1], request={"slippage_bps": 100})
    assert [(trade.entry_price, trade.exit_price) for trade in outcome.trades] == [(101, 99)]
