"""Remarks on results, as templates: a manifest has them filled in, and reports say them in two languages."""

from __future__ import annotations

import re
from functools import cache

from backtest_pipeline.model.sentence import Sentence

NO_TRADE = "There was no trade."
ONE_TRADE = "1 trade is too few to distinguish skill from luck; look for {0} or more."
FEW_TRADES = "{0} trades are too few to distinguish skill from luck; look for {1} or more."
ONE_TRADE_IS_ALL = "The whole profit comes from one trade; without it there is none."
FILLS_AT_CLOSE = "Orders fill at the close of the bar whose signals they follow, which is optimistic."
SPANS_A_DAY = "The candles span {0} day; annual figures take {1} and are left out."
SPANS_DAYS = "The candles span {0} days; annual figures take {1} and are left out."
YEAR_ASSUMED = (
    "{0}: the bars do not show on which days the market trades; {1} bars a year are assumed. Ask for a "
    "`calendar`, or record it by `backtest candles import --calendar`."
)
RESTS = (
    "{0}: the bars rest on some weekdays, unlike the calendar {1} that was {2}; annual figures go by the "
    "calendar."
)
NEVER_RESTS = (
    "{0}: the bars trade on all weekdays, unlike the calendar {1} that was {2}; annual figures go by the "
    "calendar."
)
LACKS_WARM_UP_BAR = "{0}: the strategy asks for {1} bar before start to warm up, and there are {2}."
LACKS_WARM_UP_BARS = "{0}: the strategy asks for {1} bars before start to warm up, and there are {2}."
LOOKS_AHEAD = (
    "The strategy looks ahead: its {0} at {1} changes when the candles after {2} are cut off, so this result "
    "cannot be had in a market."
)
LOOKS_AHEAD_FURTHER = (
    "The strategy looks ahead: its {0} at {1} changes when the candles after {2} are cut off and others "
    "follow, so this result cannot be had in a market."
)
NOT_CHECKED = "The look-ahead check could not be done on a part of the candles: {0}."
SERVERS_CODE = "run by the server's code {0}, as asked for, and not by the submitter's {1}"
NONE_RANKS = "no trial has a {0}, so none ranks and there is no best"
NONE_RANKS_WHERE = "no trial has a {0} with {1}, so none ranks and there is no best"
TRIAL_FAILED = "{0} trial failed; trials.parquet tells why"
TRIALS_FAILED = "{0} trials failed; trials.parquet tells why"

FUNDING_PAID = "Funding cost {0} in all; it is among the fees."
FUNDING_RECEIVED = "Funding brought {0} in all; the fees are lower by that."
INTEREST_PAID = "Interest on what was borrowed cost {0} in all; it is among the fees."
FUNDING_BEGINS_LATE = "{0}: the funding rates begin at {1}; before that none is paid."
FUNDING_ENDS_EARLY = "{0}: the funding rates end at {1}; after that none is paid."
DETAIL_IN_PART = (
    "{0}: no {1} candles inside {2} bars (of {3} in all); what came first in those is taken to be the worse."
)
DETAIL_ELSEWHERE = (
    "{0}: the {1} candles leave the range of {2} bars (of {3} in all) by more than 1 %; "
    "take both from one source, adjusted alike."
)

LEFT_OPEN = ("ends", "end", "in an open position, marked to the last close")
LIQUIDATED = ("was", "were", "liquidated")
HAS_GAPS = ("has", "have", "gaps in the candles during a position")
WITHOUT_VOLUME = ("has", "have", "fills on bars without volume")
SKIPPED = ("skipped", "skipped", "entries for lack of cash")
SKIPPED_SLOTS = ("skipped", "skipped", "entries because `max_positions` were open")
SKIPPED_STOP = ("skipped", "skipped", "entries without a stop, by which `risk_frac` sizes them")
SKIPPED_VOLATILITY = ("skipped", "skipped", "entries whose volatility was not known yet")
SKIPPED_BY_REASON = {
    "cash": SKIPPED,
    "slots": SKIPPED_SLOTS,
    "stop": SKIPPED_STOP,
    "volatility": SKIPPED_VOLATILITY,
}
"""What is said of entries that were skipped, by the reason as the execution model names it."""
OF_SYMBOLS = (LEFT_OPEN, LIQUIDATED, HAS_GAPS, WITHOUT_VOLUME, *SKIPPED_BY_REASON.values())
"""Of one symbol, of several, and what became of them so many times."""

_ALONE = (
    NO_TRADE,
    ONE_TRADE,
    FEW_TRADES,
    ONE_TRADE_IS_ALL,
    FILLS_AT_CLOSE,
    SPANS_A_DAY,
    SPANS_DAYS,
    YEAR_ASSUMED,
    RESTS,
    NEVER_RESTS,
    LACKS_WARM_UP_BAR,
    LACKS_WARM_UP_BARS,
    LOOKS_AHEAD,
    LOOKS_AHEAD_FURTHER,
    NOT_CHECKED,
    FUNDING_PAID,
    FUNDING_RECEIVED,
    INTEREST_PAID,
    FUNDING_BEGINS_LATE,
    FUNDING_ENDS_EARLY,
    DETAIL_IN_PART,
    DETAIL_ELSEWHERE,
    SERVERS_CODE,
    NONE_RANKS_WHERE,
    NONE_RANKS,
    TRIAL_FAILED,
    TRIALS_FAILED,
)


def template_of_symbols(what: tuple[str, str, str], *, one_symbol: bool, once: bool) -> str:
    """Return the template of one of `OF_SYMBOLS`: `{0}` lists the symbols, `{1}` says how often."""
    of_one, of_many, rest = what
    return f"{{0}} {of_one if one_symbol else of_many} {rest} ({{1}} {'time' if once else 'times'})."


def templates() -> list[str]:
    """Return every template of a remark."""
    both = (False, True)
    counted = [
        template_of_symbols(what, one_symbol=one, once=once)
        for what in OF_SYMBOLS
        for one in both
        for once in both
    ]
    return list(dict.fromkeys([*_ALONE, *counted]))


def recognised(remark: str) -> Sentence | None:
    """Return the template and values of a remark as a manifest has it; `None` for one of another version."""
    for template, parts in _parts():
        values = _between(remark, parts)
        if values is not None:
            return Sentence(template, values)
    return None


def _between(remark: str, parts: list[str]) -> tuple[str, ...] | None:
    """What stands between the parts, each value as short as it can be but for the last, none empty."""
    first, *others = parts
    if not others:
        return () if remark == first else None
    if not remark.startswith(first) or not remark.endswith(others[-1]):
        return None
    values, at, stop = [], len(first), len(remark) - len(others[-1])
    for part in others[:-1]:
        found = remark.find(part, at + 1, stop)
        if found < 0:
            return None
        values.append(remark[at:found])
        at = found + len(part)
    return (*values, remark[at:stop]) if at < stop else None


@cache
def _parts() -> list[tuple[str, list[str]]]:
    """Each template with what stands around its values, which are in the order of their numbers."""
    return [(template, re.split(r"\{\d\}", template)) for template in templates()]
