"""The guard against a slow, obvious statement of its rules, with whatever headers there may be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.web.access.guard import Guard
from backtest_pipeline.web.access.hosts import AllowedHosts
from backtest_pipeline.web.access.identity import Access, parsed_tokens
from backtest_pipeline.web.access.refusal import Refusal, refusal_answer
from backtest_pipeline_tests.web.asgi import Headers, Recorder, ask

ANN, VIC, SECRET = "anns-token-0123456789", "views-token-0123456789", "proxy-secret-0123456789"
TOKENS = f"ann:full:{ANN},vic:viewer:{VIC}"
READS = b'{"query": "{ version }"}'
CHANGES = b'{"query": "mutation { reloadWorkspace { __typename } }"}'

OWN_HOSTS = {"localhost:3000", "127.0.0.1:3000", "127.0.0.1", "[::1]:3000", "lab.example", "LOCALHOST:3000"}
NO_HOSTS = {"", "a b", "evil.example@localhost", "http://localhost"}
HOSTS = st.sampled_from(sorted(OWN_HOSTS | NO_HOSTS | {"evil.example", "localhost.evil.example", "10.0.0.1"}))
ORIGINS = st.sampled_from(
    [
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "https://lab.example",
        "http://evil.example",
        "null",
        "",
    ]
)
KINDS = st.sampled_from(
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=utf-8",
        "APPLICATION/JSON; application/graphql",
        "application/json, text/plain",
        "text/plain; application/json",
        "application/graphql",
        "application/json; boundary=x",
        "multipart/form-data",
        "",
    ]
)
AUTHORIZATIONS = st.sampled_from(
    [
        f"Bearer {ANN}",
        f"bearer {VIC}",
        f"Bearer {VIC}",
        "Bearer wrong-token-0123456789",
        f"Basic {ANN}",
        ANN,
        "",
    ]
)


def _some(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    """A header once mostly, sometimes not at all or twice."""
    pair = values.map(lambda value: (name, value))
    return st.one_of(st.tuples(pair), st.tuples(pair), st.just(()), st.tuples(pair, pair)).map(list)


HEADERS = st.tuples(
    _some("host", HOSTS),
    _some("origin", ORIGINS),
    _some("content-type", KINDS),
    _some("authorization", AUTHORIZATIONS),
    _some("sec-fetch-site", st.sampled_from(["same-origin", "cross-site", "Cross-Site", "none"])),
    _some("x-backtest-proxy-secret", st.sampled_from([SECRET, "wrong-secret-0123456789"])),
    _some("x-backtest-user", st.sampled_from(["pia", "pia@lab.example", "p ia", ""])),
    _some("x-backtest-role", st.sampled_from(["full", "viewer", "boss"])),
).map(lambda parts: [pair for part in parts for pair in part])


def _rules(  # noqa: C901, PLR0911, PLR0912  one rule after another, to be read beside the page
    method: str, path: str, headers: Headers, body: bytes, query: bytes, *, asked: bool
) -> int:
    """The status that each request deserves: the rules one after another, as docs/security.md has them."""

    def values(name: str) -> list[str]:
        return [value for key, value in headers if key == name]

    hosts, origins = values("host"), values("origin")
    if len(hosts) != 1 or hosts[0] in NO_HOSTS:
        return 400
    if hosts[0] not in OWN_HOSTS:
        return 421
    role = "full"
    if asked:
        role = ""
        if values("x-backtest-proxy-secret") == [SECRET] and values("x-backtest-user"):
            if values("x-backtest-user") not in (["pia"], ["pia@lab.example"]):
                return 400
            role = "full"
            if values("x-backtest-role"):
                if values("x-backtest-role") not in (["full"], ["viewer"]):
                    return 400
                [role] = values("x-backtest-role")
        elif values("authorization") == [f"Bearer {ANN}"]:
            role = "full"
        elif values("authorization") in ([f"Bearer {VIC}"], [f"bearer {VIC}"]):
            role = "viewer"
        if not role:
            return 401
    graphql = path == "/graphql"
    if graphql and method != "POST":
        return 405
    if graphql and query not in (b"", b"op=Runs"):
        return 400
    if method in {"GET", "HEAD", "OPTIONS"}:
        return 200
    own = f"http://{hosts[0].lower()}"
    if origins and (len(origins) > 1 or origins[0] not in (own, f"{own}:80", "https://lab.example")):
        return 403
    if any(value.lower() == "cross-site" for value in values("sec-fetch-site")):
        return 403
    if method != "POST":
        return 405
    if len(values("content-type")) != 1 or values("content-type")[0].lower().replace(" ", "") not in (
        "application/json",
        "application/json;charset=utf-8",
    ):
        return 415
    if role == "viewer" and (not graphql or body == CHANGES):
        return 403
    return 400 if graphql and body not in (READS, CHANGES) else 200


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(
    method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "DELETE", "HEAD"]),
    path=st.sampled_from(["/graphql", "/graphql", "/", "/report_asset_check/a"]),
    headers=HEADERS,
    body=st.sampled_from([READS, CHANGES, b"[]", b"{}", b"mutation {a}", b"[" + READS + b"]"]),
    query=st.sampled_from([b"", b"", b"", b"op=Runs", b"query=mutation{a}", b"op=a&query=b"]),
    asked=st.booleans(),
)
def test_the_guard_keeps_its_rules_whatever_the_headers_are(
    method: str, path: str, headers: Headers, body: bytes, query: bytes, asked: bool
) -> None:
    app = Recorder()
    guard = Guard(
        app,
        hosts=AllowedHosts("127.0.0.1", ["lab.example"]),
        access=Access(parsed_tokens(TOKENS), SECRET) if asked else Access(),
        requests_per_second=0,
    )
    answer = ask(guard, method, path, headers=headers, body=[body], query=query)
    expected = _rules(method, path, headers, body, query, asked=asked)
    assert answer.status == expected
    assert bool(app.scopes) == (expected == 200)
    for scope in app.scopes:
        handed_on: dict[str, Any] = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert not {"authorization", "x-backtest-proxy-secret", "x-backtest-role"} & set(handed_on)
        assert ("x-backtest-user" in handed_on) == asked


def test_a_refusal_that_repeats_half_a_character_can_be_sent() -> None:
    refused = refusal_answer(Refusal(400, "there is no symbol '\ud800'"), websocket=False)
    answer = ask(refused, "GET", "/")
    assert (answer.status, answer.problem) == (400, "there is no symbol '\ud800'")
    assert answer.headers["cache-control"] == "no-store"
