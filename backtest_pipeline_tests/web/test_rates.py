"""How many requests a second a user may send."""

from __future__ import annotations

import pytest

from backtest_pipeline.web.access.guard import Guard
from backtest_pipeline.web.access.hosts import AllowedHosts
from backtest_pipeline.web.access.identity import Access, parsed_tokens
from backtest_pipeline.web.access.rate_limits import BURST_S, Rates
from backtest_pipeline.web.access.refusal import Refusal
from backtest_pipeline_tests.web.asgi import HOST, JSON, Recorder, ask, converse, post

ANN, VIC = "anns-token-0123456789", "views-token-0123456789"
TOKENS = parsed_tokens(f"ann:full:{ANN},vic:viewer:{VIC}")


class _Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def _taken(rates: Rates, user: str, tries: int) -> int:
    """How many of some requests at one moment are let through."""
    taken = 0
    for _ in range(tries):
        try:
            rates.count(user)
        except Refusal:
            continue
        taken += 1
    return taken


def test_ten_seconds_worth_passes_at_once_and_then_the_rate() -> None:
    clock = _Clock()
    rates = Rates(5, clock)
    assert _taken(rates, "ann", 100) == 5 * BURST_S == 50
    clock.now_s += 2
    assert _taken(rates, "ann", 100) == 5 * 2
    clock.now_s += 1_000
    assert _taken(rates, "ann", 100) == 50
    assert _taken(rates, "vic", 100) == 50  # everybody has their own


def test_whoever_sends_too_many_hears_when_to_go_on() -> None:
    clock = _Clock()
    rates = Rates(0.5, clock)
    assert _taken(rates, "ann", 100) == 5
    with pytest.raises(Refusal, match=r"ann sends more than 0\.5 requests a second") as refused:
        rates.count("ann")
    assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "2"})
    clock.now_s += 2
    rates.count("ann")


def test_nobody_is_counted_where_nobody_is_asked_or_no_rate_is_set() -> None:
    assert _taken(Rates(1, _Clock()), "", 10_000) == 10_000
    assert _taken(Rates(0, _Clock()), "ann", 10_000) == 10_000


def test_users_that_are_quiet_are_forgotten() -> None:
    clock = _Clock()
    rates = Rates(1, clock)
    for number in range(30_000):
        rates.count(f"user {number}")
        clock.now_s += 0.01
    assert len(rates._left) <= 10_000


def _guard(app: Recorder, access: Access) -> Guard:
    return Guard(app, hosts=AllowedHosts("127.0.0.1"), access=access, requests_per_second=0.3, clock=_Clock())


def test_the_guard_counts_requests_and_messages_of_known_users() -> None:
    app = Recorder()
    guard = _guard(app, Access(TOKENS))
    ann, vic = (HOST, JSON, ("authorization", f"Bearer {ANN}")), (HOST, ("authorization", f"Bearer {VIC}"))
    assert [post(guard, "/graphql", {"query": "{a}"}, headers=ann).status for _ in range(4)] == [
        200,
        200,
        200,
        429,
    ]
    late = ask(guard, "GET", "/", headers=ann)
    assert (late.status, late.headers["retry-after"]) == (429, "4")
    sent = converse(guard, "/graphql", ['{"type": "connection_init"}'] * 5, headers=vic)
    assert [message["type"] for message in sent].count("websocket.send") == 2  # the third was the handshake
    assert (sent[-1]["type"], sent[-1]["code"]) == ("websocket.close", 1013)


def test_the_health_and_a_person_on_their_own_machine_are_never_limited() -> None:
    guard = _guard(Recorder(), Access())
    assert {post(guard, "/graphql", {"query": "{a}"}).status for _ in range(50)} == {200}
    guarded = Guard(
        Recorder(),
        hosts=AllowedHosts("127.0.0.1"),
        access=Access(TOKENS),
        open_paths=["/healthz"],
        requests_per_second=0.3,
        clock=_Clock(),
    )
    assert {ask(guarded, "GET", "/healthz").status for _ in range(50)} == {200}
