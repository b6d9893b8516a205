"""How outcomes of accounts are compared, and scaled."""

from __future__ import annotations

import dataclasses

from backtest_pipeline_tests.engine.reference_holdings import AccountOutcome, AccountTrade, Change


def in_order(outcome: AccountOutcome) -> AccountOutcome:
    """The outcome with its trades by symbol, those of a symbol in time's order."""
    trades = sorted(outcome.trades, key=lambda trade: trade.symbol)
    return dataclasses.replace(outcome, trades=trades)


def differences(expected: AccountOutcome, found: AccountOutcome) -> list[str]:
    """What is not the same in two outcomes to the last digit, the first place of each kind."""
    problems = []
    for name in (field.name for field in dataclasses.fields(AccountOutcome)):
        own, other = getattr(in_order(expected), name), getattr(in_order(found), name)
        if own == other:
            continue
        if not isinstance(own, list):
            problems.append(f"{name}: {own} is expected, not {other}")
            continue
        place = next(
            (place for place, pair in enumerate(zip(own, other, strict=False)) if pair[0] != pair[1]),
            min(len(own), len(other)),
        )
        problems.append(
            f"{name}[{place}] of {len(own)} and {len(other)}: "
            f"{own[place : place + 1]} is expected, not {other[place : place + 1]}"
        )
    return problems


def scaled(outcome: AccountOutcome, factor: float) -> AccountOutcome:
    """The outcome in another currency: amounts of money and prices times a factor."""

    def trade(own: AccountTrade) -> AccountTrade:
        money = ("entry_price", "exit_price", "fees", "slippage_cost", "pnl")
        return dataclasses.replace(own, **{name: getattr(own, name) * factor for name in money})

    def change(own: Change) -> Change:
        return dataclasses.replace(own, price=own.price * factor, value=own.value * factor)

    return dataclasses.replace(
        outcome,
        trades=[trade(own) for own in outcome.trades],
        changes=[change(own) for own in outcome.changes],
        equity=[value * factor for value in outcome.equity],
        cash=[value * factor for value in outcome.cash],
        gross=[value * factor for value in outcome.gross],
    )
